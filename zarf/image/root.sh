#!/usr/bin/env bash
# Assembles the root file system of the image: the binary, what it needs at run time, and nothing else.
#
#   zarf/image/root.sh BINARY FOLDER       also makes FOLDER-data, the empty folder of the data
#
# A static binary needs the certificates only. A dynamic one gets the C library of this machine, so build it and run this script
# on the same system. `libstdc++` is not needed by the binary, but by the library of ONNX Runtime.
set -euo pipefail
binary=$1 root=$2 source=$(dirname "$0")/../..
PATH=$PATH:/usr/sbin:/sbin
# The user of the image. Its only writable folder is /data.
uid=10001

certificates=/etc/ssl/certs/ca-certificates.crt
if [ ! -s "$certificates" ]; then
    echo "$certificates is missing: install ca-certificates" >&2
    exit 1
fi

rm -rf "$root" "$root-data"
install -d -m 0755 "$root" "$root/etc" "$root/etc/ssl/certs" "$root/usr/local/bin" "$root/usr/share/doc"
install -d -m 1777 "$root/tmp"
# Beside the root, because a builder gives everything that it copies with the root to the user 0.
install -d -m 0750 "$root-data"
install -m 0755 "$binary" "$root/usr/local/bin/glimpse"
install -m 0644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
# `time` and `chrono-tz` have their zones inside the binary, so that /usr/share/zoneinfo is not needed.
printf 'root:x:0:0:root:/:/sbin/nologin\nglimpse:x:%s:%s::/data:/sbin/nologin\n' "$uid" "$uid" >"$root/etc/passwd"
printf 'root:x:0:\nglimpse:x:%s:\n' "$uid" >"$root/etc/group"
# Without this file, the C library asks the DNS before /etc/hosts.
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

copy_library() {
    install -d -m 0755 "$root$(dirname "$1")"
    install -m 0755 "$(readlink -f "$1")" "$root$1"
}

# The licences of the binary, of the model and the images inside it, and of what is copied.
install -D -m 0644 "$source/LICENSE" "$root/usr/share/doc/glimpse/LICENSE"
install -D -m 0644 "$source/models/glimpse-mini-1/NOTICE.md" "$root/usr/share/doc/glimpse/NOTICE-model.md"
install -D -m 0644 "$source/demo/NOTICE.md" "$root/usr/share/doc/glimpse/NOTICE-demo.md"
copy_copyright() {
    local file=/usr/share/doc/$1/copyright
    if [ -r "$file" ]; then install -D -m 0644 "$file" "$root$file"; fi
}

copy_copyright ca-certificates
# `ldd` fails for a static binary, or prints that it is static.
libraries=$(ldd "$binary" 2>/dev/null | sed -n 's/^.*=> \(\/[^ ]*\) .*$/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*$/\1/p' || true)
if [ -n "$libraries" ]; then
    # ONNX Runtime is loaded at run time, and needs these beside the libraries of the binary.
    for name in libstdc++.so.6 libgcc_s.so.1 libdl.so.2 libpthread.so.0 librt.so.1 libm.so.6; do
        libraries+=" $(ldconfig -p | sed -n "s/^[[:space:]]*$name (libc6,x86-64[^=]*=> \(.*\)$/\1/p; s/^[[:space:]]*$name (libc6,AArch64[^=]*=> \(.*\)$/\1/p" | head -n 1)"
    done
    for library in $libraries; do
        copy_library "$library"
    done
    for package in libc6 libgcc-s1 libstdc++6; do
        copy_copyright "$package"
    done
fi
