#!/usr/bin/env bash
# Measures searches under load with the release binary: `make load`. The load comes from oha, which cargo builds into target/tools.
# SECONDS_OF_LOAD=60, SEARCHERS=200 and RECORDS=100000 change the run.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
version=1.16.0
tool=target/tools/bin/oha
if ! "$tool" --version 2>/dev/null | grep -qF "$version"; then
    "$cargo" install --locked --quiet --root target/tools --version "$version" oha
fi
"$cargo" build --locked --release
exec python3 zarf/load/load.py "${CARGO_TARGET_DIR:-target}/release/glimpse" "$tool"
