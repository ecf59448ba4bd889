"""Runs a service and a Prometheus that scrapes it, and evaluates every query of the dashboard and every alert rule.

    python3 zarf/observability/check.py target/debug/glimpse

Fails if Prometheus refuses a query or a rule, if a query of the dashboard has no data for another reason than in EMPTY, or if
an alert fires.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
# Queries that have no data in a small service without problems, and why.
EMPTY = {
    "glimpse_recall_at_10": "the self-test needs a larger collection",
    "glimpse_events_total": "there is no mirror",
    "glimpse_mirror_lag_seconds": "there is no mirror",
    "glimpse_queue_": "no queue is set",
}
SCRAPES = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read()


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"{what} did not happen within a minute")


def query(prometheus, expression):
    for name, value in {"$job": ".*", "$instance": ".*", "$__rate_interval": "20s"}.items():
        expression = expression.replace(name, value)
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        return json.loads(get(url))["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"Prometheus refuses {expression}: {error.read().decode()}")


def expressions():
    with open(os.path.join(HERE, "dashboard.json")) as file:
        dashboard = json.load(file)
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def check(service, prometheus):
    wait_until(lambda: query(prometheus, "up == 1"), "a scrape")
    # Traffic for rates: an ingest and searches while Prometheus scrapes.
    for n in range(SCRAPES):
        get(f"{service}/search/images?q=a+cat&limit=3" + ("" if n % 2 else f"&offset={n}"))
        for image in json.loads(get(f"{service}/search/images?q=a+fox&limit=2"))["results"]:
            get(service + image["thumbnail"])
        time.sleep(1)
    failures = []
    for title, expression in expressions():
        result = query(prometheus, expression)
        reason = next((why for name, why in EMPTY.items() if name in expression), None)
        if result and reason:
            failures.append(f"{title}: has data, but EMPTY names it: {expression}")
        elif not result and not reason:
            failures.append(f"{title}: no data: {expression}")
        print(f"{title}: {len(result)} series" + (f" ({reason})" if not result and reason else ""))
    groups = json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            failures.append(f"{rule['name']}: {rule['health']} {rule.get('lastError')}")
        if rule["state"] == "firing":
            failures.append(f"{rule['name']} fires: {rule['alerts']}")
        print(f"{rule['name']}: {rule['health']}, {rule['state']}")
    if not rules:
        failures.append("Prometheus has no rules")
    return failures


def main():
    binary = os.path.abspath(sys.argv[1])
    ports = [free_port() for _ in range(3)]
    service, prometheus = (f"http://127.0.0.1:{port}" for port in ports[:2])
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "GLIMPSE_ADDR": f"127.0.0.1:{ports[0]}",
            "GLIMPSE_S3_ADDR": f"127.0.0.1:{ports[2]}",
            "GLIMPSE_DATA_DIR": os.path.join(folder, "data"),
            "GLIMPSE_URL": service,
        }
        environment = {**os.environ, **settings}
        with open(os.path.join(HERE, "prometheus.yaml")) as file:
            configuration = file.read().replace("127.0.0.1:8080", f"127.0.0.1:{ports[0]}")
        configuration = configuration.replace("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s")
        configuration = configuration.replace("alerts.yaml", os.path.join(HERE, "alerts.yaml"))
        path = os.path.join(folder, "prometheus.yaml")
        with open(path, "w") as file:
            file.write(configuration)
        processes = []
        try:
            processes.append(subprocess.Popen([binary, "serve"], env=environment, stderr=subprocess.DEVNULL))
            wait_until(lambda: get(f"{service}/readyz"), "the start of the service")
            arguments = [f"--config.file={path}", f"--storage.tsdb.path={folder}/prometheus"]
            arguments.append(f"--web.listen-address=127.0.0.1:{ports[1]}")
            processes.append(subprocess.Popen(["prometheus", *arguments], stderr=subprocess.DEVNULL))
            wait_until(lambda: get(f"{prometheus}/-/ready"), "the start of Prometheus")
            subprocess.run([binary, "seed", "--count", "26"], env=environment, check=True, stdout=subprocess.DEVNULL)
            subprocess.run([binary, "ingest"], env=environment, check=True, stdout=subprocess.DEVNULL)
            failures = check(service, prometheus)
        finally:
            for process in processes:
                process.terminate()
                process.wait(30)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
