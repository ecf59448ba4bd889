"""Workers that lease and report without reading images, against a running service.

    python3 zarf/scale/workers.py URL PID JOB TOKEN JOIN.json --workers 1000 --seconds 30 [--pause 0]

PID is the process of the service, whose threads are listed with their CPU time. JOB and TOKEN are in the reply to the submission of a
job with `"executor": "workers"`. JOIN.json is the body with which a `glimpse worker` of the same model joins (`run.py` records it).
Each worker leases a batch, waits `--pause` seconds, reports all its images as indexed, and begins again. While it has a batch, it sends
a heartbeat every ten seconds on a second connection. If a connection was closed, it opens another one and sends the request again,
as `glimpse worker` does.
"""

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit


HEARTBEAT = 10


class Connection:
    """One connection of a worker."""

    def __init__(self, options, name, totals):
        self.name, self.totals, self.reader, self.writer = name, totals, None, None
        url = urlsplit(options.url)
        self.address, self.job = (url.hostname, url.port), options.job
        self.head = f"host: {url.netloc}\r\nauthorization: Bearer {options.token}\r\ncontent-type: application/json\r\n"

    async def post(self, path, body):
        """Returns the status and the reply. Connects again if the service closed the connection."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = f"POST /internal/jobs/{self.job}/{path} HTTP/1.1\r\n{self.head}content-length: {len(body)}\r\n\r\n".encode() + body
        while True:
            try:
                if self.writer is None:
                    self.reader, self.writer = await asyncio.open_connection(*self.address)
                self.writer.write(request)
                head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                reply = await self.reader.readexactly(length)
                status = int(head[9:12])
                return status, json.loads(reply or b"{}") if status == 200 else {"message": reply.decode(errors="replace")}
            except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
                self.totals["timeouts" if isinstance(error, TimeoutError) else "connections closed"] += 1
                if self.writer is not None:
                    self.writer.close()
                self.writer = None
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                if self.writer is not None:
                    self.writer.close()
                self.writer = None
                raise

    async def timed(self, kind, path, body):
        begin = time.perf_counter()
        status, reply = await self.post(path, body)
        self.totals[kind].append(time.perf_counter() - begin)
        if status != 200:
            reason = f"{status} {reply.get('message', '')[:120]}"
            self.totals["refused"][reason] = self.totals["refused"].get(reason, 0) + 1
        return status, reply

    async def renew(self, held):
        """Sends heartbeats until it is cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self.timed("heartbeat", "heartbeat", {"worker": self.name, "held": held})

    async def work(self, heartbeats, join, until, pause):
        await self.timed("join", f"workers/{self.name}", join)
        while time.perf_counter() < until:
            status, batch = await self.timed("lease", "leases", {"worker": self.name, "held": []})
            if status in (409, 410) or batch.get("stop"):
                return
            if status != 200:
                await asyncio.sleep(1)
                continue
            if "wait_ms" in batch:
                self.totals["without work"] += 1
                await asyncio.sleep(batch["wait_ms"] / 1e3)
                continue
            held = [{"batch": batch["batch"], "attempt": batch["attempt"]}]
            renewal = asyncio.create_task(heartbeats.renew(held))
            await asyncio.sleep(pause)
            outcomes = [
                {
                    "ticket": task["ticket"],
                    "fate": {"indexed": {"etag": task["image"]["etag"], "size_bytes": 250_000, "stores": "embedded", "copied": False}},
                }
                for task in batch["tasks"]
            ]
            body = {"worker": self.name, "attempt": batch["attempt"], "outcomes": outcomes, "held": held}
            status, reply = await self.timed("report", f"batches/{batch['batch']}/result", body)
            renewal.cancel()
            self.totals["images"] += len(outcomes)
            self.totals["lost"] += len(reply.get("lost", []))


def cpu_by_thread(pid):
    """Returns for each thread, by its number and name, the seconds on a CPU and the seconds that it waited for one."""
    threads = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        used, waited, _ = (task / "schedstat").read_text().split()
        threads[(task.name, (task / "comm").read_text().strip())] = (int(used) / 1e9, int(waited) / 1e9)
    return threads


def print_threads(pid, before, wall, calls, what, lines):
    """Prints the threads that used the most CPU time since `before`."""
    zero, used = (0, 0), []
    for key, (cpu, waited) in cpu_by_thread(pid).items():
        used.append((cpu - before.get(key, zero)[0], waited - before.get(key, zero)[1], key))
    used.sort(reverse=True)
    print(f"  service: {sum(cpu for cpu, _, _ in used) / calls * 1e6:.0f} us CPU a {what}")
    for cpu, waited, (task, name) in used[:lines]:
        print(f"    {name} {task}: {cpu / calls * 1e6:.0f} us a {what}; {cpu / wall:.0%} of the time on a CPU, {waited / wall:.0%} waiting for one")


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["url", "pid", "job", "token", "join"]:
        parser.add_argument(name)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--pause", type=float, default=0)
    options = parser.parse_args()
    totals = {"join": [], "lease": [], "report": [], "heartbeat": [], "images": 0, "lost": 0, "without work": 0, "timeouts": 0, "connections closed": 0, "refused": {}}
    join = Path(options.join).read_bytes()
    before, own, begin = cpu_by_thread(options.pid), time.process_time(), time.perf_counter()
    until, works = begin + options.seconds, []
    for number in range(options.workers):
        worker, heartbeats = (Connection(options, f"worker-{number:04}", totals) for _ in range(2))
        works.append(worker.work(heartbeats, join, until, options.pause))
    await asyncio.gather(*works)
    wall, own = time.perf_counter() - begin, time.process_time() - own
    print(f"{options.workers} workers, {wall:.1f} s, load {os.getloadavg()[0]:.1f}; this program used {own / wall:.0%} of a core")
    for kind in ["join", "lease", "report", "heartbeat"]:
        took = sorted(totals[kind])
        if took:
            at = lambda share: took[min(len(took) - 1, int(len(took) * share))] * 1e3
            print(f"  {kind:7} {len(took) / wall:7.0f}/s  p50 {at(0.5):.1f} ms  p99 {at(0.99):.1f} ms  max {took[-1] * 1e3:.0f} ms")
    print(f"  {totals['images'] / wall:.0f} images/s;", {key: value for key, value in totals.items() if not isinstance(value, list)})
    print_threads(options.pid, before, wall, sum(len(totals[kind]) for kind in ["lease", "report", "heartbeat"]), "request", 6)


if __name__ == "__main__":
    asyncio.run(main())
