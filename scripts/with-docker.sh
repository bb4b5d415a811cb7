#!/usr/bin/env bash
# Runs a command beside a private Docker engine that is gone afterwards, with an image to test with:
#   scripts/with-docker.sh cargo test -p driver-docker
# DOCKER_HOST of the engine is in STREAMSPACE_TEST_DOCKER, its folder in STREAMSPACE_TEST_DOCKER_FOLDER, the image is
# streamspace-test:busybox. Where STREAMSPACE_TEST_DOCKER is set already, or WITHOUT (or STREAMSPACE_TEST_WITHOUT) holds
# docker, the command just runs.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 64; }
case ",${STREAMSPACE_TEST_WITHOUT:-},${WITHOUT:-}," in *,docker,*) exec "$@" ;; esac
[ -z "${STREAMSPACE_TEST_DOCKER:-}" ] || exec "$@"

here=$(cd "$(dirname "$0")" && pwd)
cache=${STREAMSPACE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/streamspace}
folder=$(mktemp -d "${TMPDIR:-/tmp}/streamspace-docker.XXXXXX")

stop() {
    local code=$?
    trap '' INT TERM HUP
    "$here/private-dockerd.sh" stop "$folder" || true
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A static busybox from its Debian package, unpacked and not installed.
busybox() {
    local program=$cache/busybox-static work
    if [ ! -x "$program" ]; then
        mkdir -p "$cache"
        work=$(mktemp -d "$cache/busybox.XXXXXX")
        if ldd /bin/busybox 2>&1 | grep -q "not a dynamic"; then
            cp /bin/busybox "$work/busybox"
        else
            (cd "$work" && apt-get download -qq busybox-static && dpkg-deb -x busybox-static_*.deb unpacked) >&2 ||
                { echo "with-docker: apt-get download busybox-static failed" >&2; exit 69; }
            cp "$work"/unpacked/*bin/busybox "$work/busybox" 2>/dev/null || cp "$work"/unpacked/usr/bin/busybox "$work/busybox"
        fi
        mv "$work/busybox" "$program"
        rm -rf "$work"
    fi
    echo "$program"
}

image() {
    local program root=$folder/image name
    program=$(busybox)
    mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev,root,www,filled}
    chmod 1777 "$root/tmp"
    cp "$program" "$root/bin/busybox"
    for name in $("$program" --list); do [ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"; done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo hello >"$root/www/index.html"
    echo 'from the image' >"$root/filled/note"
    tar -C "$root" --owner=0 --group=0 -c . | curl -fsS --unix-socket "$folder/docker.sock" -X POST --data-binary @- \
        -H 'Content-Type: application/x-tar' \
        'http://docker/images/create?fromSrc=-&repo=streamspace-test&tag=busybox&changes=CMD%20%5B%22%2Fbin%2Fsh%22%5D&changes=ENV%20PATH%3D%2Fbin' \
        >"$folder/import.log" || { cat "$folder/import.log" >&2; exit 70; }
    grep -q error "$folder/import.log" && { cat "$folder/import.log" >&2; exit 70; }
    rm -rf "$root"
}

host=$("$here/private-dockerd.sh" start "$folder")
image
export STREAMSPACE_TEST_DOCKER=$host STREAMSPACE_TEST_DOCKER_FOLDER=$folder
"$@"
