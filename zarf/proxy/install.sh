#!/usr/bin/env bash
# Installs what the tests behind a reverse proxy need: nginx and openssl, with apt, if this is root on Debian. A test whose program
# is missing says that it is skipped. INSTALL=no installs nothing.
set -uo pipefail

if ! { command -v nginx && command -v openssl; } >/dev/null; then
    if [ "${INSTALL:-}" != no ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "make test: installs the Debian packages nginx-light and openssl for the tests of proxies; make test INSTALL=no skips them" >&2
        {
            timeout 120 apt-get update
            DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends nginx-light openssl
        } >/dev/null 2>&1 || echo "make test: nginx could not be installed; the tests of proxies are skipped" >&2
    else
        echo "make test: nginx or openssl is not installed; the tests of proxies are skipped" >&2
    fi
fi
exit 0
