# Functions for all servers. Sourced by test.sh.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/glimpse/servers
folder=
pids=()

# install NAME PACKAGE MODULE VERSION: puts the program NAME into the cache, unless this version is there.
# Returns 1 if it cannot be installed.
install() {
    local name=$1 package=$2 module=$3 version=$4 here
    if ! command -v go >/dev/null; then
        if [ -x "$cache/$name" ]; then
            return 0
        fi
        echo "skipped: install go, from which $name is built" >&2
        return 1
    fi
    if go version -m "$cache/$name" 2>/dev/null | grep -qF "$module	$version"; then
        return 0
    fi
    echo "building $name $version, once: some minutes" >&2
    mkdir -p "$cache"
    here=$(mktemp -d "$cache/install.XXXXXX")
    # The moving at the end makes it whole or not there.
    if (cd "$here" && GOBIN=$here GOFLAGS= nice -n 10 go install "$package@$version") && mv "$here/$name" "$cache/$name"; then
        rm -rf "$here"
        return 0
    fi
    rm -rf "$here"
    echo "skipped: go could not install $package@$version" >&2
    return 1
}

# free_ports COUNT: so many free ports in a row; prints the first.
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
    echo "no $count free ports in a row" >&2
    return 1
}

# run_server NAME COMMAND...: in the background, what it says into a file.
run_server() {
    local name=$1
    shift
    mkdir -p "$folder/$name"
    (cd "$folder/$name" && exec "$@") >"$folder/$name.log" 2>&1 &
    pids+=($!)
}

# await NAME PORT PATH: until it answers 200 there.
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
    echo "$name did not get ready" >&2
    return 1
}

# Asks all to end, and ends those that have not after ten seconds.
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
