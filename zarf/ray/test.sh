#!/usr/bin/env bash
# Runs the tests that need a real Ray cluster: `make test-ray`. Installs Ray into a virtual environment in the user's cache (400 MB,
# a minute; only this needs the network) and runs them beside a cluster in a network of its own.
#
# If that is not possible, it prints the reason and succeeds, or fails if the comma-separated list REQUIRE has `ray`.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The same as in zarf/docker/ray.Dockerfile.
version=2.60.0

skip() {
    if [[ ,${REQUIRE:-}, == *,ray,* ]]; then
        echo "REQUIRE has ray, whose tests cannot run: $1" >&2
        exit 1
    fi
    echo "skipped: $1" >&2
    exit 0
}
[ "$(id -u)" = 0 ] || skip "run as root, who may create network namespaces"
for tool in unshare ip python3; do
    command -v "$tool" >/dev/null || skip "install $tool"
done
unshare -n -p -f --mount-proc true 2>/dev/null || skip "run on a system that allows network and process namespaces"

venv=${XDG_CACHE_HOME:-$HOME/.cache}/glimpse/ray-$version
if [ ! -e "$venv/whole" ]; then
    python3 -m venv --clear "$venv" || skip "install python3-venv"
    "$venv/bin/pip" install --quiet "ray[default]==$version" || skip "make PyPI reachable, or install Ray $version into $venv"
    touch "$venv/whole"
fi

"${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it --no-run
export PATH=$venv/bin:$PATH GLIMPSE_WORKER_BIN=${CARGO_TARGET_DIR:-$PWD/target}/debug/glimpse
export S3_ENDPOINT=http://127.0.0.1:9100 S3_ACCESS_KEY_ID=ray-test S3_SECRET_ACCESS_KEY=ray-test-secret
# A test that does not find the cluster must fail.
export REQUIRE=ray
export IMAGE_EMBEDDING_PROVIDER=clip CLIP_URL=http://127.0.0.1:9200 GLIMPSE_EMBED_LANES=1
exec unshare -n -p -f --mount-proc --kill-child zarf/ray/cluster.sh \
    env -u S3_ENDPOINT "${CARGO:-cargo}" test --locked --offline ${FEATURES:+--features "$FEATURES"} --test it -- --nocapture ray::cluster::
