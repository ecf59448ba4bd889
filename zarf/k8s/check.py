"""Checks manifests of Kubernetes beyond their schemas: check.py FILE...

Settings exist in docs/settings.md, secrets come from files, pods are confined, and selectors select something.
"""

import re
import sys
from pathlib import Path

import yaml

SETTINGS = Path("docs/settings.md").read_text()
# The rows of the tables of settings.
KNOWN = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", SETTINGS, re.MULTILINE))
# "Each of these settings can be set by a file: ..."
SECRET_FILES = set(re.findall(r"`([A-Z0-9_]+)_FILE`", SETTINGS.split("**Secrets from files.**")[1].split("\n\n")[0]))
NAMED = re.compile(r"^(CLIP_URL|CLIP_MODEL|CLIP_API_KEY|CLIP_TIMEOUT|IMAGE_EMBEDDING_PROVIDER)_[A-Z0-9_]+$")
# Not settings: they are used in the arguments of a container.
OF_PODS = {"POD_NAME", "NODE_NAME"}
FAILURES = []


def check(holds, message):
    if not holds:
        FAILURES.append(message)


def is_known(name):
    secret = name.removesuffix("_FILE")
    return name in KNOWN | OF_PODS or secret in SECRET_FILES or NAMED.match(secret)


def matches(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def check_pod(name, template, maps):
    spec, where = template["spec"], name
    check(spec.get("enableServiceLinks") is False, f"{where}: variables of services look like settings")
    check(spec.get("automountServiceAccountToken") is False, f"{where}: the token of Kubernetes is mounted")
    security = spec["securityContext"]
    check(security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0, f"{where}: runs as root")
    check(security.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{where}: has no seccomp profile")
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for container in spec["containers"]:
        security = container["securityContext"]
        check(security.get("readOnlyRootFilesystem") is True, f"{where}: its root can be written")
        check(security.get("allowPrivilegeEscalation") is False, f"{where}: can get more privileges")
        check(security.get("capabilities", {}).get("drop") == ["ALL"], f"{where}: has capabilities")
        check("memory" in container.get("resources", {}).get("limits", {}), f"{where}: has no limit of memory")
        variables = {one["name"]: one.get("value") for one in container["env"]}
        check(len(variables) == len(container["env"]), f"{where}: a variable is set twice")
        for source in container["envFrom"]:
            data = maps[source["configMapRef"]["name"]]
            check(not data.keys() & variables.keys(), f"{where}: {data.keys() & variables.keys()} are set twice")
            variables.update(data)
        for variable, value in variables.items():
            check(is_known(variable), f"{where}: docs/settings.md has no {variable}")
            check(variable not in SECRET_FILES, f"{where}: {variable} is a secret, and not a file")
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        check("/data" in mounts and variables["GLIMPSE_DATA_DIR"] == "/data", f"{where}: its data have no volume")
        mounted = {
            item["path"] for source in volumes["secrets"]["projected"]["sources"] for item in source["secret"]["items"]
        }
        named = {value.rsplit("/", 1)[1] for value in variables.values() if str(value).startswith("/run/secrets/")}
        check(mounted == named, f"{where}: the mounted secrets {mounted} are not those that settings name: {named}")


def check_file(file):
    documents = [one for one in yaml.safe_load_all(Path(file).read_text()) if one]
    by_kind = {}
    for one in documents:
        by_kind.setdefault(one["kind"], []).append(one)
    of_kind = lambda kind: by_kind.get(kind, [])
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind("ConfigMap")}
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in of_kind("StatefulSet") + of_kind("Deployment")}
    check(len(of_kind("StatefulSet")) == 1, f"{file}: one StatefulSet")
    for name, template in pods.items():
        check_pod(f"{file}: {name}", template, maps)
    labels = [template["metadata"]["labels"] for template in pods.values()]
    for one in of_kind("StatefulSet"):
        check(one["spec"]["replicas"] == 1, f"{file}: one process uses the data folder")
        probes = one["spec"]["template"]["spec"]["containers"][0]
        paths = [probes[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        check(paths == ["/healthz", "/healthz", "/readyz"], f"{file}: probes of {paths}")
    selectors = [one["spec"]["selector"] for one in of_kind("Service")]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in of_kind("PodDisruptionBudget")]
    for selector in selectors:
        check(sum(matches(selector, one) for one in labels) == 1, f"{file}: {selector} selects not one kind of pod")
    for one in of_kind("NetworkPolicy"):
        selector = one["spec"]["podSelector"]["matchLabels"]
        check(all(matches(selector, one) for one in labels), f"{file}: the network policy does not select all pods")
    scaled = [one["spec"]["scaleTargetRef"]["name"] for one in of_kind("HorizontalPodAutoscaler") + of_kind("ScaledObject")]
    for one in of_kind("HorizontalPodAutoscaler"):
        metrics = [metric["external"]["metric"] for metric in one["spec"]["metrics"] if metric["type"] == "External"]
        documented = Path("docs/metrics.md").read_text()
        check(all(f"| `{metric['name']}` | gauge | `executor` |" in documented for metric in metrics), f"{file}: scaled by {metrics}")
        if "images-left" in str(file):
            kinds = [metric["type"] for metric in one["spec"]["metrics"]]
            check(kinds == ["External"], f"{file}: scaled by {kinds} in place of the images that are left")
    deployments = [one["metadata"]["name"] for one in of_kind("Deployment")]
    check(scaled == deployments, f"{file}: {deployments} are scaled by the autoscalers of {scaled}")
    for one in of_kind("Deployment"):
        check("replicas" not in one["spec"], f"{file}: an update would reset the number of replicas")
    return len(documents)


check(len(KNOWN) > 100 and len(SECRET_FILES) >= 9, f"docs/settings.md: {len(KNOWN)} settings, {len(SECRET_FILES)} secrets")
pattern = re.search(r"^\^\((.*)\)\$$", Path("zarf/k8s/chart/templates/_helpers.tpl").read_text(), re.MULTILINE)[1]
check({re.sub(r"\(.*\)\?", "", name) for name in re.split(r"\|", pattern)} == SECRET_FILES, f"the chart's list of secrets: {pattern}")
total = sum(check_file(file) for file in sys.argv[1:])
for failure in FAILURES:
    print(failure, file=sys.stderr)
if FAILURES:
    sys.exit(1)
print(f"checked {total} resources in {len(sys.argv) - 1} files")
