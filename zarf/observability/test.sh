#!/usr/bin/env bash
# Checks the alert rules with promtool, and the dashboard and the rules in a real Prometheus beside a service that indexes and
# searches: `make test-observability`. Prometheus is the one of PATH, or comes from Debian's package into target/prometheus.
#
# If that is not possible, it prints the reason and succeeds, or fails if the comma-separated list REQUIRE has `prometheus`.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    if [[ ,${REQUIRE:-}, == *,prometheus,* ]]; then
        echo "REQUIRE has prometheus, which cannot be tested: $1" >&2
        exit 1
    fi
    echo "skipped: $1" >&2
    exit 0
}
command -v python3 >/dev/null || skip "install python3"
if ! { command -v prometheus && command -v promtool; } >/dev/null; then
    here=$PWD/target/prometheus
    if [ ! -x "$here/usr/bin/promtool" ]; then
        command -v apt-get >/dev/null || skip "install prometheus and promtool"
        rm -rf "$here" && mkdir -p "$here"
        # Unpacked, not installed: the package would start a service.
        (cd "$here" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } &&
            dpkg -x prometheus_*.deb . && rm prometheus_*.deb) >/dev/null 2>&1 || skip "make Debian's packages reachable, or install prometheus"
    fi
    export PATH=$here/usr/bin:$PATH
fi

folder=zarf/observability
promtool check config "$folder/prometheus.yaml"
promtool test rules "$folder/alerts_test.yaml"
# The tests build the same binary. `cargo build` would compile most dependencies again, without the features of tests.
"${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it --no-run
python3 "$folder/check.py" "${CARGO_TARGET_DIR:-target}/debug/glimpse"
