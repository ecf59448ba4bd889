# A single Weaviate node. test.sh sources this file.

weaviate_version=v1.39.0

install_weaviate() {
    install weaviate-server github.com/weaviate/weaviate/cmd/weaviate-server github.com/weaviate/weaviate "$weaviate_version"
}

start_weaviate() {
    local port
    port=$(free_ports 6)
    # Auto-schema is on, which is the default: the tests check that it creates nothing. Clients need a key.
    # By default it would become read-only on a disk that is 90 % full, as disks of build machines can be.
    export WEAVIATE_API_KEY=nothing-is-secret-here
    run_server weaviate env \
        PERSISTENCE_DATA_PATH="$folder/weaviate/data" AUTOSCHEMA_ENABLED=true \
        AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false AUTHENTICATION_APIKEY_ENABLED=true \
        AUTHENTICATION_APIKEY_ALLOWED_KEYS="$WEAVIATE_API_KEY" AUTHENTICATION_APIKEY_USERS=glimpse \
        DEFAULT_VECTORIZER_MODULE=none ENABLE_MODULES= DISABLE_TELEMETRY=true GO_PROFILING_DISABLE=true LOG_LEVEL=warning \
        DISK_USE_WARNING_PERCENTAGE=100 DISK_USE_READONLY_PERCENTAGE=100 \
        CLUSTER_HOSTNAME=node1 CLUSTER_ADVERTISE_ADDR=127.0.0.1 CLUSTER_BIND_ADDR=127.0.0.1 \
        CLUSTER_GOSSIP_BIND_PORT=$((port + 2)) CLUSTER_DATA_BIND_PORT=$((port + 3)) \
        RAFT_PORT=$((port + 4)) RAFT_INTERNAL_RPC_PORT=$((port + 5)) RAFT_BOOTSTRAP_EXPECT=1 GRPC_PORT=$((port + 1)) \
        "$cache/weaviate-server" --host 127.0.0.1 --port "$port" --scheme http
    await weaviate "$port" /v1/.well-known/ready
    export WEAVIATE_URL=http://127.0.0.1:$port WEAVIATE_GRPC_URL=http://127.0.0.1:$((port + 1))
}
