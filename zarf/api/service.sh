# Runs a service with data of its own for a test. The scripts that test the API source this file.

folder=$(mktemp -d)
service=
stop() {
    if [ -n "$service" ]; then
        kill "$service" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export GLIMPSE_API_KEY=the-key-of-the-test

# start_service BINARY: starts the service with the key GLIMPSE_API_KEY, waits until it listens, and sets `url`.
start_service() {
    # The loop below can read it before the service has made it.
    : >"$folder/log"
    GLIMPSE_DATA_DIR=$folder/data GLIMPSE_ADDR=127.0.0.1:0 GLIMPSE_S3_ADDR=127.0.0.1:0 GLIMPSE_LOG=error "$1" serve >"$folder/log" 2>&1 &
    service=$!
    for _ in {1..240}; do
        url=$(sed -n 's/^service *\(http[^ ]*\).*/\1/p' "$folder/log")
        if [ -n "$url" ] && (exec 3<>"/dev/tcp/127.0.0.1/${url##*:}") 2>/dev/null; then
            return
        fi
        sleep 0.5
    done
    fail "the service did not start"
}

# fail MESSAGE: prints the log of the service and the message, and ends the script.
fail() {
    cat "$folder/log" >&2
    echo "$1" >&2
    exit 1
}
