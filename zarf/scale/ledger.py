"""Fills a ledger with millions of objects and times its statements at several sizes.

    python3 zarf/scale/ledger.py GLIMPSE FOLDER MILLIONS... [--max-gb 13]

GLIMPSE is the binary, which makes the tables in the empty FOLDER. The statements are those of `src/ledger`, with the settings of
`src/sqlite.rs`: one connection, 2 MB of page cache, WAL, `synchronous=NORMAL`. The objects are written as the reports of a job
with eight lanes of listing would write them, 1,000 in a transaction. Python adds some microseconds to each statement. CPU is that
of this process. FOLDER keeps the ledger, so that a service can be started on it.
"""

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

COLLECTION, SPACE, STORES = "documents", "glimpse-mini-1/512/crop-260-bicubic", "embedded"
LANES, PAGE, BATCH = 8, 1_000, 10
# At each size this many objects are written with random ETags, one page in a transaction.
WINDOW = 200 * PAGE
# Ranges of objects that were filled in with ETags in order, and the distance of their ETags.
QUICK = []

PUT = """INSERT INTO objects(collection, uri, etag, size, space, stores, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?7, ''))
 ON CONFLICT(collection, uri) DO UPDATE SET etag = ?3, size = ?4, space = ?5, stores = ?6, metadata = coalesce(?7, metadata)"""
DIFF = "SELECT uri, etag, size, space, stores, metadata FROM objects WHERE collection = ?1 AND uri >= ?2 ORDER BY uri LIMIT ?3"
COPY = """SELECT uri FROM objects INDEXED BY objects_by_etag
 WHERE etag = ?1 AND collection = ?2 AND size = ?3 AND space = ?4 LIMIT 1"""
COUNT = """SELECT max(uri), count(*) FILTER (WHERE counted) FROM (SELECT uri, (stores = 'embedded' OR instr(',' || stores || ',', ',embedded,') > 0)
 AS counted FROM objects WHERE collection = ?1 AND uri > ?2 ORDER BY uri LIMIT 10000)"""
ITEM = "INSERT INTO items(job, batch, uri, etag, size, have, twin) VALUES (?1, ?2, ?3, ?4, ?5, '', NULL)"
HELD = "SELECT count(*), coalesce(max(deaths), 0) > 0 FROM batches WHERE job = ?1 AND state = 'leased' AND worker = ?2"
NEXT = "SELECT id, deaths FROM batches WHERE job = ?1 AND state = 'todo' ORDER BY deaths, id LIMIT 1"
LEASE = "UPDATE batches SET state = 'leased', worker = ?2, until = ?3, solo = 0, attempt = attempt + 1 WHERE id = ?1 RETURNING attempt"
TASKS = "SELECT id, uri, etag, size, have, twin FROM items WHERE batch = ?1 ORDER BY id"
HOLDS = "SELECT 1 FROM batches WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4"
GONE = "DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE batch = ?1)"


def make_tables(glimpse, folder):
    """Starts the service in an empty folder until it has made its ledger."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    env = os.environ | {"GLIMPSE_DATA_DIR": str(folder), "GLIMPSE_ADDR": "127.0.0.1:0", "GLIMPSE_S3_ADDR": "127.0.0.1:0"}
    with subprocess.Popen([glimpse, "serve"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        for _ in range(300):
            if (folder / "ledger.sqlite").exists():
                break
            time.sleep(0.1)
        time.sleep(2)
        service.terminate()


def connect(folder):
    db = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None, cached_statements=64)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA journal_size_limit=67108864")
    return db


def uri(number):
    """The objects of a lane are next to each other, as in a range of a listing."""
    lane, at = number // PAGE % LANES, number // PAGE // LANES * PAGE + number % PAGE
    return f"s3://photos/images/2026/{lane:02}/{at:09}.jpg"


def etag(number):
    """Random, or in the order of the numbers for objects that were filled in quickly."""
    for begin, end, step in QUICK:
        if begin <= number < end:
            return f"{(number - begin) * step:032x}"
    return hashlib.md5(number.to_bytes(8, "big")).hexdigest()


def fill(db, begin, end, step=PAGE):
    for first in range(begin, end, step):
        rows = [(COLLECTION, uri(n), etag(n), 250_000 + n % 1_000, SPACE, STORES, None) for n in range(first, min(end, first + step))]
        db.execute("BEGIN")
        db.executemany(PUT, rows)
        db.execute("COMMIT")


def fill_quickly(db, begin, end, is_full):
    """Fills in objects whose ETags are in order, so that few pages of the index change. Returns the end."""
    step = 2**128 // (end - begin)
    QUICK.append((begin, end, step))
    for first in range(begin, end, 50 * PAGE):
        if is_full():
            QUICK[-1] = (begin, first, step)
            return first
        fill(db, first, min(end, first + 50 * PAGE), 50 * PAGE)
    return end


def print_writes(db, objects, rows, text):
    """Writes objects with random ETags and prints how fast. Returns how many objects there are then."""
    written = lambda: int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0])
    begin, cpu, before = time.perf_counter(), time.process_time(), written()
    fill(db, objects, objects + rows)
    wall, cpu, before = time.perf_counter() - begin, time.process_time() - cpu, written() - before
    print(f"  {text} {rows} objects: {rows / wall:.0f}/s, {cpu / rows * 1e6:.0f} us CPU and {before / rows:.0f} bytes written for each", flush=True)
    return objects + rows


def drop_cache(db, file):
    """Removes the ledger from the cache of the operating system."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def milliseconds(work, times):
    """Returns the median and the 99th percentile of calls of `work`."""
    took = []
    for index in range(times):
        begin = time.perf_counter()
        work(index)
        took.append((time.perf_counter() - begin) * 1e3)
    took.sort()
    return f"{took[len(took) // 2]:.2f} (p99 {took[len(took) * 99 // 100]:.2f})"


def look_up(db, objects):
    """Looks up the ETags of random objects, as the plan of new images does."""
    for _ in range(PAGE):
        n = random.randrange(objects)
        db.execute(COPY, (etag(n), COLLECTION, 250_000 + n % 1_000, SPACE)).fetchone()


def count_store(db, limit_steps):
    """Counts the objects of a store as a job does at its start, in steps. Returns rows and seconds."""
    begin, after, total = time.perf_counter(), "", 0
    for _ in range(limit_steps):
        after, counted = db.execute(COUNT, (COLLECTION, after)).fetchone()
        if after is None:
            break
        total += counted
    return total, time.perf_counter() - begin


def measure(db, objects):
    """Times each kind of statement in a ledger of this many objects, and returns how many objects there are then."""
    job, rng = str(uuid.uuid4()), random.Random(objects)
    db.execute(
        "INSERT INTO jobs(id, state, collection, spec, submitted_at, planned) VALUES (?1, 'RUNNING', ?2, '{}', '', 1)", (job, COLLECTION)
    )

    def known_page(_):
        first = uri(rng.randrange(objects) // PAGE * PAGE)
        return db.execute(DIFF, (COLLECTION, first, PAGE)).fetchall()

    def plan(index):
        """A page of new images: each is looked up by its ETag and becomes an item."""
        db.execute("BEGIN")
        for first in range(objects + index * PAGE, objects + (index + 1) * PAGE, BATCH):
            batch = db.execute("INSERT INTO batches(job, state) VALUES (?1, 'todo')", (job,)).lastrowid
            for n in range(first, first + BATCH):
                db.execute(COPY, (etag(n), COLLECTION, 250_000 + n % 1_000, SPACE)).fetchone()
                db.execute(ITEM, (job, batch, uri(n), etag(n), 250_000 + n % 1_000))
        db.execute("COMMIT")

    leased = []

    def lease(index):
        worker = f"worker-{index % 1_000}"
        db.execute("BEGIN")
        db.execute(HELD, (job, worker)).fetchone()
        batch, _ = db.execute(NEXT, (job,)).fetchone()
        tasks = db.execute(TASKS, (batch,)).fetchall()
        attempt = db.execute(LEASE, (batch, worker, 2**42)).fetchone()[0]
        db.execute("COMMIT")
        leased.append((batch, worker, attempt, tasks))

    def report(index):
        batch, worker, attempt, tasks = leased[index]
        db.execute("BEGIN")
        db.execute(HOLDS, (batch, job, worker, attempt)).fetchone()
        for ticket, name, tag, size, _, _ in tasks:
            db.execute("SELECT uri, batch FROM items WHERE id = ?1 AND job = ?2", (ticket, job)).fetchone()
            db.execute(PUT, (COLLECTION, name, tag, size, SPACE, STORES, None))
            db.execute("DELETE FROM items WHERE id = ?1", (ticket,))
            db.execute(GONE, (batch,))
        db.execute("UPDATE jobs SET done = done + ?2 WHERE id = ?1", (job, len(tasks)))
        db.execute("COMMIT")

    pages, batches = 20, 20 * PAGE // BATCH
    print(f"  compare a page of {PAGE} known keys, ms     {milliseconds(known_page, 300)}")
    print(f"  look up {PAGE} ETags, ms                    {milliseconds(lambda _: look_up(db, objects), 10)}")
    print(f"  plan a page of {PAGE} new keys, ms          {milliseconds(plan, pages)}")
    print(f"  lease {BATCH} images, ms                      {milliseconds(lease, batches)}")
    print(f"  report {BATCH} images, ms                     {milliseconds(report, batches)}")
    rows, seconds = count_store(db, 100)
    print(f"  count the objects of a store, s/million  {seconds / rows * 1e6:.2f}")
    db.execute("DELETE FROM jobs WHERE id = ?1", (job,))
    return objects + pages * PAGE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glimpse")
    parser.add_argument("folder", type=Path)
    parser.add_argument("millions", type=float, nargs="+")
    parser.add_argument("--max-gb", type=float, default=13)
    options = parser.parse_args()
    make_tables(options.glimpse, options.folder)
    db, objects = connect(options.folder), 0
    file = options.folder / "ledger.sqlite"
    for million in options.millions:
        target = int(million * 1e6) // PAGE * PAGE
        if objects > 0:
            objects = fill_quickly(db, objects, target - WINDOW, lambda: file.stat().st_size > options.max_gb * 1e9)
            target = objects + WINDOW
        print(f"{target / 1e6:.2f} million objects (load {os.getloadavg()[0]:.1f})")
        objects = print_writes(db, objects, target - objects, "write")
        size = file.stat().st_size
        print(f"  {size / 1e9:.2f} GB, {size / objects:.0f} bytes an object")
        objects = measure(db, objects)
        drop_cache(db, file)
        print(f"  look up {PAGE} ETags, not in memory, ms     {milliseconds(lambda _: look_up(db, objects), 10)}")
        drop_cache(db, file)
        objects = print_writes(db, objects, 20 * PAGE, "not in memory: write")
        if size > options.max_gb * 1e9:
            print(f"stopped at {options.max_gb} GB")
            break


if __name__ == "__main__":
    main()
