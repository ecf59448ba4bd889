#!/usr/bin/env bash
# Installs what the tests of the page need: Chromium with its driver (with apt, if this is root on Debian), and axe-core (with npm,
# into the user's cache). What is missing is named, and its tests say that they are skipped. Prints the path of axe-core, if it is
# there. INSTALL=no installs nothing.
set -uo pipefail

install=yes
if [ "${INSTALL:-}" = no ]; then
    install=no
fi

if ! { command -v chromium && command -v chromedriver; } >/dev/null; then
    if [ $install = yes ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "make test: installs the Debian packages chromium and chromium-driver for the tests of the page; make test INSTALL=no skips them" >&2
        {
            timeout 120 apt-get update
            DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends chromium chromium-driver
        } >/dev/null 2>&1 || echo "make test: Chromium could not be installed; the tests of the page are skipped" >&2
    else
        echo "make test: chromium or chromedriver is not installed; the tests of the page are skipped" >&2
    fi
fi

# Pinned, so that a new rule of axe-core does not fail the tests.
axe=4.14.1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/glimpse/browser
file=$folder/axe-core-$axe/axe.min.js
if [ ! -e "$file" ] && [ $install = yes ] && command -v npm >/dev/null; then
    packed=$(mktemp -d)
    mkdir -p "$(dirname "$file")"
    timeout 60 npm pack --silent "axe-core@$axe" --pack-destination "$packed" >/dev/null 2>&1 &&
        tar -xzf "$packed"/axe-core-*.tgz -C "$packed" && mv "$packed/package/axe.min.js" "$file"
    rm -rf "$packed"
fi
if [ -e "$file" ]; then
    echo "$file"
fi
