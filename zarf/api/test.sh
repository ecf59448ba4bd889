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

. zarf/api/service.sh
GLIMPSE_JOB_QUEUE=100000 start_service target/debug/glimpse
"$venv/bin/schemathesis" --config-file zarf/api/schemathesis.toml run "$url/openapi.json" --url "$url" \
    --max-examples "${EXAMPLES:-50}" --seed "${SEED:-1}" --workers 1 --no-color \
    --header "Authorization: Bearer $GLIMPSE_API_KEY" || fail "the service does not agree with its OpenAPI document"
