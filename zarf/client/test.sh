#!/usr/bin/env bash
# Generates a Python client from the OpenAPI document of the running service, checks its types, and uses it: `make test-client`. The
# generator and mypy come from PyPI (python3; 160 MB under target/client). BINARY=target/debug/glimpse uses a binary that exists.
#
# If that is not possible, it prints the reason and succeeds, or fails if the comma-separated list REQUIRE has `client`.
set -euo pipefail
cd "$(dirname "$0")/../.."
# The generated code imports httpx and attrs, and mypy reads their types.
packages=(openapi-python-client==0.29.1 mypy==2.4.1 httpx==0.28.1 attrs==26.1.0)
here=target/client venv=target/client/venv

skip() {
    if [[ ,${REQUIRE:-}, == *,client,* ]]; then
        echo "REQUIRE has client, which cannot be tested: $1" >&2
        exit 1
    fi
    echo "skipped: $1" >&2
    exit 0
}
command -v python3 >/dev/null || skip "install python3 to test a generated client"
if [ "$(cat "$venv/packages" 2>/dev/null)" != "${packages[*]}" ]; then
    rm -rf "$venv"
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "${packages[@]}"; } ||
        skip "${packages[*]} could not be installed from PyPI (python3 3.11 or newer)"
    echo "${packages[*]}" >"$venv/packages"
fi
if [ -z "${BINARY:-}" ]; then
    # The tests build the same binary. `cargo build` would compile most dependencies again, without the features of tests.
    "${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it --no-run
    BINARY=${CARGO_TARGET_DIR:-target}/debug/glimpse
fi

. zarf/api/service.sh
start_service "$BINARY"

document=$here/openapi.json
"$venv/bin/python" -c 'import httpx, sys
reply = httpx.get(sys.argv[1] + "/openapi.json", headers={"Authorization": "Bearer " + sys.argv[2]}, timeout=60)
print(reply.raise_for_status().text)' "$url" "$GLIMPSE_API_KEY" >"$document"
# A client of an earlier document could hide what is missing.
rm -rf "$here/glimpse_client"
# A part of the document that the generator cannot read is a warning.
"$venv/bin/openapi-python-client" generate --path "$document" --config zarf/client/config.yaml --meta none \
    --output-path "$here/glimpse_client" --fail-on-warning
# The example of the documentation is tested as well.
sed -n '/^```python$/,/^```$/{/^```/!p}' docs/clients.md >"$here/example.py"
# Without a cache: with one, mypy does not find modules that an earlier client did not have.
MYPYPATH=$here "$venv/bin/mypy" --strict --python-executable "$venv/bin/python" --cache-dir /dev/null \
    zarf/client/use.py "$here/example.py" "$here/glimpse_client"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here
"$venv/bin/python" zarf/client/use.py "$url" "$document" demo || fail "zarf/client/use.py failed"
best=$(GLIMPSE_URL=$url "$venv/bin/python" "$here/example.py" demo | sed -n 1p) || fail "the example of docs/clients.md failed"
[[ $best == *images/cat.jpg ]] || fail "the example of docs/clients.md found \`$best\`"
