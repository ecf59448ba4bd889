#!/usr/bin/env bash
# Builds the image from a binary with buildah, and runs it as it should run: read-only, as its own user, without capabilities and
# without a network. `make test-image`. Needs root, because the containers of an unprivileged user need more setup than a test should ask for.
#
#   zarf/image/check.sh BINARY       its symbols are removed
#
# MAX_MB is the largest allowed size in megabytes: 120 by default, and 250 for a debug build, whose code is twice as large. As root on Debian it installs buildah, podman and runc, and prints so before;
# INSTALL=no installs nothing. If that is not possible, it prints the reason and succeeds, or fails if the comma-separated list
# REQUIRE has `image`.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$1
max_mb=${MAX_MB:-$(if [[ $binary == */debug/* ]]; then echo 250; else echo 120; fi)}

skip() {
    if [[ ,${REQUIRE:-}, == *,image,* ]]; then
        echo "REQUIRE has image, which cannot be tested: $1" >&2
        exit 1
    fi
    echo "skipped: $1" >&2
    exit 0
}
fail() {
    echo "FAIL  $1" >&2
    exit 1
}
pass() { echo "ok    $1"; }

[ "$(id -u)" = 0 ] || skip "the image is tested as root only"
has_programs() { { command -v buildah && command -v podman && command -v runc; } >/dev/null; }
if ! has_programs && [ "${INSTALL:-}" != no ] && command -v apt-get >/dev/null; then
    echo "make test-image: installs the Debian packages buildah, podman and runc; INSTALL=no skips the test" >&2
    {
        timeout 120 apt-get update
        DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends buildah podman runc
    } >/dev/null 2>&1 || true
fi
has_programs || skip "install buildah, podman and runc"
[ -x "$binary" ] || fail "$binary does not exist: build it first"

# A store of its own, so that no image or setting of the user takes part, and nothing stays.
folder=$(mktemp -d)
remove() {
    podman rm --all --force --time 0 >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export CONTAINERS_STORAGE_CONF=$folder/storage.conf CONTAINERS_CONF=$folder/containers.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$folder/store" "$folder/run" >"$CONTAINERS_STORAGE_CONF"
# runc, because crun refuses the mixture of the two versions of cgroups that some machines have.
printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "%s"\nvolume_path = "%s"\n' \
    "$folder/tmp" "$folder/volumes" >"$CONTAINERS_CONF"

image=localhost/glimpse:test
ENGINE=buildah zarf/image/build.sh "$binary" "$image" >/dev/null

property() { podman image inspect --format "{{$1}}" "$image"; }
bytes=$(property .Size)
size="$((bytes / 1000000)) MB"
[ "$bytes" -lt "$((max_mb * 1000000))" ] || fail "the image has $size, and may have $max_mb MB (MAX_MB)"
pass "the image has $size"
user=$(property .Config.User)
[[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "the user of the image is \"$user\", which is not a number other than 0"
pass "its user is $user"

echo "a-key-of-the-image-test" >"$folder/api-key"
chmod 0444 "$folder/api-key"
# The limits that podman sets by default are above those of some machines.
limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096)
locked=(--read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges --network none "${limits[@]}"
    --volume "$folder/api-key:/run/secrets/api-key:ro" --env GLIMPSE_API_KEY_FILE=/run/secrets/api-key)

# `demo --once` writes the embedded bucket, the index and the ledger to a new volume, and finds images by text and by image.
podman run --rm --no-healthcheck --name demo "${locked[@]}" --volume demo:/data "$image" demo --once >"$folder/demo.txt" 2>&1 ||
    { cat "$folder/demo.txt" >&2 && fail "glimpse demo --once"; }
grep -q 'images similar to cat.jpg' "$folder/demo.txt" || { cat "$folder/demo.txt" >&2 && fail "glimpse demo --once found nothing"; }
pass "glimpse demo --once: $(grep -o 'finished in [0-9.]* s' "$folder/demo.txt")"
podman run --rm --no-healthcheck --name doctor "${locked[@]}" --volume demo:/data "$image" doctor >"$folder/doctor.txt" 2>&1 ||
    { cat "$folder/doctor.txt" >&2 && fail "glimpse doctor"; }
pass "glimpse doctor: $(grep -c '^ok' "$folder/doctor.txt") checks"

# The service with the data of the demo: its own health check, an AVIF image (decoded in a process with limits of its own, which
# must work inside those of the container), and its end.
podman run --detach --name serve "${locked[@]}" --volume demo:/data --volume "$PWD/tests/data/formats:/samples:ro" \
    --env 'GLIMPSE_UPLOADS=*' "$image" >/dev/null 2>&1
show_log() { podman logs serve >&2 2>&1 || true; }
for ((try = 0; ; try++)); do
    if podman healthcheck run serve >/dev/null 2>&1; then break; fi
    [ "$try" -lt 120 ] || { show_log && fail "the health check of the image did not pass within a minute"; }
    sleep 0.5
done
pass "its health check"
podman exec serve glimpse add /samples/alpha.avif --prefix images/ >"$folder/add.txt" 2>&1 ||
    { cat "$folder/add.txt" >&2 && show_log && fail "an AVIF image could not be indexed"; }
grep -q '^added 1 file' "$folder/add.txt" || { cat "$folder/add.txt" >&2 && fail "an AVIF image was not indexed"; }
# The kernel of the machine may lack landlock; seccomp is lost only if the container forbids it.
if podman logs serve 2>&1 | grep -q '"seccomp":false'; then show_log && fail "the process that decodes AVIF has no limits of seccomp in this container"; fi
pass "an AVIF image: $(tail -n 1 "$folder/add.txt")"
podman stop --time 30 serve >/dev/null 2>&1
code=$(podman inspect --format '{{.State.ExitCode}}' serve)
[ "$code" = 0 ] || { show_log && fail "the service ended with $code after SIGTERM"; }
pass "it ends after SIGTERM"
