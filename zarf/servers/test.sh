#!/usr/bin/env bash
# The tests that want a real server, against real servers: `make test-servers`. Installs what is missing into a cache
# folder (`go install`: Weaviate takes some ten minutes of one core, MinIO twelve; the network is needed for that alone),
# starts it on free ports with its data in a temporary folder, and stops and removes all of it, however this ends.
#
#   SERVERS="weaviate minio"   which of them
#
# Without `go` it says so and is content; a test that fails makes it fail.
set -euo pipefail
cd "$(dirname "$0")/../.."
. zarf/servers/lib.sh
. zarf/servers/weaviate.sh
. zarf/servers/minio.sh

filters=()
for server in ${SERVERS-weaviate minio}; do
    case $server in
    weaviate) install_weaviate && filters+=(contract::index::weaviate:: deploy::v01::its_collection_in_weaviate) ;;
    minio) install_minio && filters+=(contract::source::real contract::source::denied) ;;
    *) echo "SERVERS may hold weaviate and minio, not $server" >&2 && exit 2 ;;
    esac
done
if [ ${#filters[@]} -eq 0 ]; then
    exit 0
fi

# Before the servers start, so that they need not wait for the compiler.
"${CARGO:-cargo}" test --locked --test it --no-run
folder=$(mktemp -d)
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for filter in "${filters[@]}"; do
    case $filter in
    contract::index::weaviate::) start_weaviate ;;
    contract::source::real) start_minio ;;
    esac
done
"${CARGO:-cargo}" test --locked --test it -- "${filters[@]}" deploy::servers::
