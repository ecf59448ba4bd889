#!/usr/bin/env bash
# Tests the running service against its OpenAPI document with schemathesis (from PyPI, into target/api): `make test-api`.
# The requests are the same in each run, so that a build does not fail by chance: SEED=2 makes others, EXAMPLES=500 more.
# Prints the reason and succeeds if python3 is missing or PyPI cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=4.32.5
venv=target/api/venv

if ! command -v python3 >/dev/null; then
    echo "skipped: install python3 to test the API with schemathesis"
    exit 0
fi
if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -qF "$version"; then
    rm -rf "$venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "schemathesis==$version"; }; then
        echo "skipped: schemathesis $version could not be installed from PyPI"
        exit 0
    fi
fi
# The tests build the same binary. `cargo build` would compile most dependencies again, without the features of tests.
"${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it --no-run

folder=$(mktemp -d)
service=
stop() {
    if [ -n "$service" ]; then
        kill "$service" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export GLIMPSE_API_KEY=the-key-of-the-test
# The loop below can read it before the service has made it.
: >"$folder/log"
GLIMPSE_DATA_DIR=$folder/data GLIMPSE_ADDR=127.0.0.1:0 GLIMPSE_S3_ADDR=127.0.0.1:0 GLIMPSE_LOG=error \
    GLIMPSE_JOB_QUEUE=100000 target/debug/glimpse serve >"$folder/log" 2>&1 &
service=$!
url=
for _ in {1..240}; do
    url=$(sed -n 's/^service *\(http[^ ]*\).*/\1/p' "$folder/log")
    if [ -n "$url" ] && (exec 3<>"/dev/tcp/127.0.0.1/${url##*:}") 2>/dev/null; then
        break
    fi
    sleep 0.5
done
if [ -z "$url" ]; then
    cat "$folder/log" >&2
    echo "the service did not start" >&2
    exit 1
fi
"$venv/bin/schemathesis" --config-file zarf/api/schemathesis.toml run "$url/openapi.json" --url "$url" \
    --max-examples "${EXAMPLES:-50}" --seed "${SEED:-1}" --workers 1 --no-color \
    --header "Authorization: Bearer $GLIMPSE_API_KEY" || {
    cat "$folder/log" >&2
    exit 1
}
