"""Lets 1,000 workers lease and report at a real service, without images.

    python3 zarf/scale/simulate.py GLIMPSE FOLDER [--keys 200000] [--first 0] [--batch 10] [--collection documents]
        [--rounds 10:10:0,1000:30:0,...]

GLIMPSE is the binary. FOLDER is its data folder: empty, or with the ledger that `ledger.py` has filled. `bucket.py` lists the keys, and the
service plans them. Each round is WORKERS:SECONDS:PAUSE of `workers.py`. Prints how fast the keys were listed and planned, and each
round's requests per second, latencies and CPU time by thread. The job is left unfinished.
"""

import argparse
import http.server
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from workers import cpu_by_thread, print_threads

HERE, PORT = Path(__file__).parent, 18_080
URL, BUCKET, CAPTURE = f"http://127.0.0.1:{PORT}", PORT + 1, PORT + 2


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=60).read())


def record_join(glimpse, env, file):
    """Records the body with which a worker joins: it has the probes of the model."""

    class Recorder(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if not self.path.endswith("/exit"):
                file.write_text(json.dumps(json.loads(body) | {"object": "not_compared"}))
            reply = b'{"message": "", "code": "job_ended"}'
            self.send_response(410)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", CAPTURE), Recorder) as recorder:
        command = [glimpse, "worker", "--service", f"http://127.0.0.1:{CAPTURE}", "--job", "0192f000-0000-7000-8000-000000000000"]
        with subprocess.Popen(command, env=env | {"GLIMPSE_WORKER_TOKEN": "x"}, stderr=subprocess.DEVNULL) as worker:
            while not file.exists():
                recorder.handle_request()
            worker.terminate()


def plan(options, service):
    """Submits the job and waits until all keys are planned. Returns its reply."""
    begin, before = time.perf_counter(), cpu_by_thread(service.pid)
    job = call("/jobs/images", {"s3_prefix": "images/", "collection": options.collection, "executor": "workers"})
    first = None
    while True:
        state = call(f"/jobs/{job['job_id']}")
        listed = state["counts"]["listed"]
        if listed and first is None:
            first = time.perf_counter()
            print(f"first page planned {first - begin:.1f} s after the submission")
        if listed >= options.keys or state["status"] not in ("PENDING", "RUNNING"):
            break
        time.sleep(0.5)
    wall = time.perf_counter() - begin
    print(f"{listed} keys planned in {wall:.1f} s, {state['counts']}, {state['status']} {state.get('message') or ''}")
    print_threads(service.pid, before, wall, max(1, listed), "key", 3)
    return job


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glimpse")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--collection", default="documents")
    parser.add_argument("--rounds", default="10:10:0,100:10:0,500:10:0,1000:20:0")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | {
        "GLIMPSE_DATA_DIR": str(options.folder),
        "GLIMPSE_ADDR": f"127.0.0.1:{PORT}",
        "S3_ENDPOINT": f"http://127.0.0.1:{BUCKET}",
        "S3_ACCESS_KEY_ID": "key",
        "S3_SECRET_ACCESS_KEY": "secret",
        "S3_BUCKET": "photos",
        "IMAGE_BATCH_SIZE": str(options.batch),
        "GLIMPSE_CALIBRATE": "false",
        "GLIMPSE_LOG": "error",
    }
    join = options.folder / "join.json"
    if not join.exists():
        record_join(options.glimpse, env, join)
    bucket = subprocess.Popen([sys.executable, HERE / "bucket.py", str(BUCKET), str(options.keys), str(options.first)])
    begin = time.perf_counter()
    service = subprocess.Popen([options.glimpse, "serve"], env=env)
    try:
        while True:
            try:
                call("/healthz")
                break
            except OSError:
                time.sleep(0.05)
        print(f"the service listens {time.perf_counter() - begin:.1f} s after its start", flush=True)
        job = plan(options, service)
        for line in options.rounds.split(","):
            workers, seconds, pause = line.split(":")
            command = [sys.executable, HERE / "workers.py", URL, str(service.pid), job["job_id"], job["worker_token"], join]
            subprocess.run([*command, "--workers", workers, "--seconds", seconds, "--pause", pause], check=False)
            state = call(f"/jobs/{job['job_id']}")
            print(f"  job: {state['status']}, {state['counts']}", flush=True)
    finally:
        service.terminate()
        service.wait(60)
        bucket.terminate()


if __name__ == "__main__":
    main()
