#!/usr/bin/env bash
# Checks the JavaScript of the search page: format and lint (Biome) and types (TypeScript, against the API's OpenAPI
# document). `check.sh --write` formats the files and applies the safe fixes first. The tools are installed by npm into
# target/page, in the versions that package.json pins.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$root/target/page

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "skipped: install node to check the page's JavaScript"
    exit 0
fi

if ! cmp --silent "$here/package.json" "$tools/package.json"; then
    mkdir -p "$tools"
    rm -f "$tools/package.json"
    # npm reads the folder that it installs into: package.json is written last, so that a failed installation is repeated.
    installing=$(mktemp -d "$tools/install.XXXXXX")
    trap 'rm -rf "$installing"' EXIT
    cp "$here/package.json" "$here/.npmrc" "$installing"
    if ! timeout 120 npm install --silent --prefix "$installing"; then
        echo "skipped: npm could not install Biome and TypeScript; check the access to the npm registry" >&2
        exit 0
    fi
    rm -rf "$tools/node_modules"
    mv "$installing/node_modules" "$tools/node_modules"
    cp "$here/package.json" "$tools/package.json"
fi

snapshot=$(find "$root/tests/it" -name '*the_description_is_as_reviewed.snap')
if [ ! -f "$snapshot" ]; then
    echo "tests/it has no single snapshot *the_description_is_as_reviewed.snap of the OpenAPI document" >&2
    exit 1
fi
node "$here/api-types.mjs" "$snapshot" >"$tools/api.d.ts"

cd "$root"
"$tools/node_modules/.bin/biome" check --config-path "$here/lint.json" --error-on-warnings "$@" src/web/page zarf/page/api-types.mjs
"$tools/node_modules/.bin/tsc" --project "$here/tsconfig.json"
