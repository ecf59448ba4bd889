# moto: S3, SQS and SNS of AWS in one process, from PyPI (python3; 300 MB in the cache). test.sh sources this file.

moto_version=5.2.5

install_moto() {
    local venv=$cache/moto-$moto_version
    if [ -x "$venv/bin/moto_server" ]; then
        return 0
    fi
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "moto[server]==$moto_version"; then
        return 0
    fi
    rm -rf "$venv"
    echo "skipped: python3 could not install moto $moto_version" >&2
    return 1
}

start_moto() {
    local port
    port=$(free_ports 1)
    export MOTO_URL=http://127.0.0.1:$port
    run_server moto "$cache/moto-$moto_version/bin/moto_server" -H 127.0.0.1 -p "$port"
    await moto "$port" /moto-api/
}
