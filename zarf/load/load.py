"""Searches by text under load: `make load`.

Starts the service with the embedded model, bucket and store, indexes 1,000 images, adds records to the collection, and lets
oha search with random texts: one searcher, many searchers beside a job, and many searchers of a service on one core.
"""

import base64
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from array import array
from pathlib import Path

IMAGES = 1_000
RECORDS = int(os.environ.get("RECORDS", "100000"))
SEARCHERS = int(os.environ.get("SEARCHERS", "200"))
SECONDS = int(os.environ.get("SECONDS_OF_LOAD", "60"))
# Records in a request; the service takes at most 16 MiB.
BATCH = 1_000
# About 100,000 texts, so that most are not in the cache of texts.
WORDS = [
    "red|blue|old|small|large|happy|wet|dark|bright|young|wild|white|brown|green|striped|spotted|sleeping|running",
    "cat|dog|bird|horse|panda|child|man|woman|car|boat|tree|flower|house|bridge|cup|clock|rocket|mountain|beach|fox",
    "in|on|near|behind|under|above",
    "snow|grass|water|a\\+street|a\\+table|the\\+sun|a\\+forest|a\\+field|a\\+room|the\\+sea|a\\+city|a\\+hand",
]


class Service:
    """A running service with its own data folder."""

    def __init__(self, binary, folder):
        self.binary, self.address = binary, f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "GLIMPSE_DATA_DIR": str(folder),
            "GLIMPSE_ADDR": self.address,
            "GLIMPSE_S3_ADDR": f"127.0.0.1:{free_port()}",
            "GLIMPSE_URL": self.url,
            "RUST_LOG": "warn",
        }
        self.log = open(folder / "service.log", "wb")
        self.process = subprocess.Popen([binary, "serve"], env=self.environment, stdout=self.log, stderr=self.log)
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.request("GET", "/readyz")
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the service does not start; see {self.log.name}")
                time.sleep(0.1)

    def request(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read()
        return json.loads(text) if text.startswith(b"{") else text

    def run(self, *arguments):
        subprocess.run([self.binary, *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def memory_mb(self):
        """Returns the resident memory and its maximum."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in status if ":" in line)
        return [int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")]

    def use_one_core(self):
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), {0})

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def add_records(service):
    """Writes records like a worker: mixtures of the vectors of the indexed images."""
    # An image that no worker takes keeps the job open.
    service.run("seed", "--count", "1", "--prefix", "waiting/")
    job = service.request("POST", "/jobs/images", {"executor": "workers"})
    path, token = f"/internal/jobs/{job['job_id']}/records", job["worker_token"]
    found = service.request("GET", "/search/images?q=an+image&limit=100")["results"]
    ids = [hit["id"] for hit in found]
    records = service.request("POST", path, {"op": "get", "ids": ids}, token)["records"]
    vectors = [array("f", base64.b64decode(record["vector"])) for record in records]
    payload = records[0]["payload"]
    mixing = random.Random(1)
    for first in range(0, RECORDS, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, RECORDS)):
            one, other, share = mixing.choice(vectors), mixing.choice(vectors), mixing.random()
            vector = array("f", [a + share * b for a, b in zip(one, other)])
            key = f"records/{number:07}.jpg"
            uri = f"s3://{payload['s3_bucket']}/{key}"
            own = {**payload, "s3_key": key, "s3_uri": uri, "s3_folders": ["records/"], "content_sha256": f"{number:064x}"}
            batch.append({"payload": own, "vector": base64.b64encode(vector.tobytes()).decode()})
        service.request("POST", path, {"op": "upsert", "records": batch}, token)
    service.request("DELETE", f"/jobs/{job['job_id']}")


def search(service, tool, searchers, seconds):
    texts = "\\+".join(f"({words})" for words in WORDS)
    # oha takes a dot as it is.
    url = f"http://{service.address}/search/images\\?limit=20&q={texts}"
    command = [tool, "-z", f"{seconds}s", "-c", str(searchers), "--no-tui", "--output-format", "json",
               "--stats-success-breakdown", "--rand-regex-url", url]
    reply = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(reply.stdout)


def show(name, measured, memory):
    codes = measured["statusCodeDistribution"]
    total = sum(codes.values())
    good = codes.get("200", 0)
    if not good:
        raise SystemExit(f"no search of `{name}` was answered: {codes} {measured['errorDistribution']}")
    latency = measured.get("latencyPercentilesSuccessful") or measured["latencyPercentiles"]
    refused = measured.get("latencyPercentilesNotSuccessful") or {}
    seconds = measured["summary"]["total"]
    milliseconds = [f"{latency[key] * 1000:8.0f}" for key in ("p50", "p95", "p99")]
    others = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()) if code != "200")
    broken = ", ".join(f"{count} x {error}" for error, count in measured["errorDistribution"].items())
    slowest = f" (p99 {refused['p99'] * 1000:.0f} ms)" if others and refused.get("p99") else ""
    print(f"{name:38} {good / seconds:8.1f} {' '.join(milliseconds)}  {memory[0]:5} MB  "
          f"{others or 'none'} of {total}{slowest}{'; ' + broken if broken else ''}", flush=True)


def main():
    binary, tool = (str(Path(argument).resolve()) for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="glimpse-load-") as folder:
        service = Service(binary, Path(folder))
        try:
            service.run("seed", "--count", str(IMAGES))
            service.run("ingest")
            add_records(service)
            print(f"{IMAGES:,} images and {RECORDS:,} records; {os.cpu_count()} cores, also for the load\n")
            print(f"{'':38} searches/s  p50 ms   p95 ms   p99 ms   memory  other replies", flush=True)
            show("1 searcher", search(service, tool, 1, SECONDS // 4), service.memory_mb())
            show(f"{SEARCHERS} searchers", search(service, tool, SEARCHERS, SECONDS), service.memory_mb())
            service.run("seed", "--count", str(4 * IMAGES), "--prefix", "job/")
            job = service.request("POST", "/jobs/images", {"s3_prefix": "job/"})["job_id"]
            beside = search(service, tool, SEARCHERS, SECONDS)
            counts = service.request("GET", f"/jobs/{job}")["counts"]
            show(f"{SEARCHERS} searchers beside a job", beside, service.memory_mb())
            print(f"{'':38} the job indexed {counts['done'] / SECONDS:.1f} images/s", flush=True)
            service.request("DELETE", f"/jobs/{job}")
            service.use_one_core()
            show("8 searchers, service on one core", search(service, tool, 8, SECONDS // 2), service.memory_mb())
            print(f"maximum resident memory: {service.memory_mb()[1]} MB")
        finally:
            service.stop()


main()
