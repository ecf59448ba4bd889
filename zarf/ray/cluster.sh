#!/usr/bin/env bash
# Runs a command beside a Ray cluster of a head and two nodes, in a network of its own that has only loopback:
#
#   unshare -n -p -f --mount-proc --kill-child zarf/ray/cluster.sh COMMAND...
#
# Wants `ray` on the PATH, and to be the first process of new network and process namespaces: whatever it starts ends with it,
# no port of the machine is touched, and two clusters cannot meet. Nothing is stopped by name. What the nodes' workers need
# stands in this environment, as it would in theirs; the command gets the cluster's address and token, and the folders of the
# nodes in GLIMPSE_RAY_NODES.
set -euo pipefail

ip link set lo up
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
export RAY_grpc_client_keepalive_time_ms=10000 RAY_grpc_client_keepalive_timeout_ms=10000
RAY_AUTH_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

start() {
    # Ray takes the folder that it is started in for part of its world.
    (cd "$folder" && ray start "$@") >"$folder/start.log" 2>&1 || {
        cat "$folder/start.log" >&2
        return 1
    }
}
start --head --num-cpus=0 --port=6379 --dashboard-host=127.0.0.1 --temp-dir="$folder/head"
# A temporary folder each: nodes that share one unpack the driver over each other.
start --address=127.0.0.1:6379 --num-cpus=1 --temp-dir="$folder/one"
start --address=127.0.0.1:6379 --num-cpus=1 --temp-dir="$folder/two"

export RAY_ADDRESS=http://127.0.0.1:8265 GLIMPSE_RAY_NODES="$folder/one,$folder/two"
"$@"
