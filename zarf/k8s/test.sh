#!/usr/bin/env bash
# Checks the chart and the plain manifests: `make test-charts`. `helm` is that of PATH, or is built once into the user's cache (go; some
# minutes). The schemas of Kubernetes come with the package kubernetes-validate of PyPI (python3; 110 MB under target/charts).
#
#   zarf/k8s/test.sh --write     writes the plain manifests, zarf/k8s/glimpse.yaml, from the chart
#
# If that is not possible, it prints the reason and succeeds, or fails if the comma-separated list REQUIRE has `charts`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. zarf/servers/lib.sh
chart=zarf/k8s/chart plain=zarf/k8s/glimpse.yaml
# The oldest and the newest version whose schemas the package has; the chart needs the first one.
versions=(1.25.0 1.31.0 1.37.0)

skip() {
    if [[ ,${REQUIRE:-}, == *,charts,* ]]; then
        echo "REQUIRE has charts, which cannot be tested: $1" >&2
        exit 1
    fi
    echo "skipped: $1" >&2
    exit 0
}
find_program() {
    if ! command -v "$1" >/dev/null; then
        install "$@" || skip "install $1"
        PATH=$cache:$PATH
    fi
}
find_program helm helm.sh/helm/v3/cmd/helm helm.sh/helm/v3 v3.22.0
render() { helm template glimpse "$chart" --namespace glimpse --kube-version "${versions[-1]}" "$@"; }
manifests() {
    echo "# Glimpse without Helm: written from the chart by zarf/k8s/test.sh --write, with its default values. docs/deployment.md has the steps."
    render
}
if [ "${1:-}" = --write ]; then
    manifests >"$plain"
    exit 0
fi
command -v python3 >/dev/null || skip "install python3"
here=target/charts
if [ ! -x "$here/bin/kubernetes-validate" ]; then
    { rm -rf "$here" && python3 -m venv "$here" && "$here/bin/pip" install --quiet kubernetes-validate==1.37.0; } || skip "PyPI cannot be reached"
fi
schemas=$("$here/bin/python" -c 'import kubernetes_validate, os; print(os.path.dirname(kubernetes_validate.__file__))')/kubernetes-json-schema

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
helm lint --strict --quiet "$chart"
manifests | diff "$plain" - || { echo "$plain is not that of the chart: zarf/k8s/test.sh --write" >&2 && exit 1; }

cp "$plain" "$folder/plain.yaml"
render --values zarf/k8s/examples/workers.yaml >"$folder/workers.yaml"
render --values zarf/k8s/examples/workers.yaml --values zarf/k8s/examples/keda.yaml >"$folder/keda.yaml"
render --values zarf/k8s/examples/workers.yaml --values zarf/k8s/examples/images-left.yaml >"$folder/images-left.yaml"
render --set networkPolicy.enabled=false --set serviceAccount.name=default --set-json 'secretFiles={"GLIMPSE_API_KEY":{"secret":"a","key":"b"},"CLIP_API_KEY_LARGE":{"secret":"a","key":"c"}}' \
    --set-json 'settings={"CLIP_URL_LARGE":"http://clip:8000","RAY_ADDRESS":"http://ray-head:8265"}' >"$folder/ray.yaml"
# The resources of KEDA are not of Kubernetes.
mkdir "$folder/schemas"
for file in "$folder"/*.yaml; do
    "$here/bin/python" -c 'import sys, yaml; yaml.dump_all((one for one in yaml.safe_load_all(open(sys.argv[1])) if one and not one["apiVersion"].startswith("keda.sh")), sys.stdout)' \
        "$file" >"$folder/schemas/${file##*/}"
done
validate() { "$here/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$1" "$2"; }
for version in "${versions[@]}"; do
    for file in "$folder/schemas"/*.yaml; do
        validate "${version%.0}" "$file"
    done
done
sed 's/enableServiceLinks:/enableServiceLink:/' "$plain" >"$folder/schemas/wrong.yaml"
if validate "${versions[-1]%.0}" "$folder/schemas/wrong.yaml" >/dev/null 2>&1; then
    echo "kubernetes-validate accepts a field that does not exist" >&2
    exit 1
fi
echo "the schemas of Kubernetes ${versions[*]} accept the manifests"
"$here/bin/python" zarf/k8s/check.py "$folder"/*.yaml

# What must be refused, with a message that names the value.
refuse() {
    local expected=$1
    shift
    if render "$@" >"$folder/refused" 2>&1 || ! grep -qF "$expected" "$folder/refused"; then
        cat "$folder/refused"
        echo "the chart must refuse $* with: $expected" >&2
        exit 1
    fi
}
refuse 'settings.S3_ENDPOINT is embedded' --set workers.enabled=true --set workers.job=x
refuse 'workers.job' --set workers.enabled=true --set settings.S3_ENDPOINT=aws
refuse 'settings.QDRANT_API_KEY is a secret' --set settings.QDRANT_API_KEY=x
refuse 'settings.GLIMPSE_ADDR cannot be changed' --set settings.GLIMPSE_ADDR=x
refuse 'secretFiles.S3_BUCKET cannot be read from a file' --set-json 'secretFiles={"S3_BUCKET":{"secret":"a","key":"b"}}'
refuse 'secretFiles.GLIMPSE_API_KEY.secret' --set secretFiles.GLIMPSE_API_KEY.secret=
refuse 'neither imagesPerWorker, cpuPercent nor metrics' --set workers.enabled=true --set workers.job=x --set settings.S3_ENDPOINT=aws --set workers.autoscaling.cpuPercent=null
echo "the chart refuses 7 mistakes"
