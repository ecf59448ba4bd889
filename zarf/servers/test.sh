#!/usr/bin/env bash
# Runs the tests that need a real server: `make test-servers`. Installs missing servers into the user's cache (`go install`:
# Weaviate takes about ten minutes on one core, MinIO twelve; only this needs the network), starts them on free ports with their
# data in a temporary folder, and always stops and removes them at the end.
#
#   SERVERS="weaviate minio"   the servers to test with; moto (SQS and SNS, from PyPI) only if it is named
#   REQUIRE=weaviate,s3        fail if a server of this comma-separated list cannot be installed; otherwise its tests are skipped
set -euo pipefail
cd "$(dirname "$0")/../.."
. zarf/servers/lib.sh
. zarf/servers/weaviate.sh
. zarf/servers/minio.sh
. zarf/servers/moto.sh

# check_required NAME: fails if REQUIRE has the name of a server that cannot be installed.
check_required() {
    if [[ ,${REQUIRE:-}, == *,$1,* ]]; then
        echo "REQUIRE has $1, which could not be installed" >&2
        exit 1
    fi
}

filters=()
installed=
for server in ${SERVERS-weaviate minio}; do
    case $server in
    weaviate)
        if install_weaviate; then
            filters+=(contract::index::weaviate:: deploy::v01::its_collection_in_weaviate deploy::servers::)
            installed+=,weaviate
        else
            check_required weaviate
        fi
        ;;
    minio)
        if install_minio; then
            filters+=(contract::source::real contract::source::denied mirrors::minio::)
            installed+=,s3
        else
            check_required s3
        fi
        ;;
    moto)
        if install_moto; then
            filters+=(mirrors::moto::)
            installed+=,moto
        else
            check_required moto
        fi
        ;;
    *) echo "SERVERS may hold weaviate, minio and moto, not $server" >&2 && exit 2 ;;
    esac
done
if [ ${#filters[@]} -eq 0 ]; then
    exit 0
fi

# Compiles before the servers start.
"${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it --no-run
folder=$(mktemp -d)
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [[ $installed == *,weaviate* ]]; then start_weaviate; fi
if [[ $installed == *,s3* ]]; then start_minio; fi
if [[ $installed == *,moto* ]]; then start_moto; fi
# A test that does not find a server that was started must fail.
REQUIRE=${installed#,} "${CARGO:-cargo}" test --locked ${FEATURES:+--features "$FEATURES"} --test it -- "${filters[@]}"
