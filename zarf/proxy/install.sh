#!/usr/bin/env bash
# Installs what the tests behind a reverse proxy need: nginx and Caddy, with apt, if this is root on Debian. A test whose program
# is missing says that it is skipped. INSTALL=no installs nothing.
set -uo pipefail

missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v caddy >/dev/null || missing+=(caddy)
[ "${#missing[@]}" = 0 ] && exit 0
if [ "${INSTALL:-}" != no ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "make test: installs the Debian packages ${missing[*]} for the tests of proxies; make test INSTALL=no skips them" >&2
    timeout 120 apt-get update >/dev/null 2>&1
    # One by one: a system may have only one of them.
    for package in "${missing[@]}"; do
        DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "make test: $package could not be installed; its tests are skipped" >&2
    done
else
    echo "make test: ${missing[*]} not installed; the tests of these proxies are skipped" >&2
fi
exit 0
