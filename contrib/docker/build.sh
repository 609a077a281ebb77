#!/bin/sh
# Build the image with buildah, as root; it is then localhost/ckanpackager.
#
#   sh contrib/docker/build.sh                  on Debian's image, from a registry
#   sh contrib/docker/build.sh --own-base       on a Debian made here by mmdebstrap, without any registry of images
#   BASE=localhost/debian:bookworm sh contrib/docker/build.sh         on that one, or another, again
#
# Needs buildah, and for --own-base mmdebstrap (both in Debian).  BUILDAH_OPTIONS go to `buildah build`, as in
# "--volume /etc/pip.conf:/etc/pip.conf:ro".
set -eu
cd "$(dirname "$0")/../.."
storage="--storage-driver vfs"
base=${BASE:-}

if [ "${1:-}" = --own-base ]; then
    base=localhost/debian:bookworm
    tar=$(mktemp --suffix .tar)
    trap 'rm -f "$tar"' EXIT
    mmdebstrap --quiet --variant=minbase bookworm "$tar"
    # shellcheck disable=SC2086
    container=$(buildah $storage from scratch)
    # shellcheck disable=SC2086
    buildah $storage add -q "$container" "$tar" /
    # shellcheck disable=SC2086
    buildah $storage commit -q --rm "$container" "$base"
fi
# --format docker keeps the HEALTHCHECK; chroot needs no privileges beyond root's.
# shellcheck disable=SC2086
exec buildah $storage build --isolation chroot --network host --format docker -t localhost/ckanpackager \
    ${base:+--build-arg BASE=$base} ${BUILDAH_OPTIONS:-} -f contrib/docker/Dockerfile .
