#!/usr/bin/env bash
# Installs what the tests behind a reverse proxy need: nginx and openssl, by apt. A test whose program is missing says
# that it is skipped.
set -uo pipefail

if ! { command -v nginx && command -v openssl; } >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        {
            timeout 120 apt-get update
            DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends nginx-light openssl
        } >/dev/null 2>&1 || echo "nginx could not be installed" >&2
    fi
fi
exit 0
