#!/usr/bin/env bash
# Builds the image from a binary that is built already: the last stage of zarf/docker/Dockerfile, without the stage that compiles.
# It needs no image of a registry.
#
#   zarf/image/build.sh BINARY [TAG]        TAG is `glimpse:dev` by default
#
# ENGINE is buildah, podman or docker: by default the first one that is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$1 tag=${2:-glimpse:dev}
engine=${ENGINE:-}
for name in buildah podman docker; do
    if [ -z "$engine" ] && command -v "$name" >/dev/null; then engine=$name; fi
done
if [ -z "$engine" ]; then
    echo "install buildah, podman or docker" >&2
    exit 1
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -m 0755 "$binary" "$context/glimpse"
strip "$context/glimpse"
zarf/image/root.sh "$context/glimpse" "$context/image"
rm "$context/glimpse"
sed -n '/^FROM scratch/,$p' zarf/docker/Dockerfile | sed 's|^\(COPY .*\)--from=build /image|\1image|' >"$context/Containerfile"

case $engine in
# The format of OCI has no health check.
buildah) buildah build --quiet --format docker --isolation chroot --file "$context/Containerfile" --tag "$tag" "$context" ;;
podman) podman build --quiet --format docker --file "$context/Containerfile" --tag "$tag" "$context" ;;
*) "$engine" build --quiet --file "$context/Containerfile" --tag "$tag" "$context" ;;
esac
