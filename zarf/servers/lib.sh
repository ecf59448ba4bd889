# Functions for all servers. test.sh sources this file.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/glimpse/servers
folder=
pids=()

# install NAME PACKAGE MODULE VERSION: installs the program NAME into the cache, unless it has this version.
# Returns 1 if it cannot be installed.
install() {
    local name=$1 package=$2 module=$3 version=$4 here
    if ! command -v go >/dev/null; then
        if [ -x "$cache/$name" ]; then
            return 0
        fi
        echo "skipped: install go, which builds $name" >&2
        return 1
    fi
    if go version -m "$cache/$name" 2>/dev/null | grep -qF "$module	$version"; then
        return 0
    fi
    echo "building $name $version once, which takes some minutes" >&2
    mkdir -p "$cache"
    here=$(mktemp -d "$cache/install.XXXXXX")
    # Moved at the end, so that the cache never has a partial file.
    if (cd "$here" && GOBIN=$here GOFLAGS= nice -n 10 go install "$package@$version") && mv "$here/$name" "$cache/$name"; then
        rm -rf "$here"
        return 0
    fi
    rm -rf "$here"
    echo "skipped: go could not install $package@$version" >&2
    return 1
}

# free_ports COUNT: prints the first of COUNT consecutive free ports.
free_ports() {
    local count=$1 first port tries
    for tries in {1..50}; do
        first=$((20000 + RANDOM % 12000))
        for ((port = first; port < first + count; port++)); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                continue 2
            fi
        done
        echo "$first"
        return 0
    done
    echo "there are no $count consecutive free ports" >&2
    return 1
}

# run_server NAME COMMAND...: runs it in the background, with its output in a file.
run_server() {
    local name=$1
    shift
    mkdir -p "$folder/$name"
    (cd "$folder/$name" && exec "$@") >"$folder/$name.log" 2>&1 &
    pids+=($!)
}

# await NAME PORT PATH: waits until it answers 200 to a request for PATH.
await() {
    local name=$1 port=$2 path=$3 pid=${pids[-1]} try line
    for ((try = 0; try < 240; try++)); do
        line=$({ exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "127.0.0.1:$port" >&3 && head -n 1 <&3; } 2>/dev/null || true)
        if [[ $line == *' 200 '* ]]; then
            return 0
        fi
        if ! kill -0 "$pid" 2>/dev/null; then
            break
        fi
        sleep 0.5
    done
    tail -n 30 "$folder/$name.log" >&2
    echo "$name did not become ready" >&2
    return 1
}

# Asks all servers to end, and kills those that have not ended after ten seconds.
stop_all() {
    local pid try
    for pid in ${pids[@]+"${pids[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in ${pids[@]+"${pids[@]}"}; do
        for ((try = 0; try < 100; try++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
