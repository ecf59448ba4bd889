#!/usr/bin/env bash
# Runs a command together with a Ray cluster of a head and two nodes, in a network of its own that has only loopback:
#
#   unshare -n -p -f --mount-proc --kill-child zarf/ray/cluster.sh COMMAND...
#
# It needs `ray` on the PATH, and must be the first process of new network and process namespaces: everything that it starts ends
# with it, no port of the machine is used, and two clusters cannot reach each other. This environment must have the variables that
# the workers on the nodes need. The command gets the address and the token of the cluster, and the folders of the nodes in
# GLIMPSE_RAY_NODES.
set -euo pipefail

ip link set lo up
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
export RAY_grpc_client_keepalive_time_ms=10000 RAY_grpc_client_keepalive_timeout_ms=10000
RAY_AUTH_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

start() {
    # Ray uses the folder in which it is started.
    (cd "$folder" && ray start "$@") >"$folder/start.log" 2>&1 || {
        cat "$folder/start.log" >&2
        return 1
    }
}
start --head --num-cpus=0 --port=6379 --dashboard-host=127.0.0.1 --temp-dir="$folder/head"
# A temporary folder for each: nodes that share one overwrite each other's copy of the driver.
start --address=127.0.0.1:6379 --num-cpus=1 --temp-dir="$folder/one"
start --address=127.0.0.1:6379 --num-cpus=1 --temp-dir="$folder/two"

export RAY_ADDRESS=http://127.0.0.1:8265 GLIMPSE_RAY_NODES="$folder/one,$folder/two"
"$@"
