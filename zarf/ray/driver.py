"""Places Glimpse's workers on a Ray cluster, and starts again those that die, but not those that are refused.

Batches, retries and the state of the job are the service's; the work is the binary's.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
import uuid

import ray

SERVICE = os.environ["GLIMPSE_SERVICE_URL"].rstrip("/")
JOB = os.environ["GLIMPSE_JOB_ID"]
TOKEN = os.environ["GLIMPSE_WORKER_TOKEN"]
WORKERS, CPUS = int(os.environ["GLIMPSE_RAY_WORKERS"]), float(os.environ["GLIMPSE_RAY_CPUS"])
GRACE_S = 300  # the service may be away for so long
REFUSED = 78  # EX_CONFIG: the worker would be refused again
OVER = (401, 403, 404, 410)  # this generation of the job is
AWAY = (OSError, ValueError, http.client.HTTPException)  # what a service says that is not there


def call(path: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer " + TOKEN}
    request = urllib.request.Request(f"{SERVICE}/internal/jobs/{JOB}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.loads(reply.read() or b"{}")


def tell(path: str, body: object) -> None:
    for pause in (0.2, 0.5, 1, 2, 0):
        try:
            call(path, body)
            return
        except AWAY:
            time.sleep(pause)


def log(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
    tell("/logs", {"worker": "ray", "lines": lines})


@ray.remote(num_cpus=CPUS, max_retries=-1, scheduling_strategy="SPREAD")
def pool(slot: int) -> int:
    node = ray.get_runtime_context().get_node_id()
    binary = os.environ.get("GLIMPSE_WORKER_BIN", "glimpse")
    crash = 0
    while True:
        begun = time.time()
        name = f"{node[:8]}-{slot}-{uuid.uuid4().hex[:6]}"
        args = ["--service", SERVICE, "--job", JOB, "--name", name, "--node", node[:8]]
        # Its standard input closes when this process ends: it leaves then.
        worker = subprocess.Popen([binary, "worker", *args, "--with-parent"], stdin=subprocess.PIPE)
        if code := worker.wait():
            print(f"worker {name} ended with {code}", flush=True)
            tell(f"/workers/{name}/exit", {"rc": code})
        if code in (0, REFUSED):
            return code
        crash = 0 if time.time() - begun > 60 else min(crash + 1, 6)  # it worked: no crash loop
        time.sleep(0.1 * 2**crash)


def main() -> int:
    ray.init(log_to_driver=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pools, seen, ended = [pool.remote(slot) for slot in range(WORKERS)], time.time(), False
    while True:
        time.sleep(1)
        try:
            summary, seen = call("/summary"), time.time()
            if summary["terminal"]:
                return 0
        except AWAY as error:
            if getattr(error, "code", 0) in OVER:  # this generation is over
                return 0
        if time.time() - seen > GRACE_S:
            return 75
        if not ray.wait(pools, num_returns=len(pools), timeout=0)[1]:
            if ended:
                refused = set(ray.get(pools)) == {REFUSED}
                log("the service refused every worker" if refused else "no worker is left")
                return REFUSED if refused else 70
            ended = True  # the last report may still be on its way: asked once more


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        log(*traceback.format_exc().splitlines()[-20:])
        raise
