#!/usr/bin/env bash
# Installs what the browser tests need: Chromium with its driver (by apt, if this is root on Debian), and axe-core (by npm, into
# the user's cache). If a part cannot be installed, its tests are skipped. Prints the path of axe-core if it is installed.
set -uo pipefail

if ! { command -v chromium && command -v chromedriver; } >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        {
            timeout 120 apt-get update
            DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends chromium chromium-driver
        } >/dev/null 2>&1 || echo "Chromium could not be installed" >&2
    fi
fi

# Pinned, so that a new rule of axe-core does not fail the tests.
axe=4.14.1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/glimpse/browser
file=$folder/axe-core-$axe/axe.min.js
if [ ! -e "$file" ] && command -v npm >/dev/null; then
    packed=$(mktemp -d)
    mkdir -p "$(dirname "$file")"
    timeout 60 npm pack --silent "axe-core@$axe" --pack-destination "$packed" >/dev/null 2>&1 &&
        tar -xzf "$packed"/axe-core-*.tgz -C "$packed" && mv "$packed/package/axe.min.js" "$file"
    rm -rf "$packed"
fi
if [ -e "$file" ]; then
    echo "$file"
fi
