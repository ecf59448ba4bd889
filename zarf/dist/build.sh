#!/usr/bin/env bash
# Builds what a release consists of, into target/dist: `make dist`.
#
#   glimpse-VERSION-TARGET.tar.gz    the binary without symbols, licences, the unit of systemd
#   glimpse-VERSION-TARGET.cdx.json  the list of all crates in the binary (CycloneDX)
#   SHA256SUMS
#
#   TARGET=x86_64-unknown-linux-musl  the default: a static binary that runs on every Linux. For it, install musl-tools and
#                                     `rustup target add x86_64-unknown-linux-musl`
#   FEATURES=onnxruntime              needs a dynamic binary, such as TARGET=x86_64-unknown-linux-gnu: a static one cannot load libraries
#
# The archive contains no time of the build machine, and no path unless it prints a warning: then the same source, compiler and
# target make the same archive.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
target=${TARGET:-x86_64-unknown-linux-musl}
features=${FEATURES:-}
c_flags=
cyclonedx_version=0.5.9

fail() {
    echo "$1" >&2
    exit 1
}
sysroot=$(rustc --print sysroot)
[ -d "$sysroot/lib/rustlib/$target/lib" ] || fail "this Rust has no $target: rustup target add $target"
case $target in
*-musl)
    [[ ,$features, != *,onnxruntime,* ]] || fail "FEATURES has onnxruntime, which a static binary cannot load: set TARGET=${target%-musl}-gnu"
    # SQLite, libwebp and aws-lc are compiled from C, with the headers of musl.
    compiler=${target%%-*}-linux-musl-gcc
    command -v "$compiler" >/dev/null || compiler=musl-gcc
    command -v "$compiler" >/dev/null || fail "musl-gcc is missing: install musl-tools"
    printf 'int main(void) { return 0; }\n' | "$compiler" -static -x c - -o /dev/null || fail "$compiler cannot build a static program"
    export "CC_${target//-/_}=$compiler"
    # aws-lc includes <linux/random.h>. The headers of the kernel do not depend on the C library, but musl-gcc does not look for them.
    headers=${CARGO_TARGET_DIR:-target}/musl-headers
    mkdir -p "$headers"
    headers=$(cd "$headers" && pwd)
    machine=$("${CC:-cc}" -dumpmachine)
    for name in linux asm-generic "$machine/asm"; do
        [ -d "/usr/include/$name" ] || fail "/usr/include/$name is missing: install linux-libc-dev"
        ln -sfn "/usr/include/$name" "$headers/${name##*/}"
    done
    c_flags="-idirafter $headers"
    # shellcheck disable=SC2086 # two words
    printf '#include <linux/random.h>\n' | "$compiler" $c_flags -fsyntax-only -x c - || fail "$compiler does not find the headers of the kernel"
    ;;
*-windows-* | *-darwin) fail "TARGET is $target, which is not Linux" ;;
esac

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=glimpse-$version-$target
dist=${CARGO_TARGET_DIR:-target}/dist
staging=$dist/$name
rm -rf "$dist"
mkdir -p "$staging"

# Only in the flags of this target: build scripts run with the ordinary ones.
flags=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_RUSTFLAGS
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export "$flags=${!flags:-} --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust --remap-path-prefix=$PWD=/glimpse"
export "CFLAGS_${target//-/_}=$c_flags -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/glimpse"
CARGO_INCREMENTAL=0 "$cargo" build --locked --release --target "$target" --features "$features" --bin glimpse

binary=$staging/glimpse
install -m 0755 "${CARGO_TARGET_DIR:-target}/$target/release/glimpse" "$binary"
strip "$binary"
if [[ $target == *-musl ]] && ldd "$binary" 2>/dev/null | grep -q '=>'; then
    fail "$binary is not static"
fi
if grep -qaF -e "$PWD/" -e "$cargo_home/" "$binary"; then
    echo "warning: $binary contains a path of this machine, so another machine makes another archive" >&2
fi
if [ "$target" = "$(rustc -vV | sed -n 's/^host: //p')" ] || [[ $target == "$(uname -m)"-*-linux-* ]]; then
    [ "$("$binary" --version)" = "glimpse $version" ] || fail "$binary --version does not print glimpse $version"
fi

# It writes a file beside every Cargo.toml of the workspace.
tools=${CARGO_TARGET_DIR:-target}/tools
if ! "$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null | grep -qF "$cyclonedx_version"; then
    "$cargo" install cargo-cyclonedx --version "$cyclonedx_version" --locked --root "$tools"
fi
bom="bom-of-the-release"
remove_boms() { rm -f "$bom.json" crates/*/"$bom.json"; }
trap remove_boms EXIT
"$tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --all --target "$target" ${features:+--features "$features"} --override-filename "$bom"
grep -q '"bomFormat": *"CycloneDX"' "$bom.json" || fail "cargo-cyclonedx did not write a list of crates"
mv "$bom.json" "$dist/$name.cdx.json"

install -m 0644 LICENSE README.md CHANGELOG.md zarf/systemd/glimpse.service zarf/systemd/glimpse.env "$staging"
install -m 0644 models/glimpse-mini-1/NOTICE.md "$staging/NOTICE-model.md"
install -m 0644 demo/NOTICE.md "$staging/NOTICE-demo.md"
# The time of the commit, so that it does not depend on the time of the build.
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
tar --create --directory "$dist" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner "$name" | gzip --no-name --best >"$dist/$name.tar.gz"
rm -rf "$staging"
(cd "$dist" && sha256sum "$name".* >SHA256SUMS && sha256sum --check --quiet SHA256SUMS)
ls -l "$dist"
