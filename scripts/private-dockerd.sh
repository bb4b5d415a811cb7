#!/usr/bin/env bash
# A Docker engine of its own for tests: no firewall rule is touched, no other engine is seen, nothing is left behind.
#   scripts/private-dockerd.sh start FOLDER    prints its DOCKER_HOST once it answers; what FOLDER holds is used again
#   scripts/private-dockerd.sh stop FOLDER     ends it, its containers and its containerd, by their pid files
# Where there is no dockerd, Debian's docker.io is installed; STREAMSPACE_DOCKERD names another. Packages are kept in
# STREAMSPACE_TOOLS_CACHE (default: streamspace in the user's cache). Needs root, or sudo without a password.
set -euo pipefail

[ $# = 2 ] || { echo "usage: $0 start|stop FOLDER" >&2; exit 64; }
action=$1 folder=$2
subnet=172.31.250.1/24
cache=${STREAMSPACE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/streamspace}

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)

fail() { echo "private-dockerd: $*" >&2; exit 69; }

find_dockerd() {
    local found=${STREAMSPACE_DOCKERD:-$(PATH=$PATH:/usr/sbin command -v dockerd || true)}
    if [ -z "$found" ]; then
        command -v apt-get >/dev/null || fail "there is no dockerd, and no apt-get to install docker.io with"
        echo "private-dockerd: installing Debian's docker.io" >&2
        mkdir -p "$cache/apt/partial"
        # nothing is started by the installation: a machine that runs no engine does not run one afterwards
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 sh -c "apt-get update -qq &&
            apt-get install -y -qq --no-install-recommends -o Dir::Cache::archives='$cache/apt' docker.io" >&2 ||
            fail "apt-get install docker.io failed"
        found=$(PATH=$PATH:/usr/sbin command -v dockerd) || fail "docker.io brought no dockerd"
    fi
    echo "$found"
}

answers() { curl -fsS --max-time 2 --unix-socket "$folder/docker.sock" http://docker/_ping >/dev/null 2>&1; }

start() {
    "${as_root[@]}" true 2>/dev/null || fail "root is needed, or sudo without a password"
    command -v curl >/dev/null || fail "curl is needed"
    dockerd=$(find_dockerd)
    mkdir -p "$folder"
    # a bridge that was there before stays afterwards
    if [ ! -e "$folder/bridge" ]; then
        if [ -d /sys/class/net/docker0 ]; then echo theirs; else echo ours; fi >"$folder/bridge"
    fi
    rm -f "$folder/docker.pid.old"
    echo '{}' >"$folder/daemon.json"
    "${as_root[@]}" setsid "$dockerd" --host "unix://$folder/docker.sock" --group "$(id -gn)" --data-root "$folder/data" \
        --exec-root "$folder/exec" --pidfile "$folder/docker.pid" --config-file "$folder/daemon.json" \
        --iptables=false --ip6tables=false --bip "$subnet" >>"$folder/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 300); do
        if answers; then
            echo "unix://$folder/docker.sock"
            return
        fi
        sleep 0.1
    done
    tail -n 20 "$folder/dockerd.log" >&2
    fail "it does not answer; its log is above"
}

# Ends the process of a pid file, if it is still the one that wrote it.
end() {
    local file=$1 name=$2 pid
    pid=$("${as_root[@]}" cat "$file" 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] || return 0
    "${as_root[@]}" kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 150); do [ -d "/proc/$pid" ] || return 0; sleep 0.1; done
    "${as_root[@]}" kill -KILL "$pid" 2>/dev/null || true
}

stop() {
    end "$folder/docker.pid" dockerd
    end "$folder/exec/containerd/containerd.pid" containerd
    # shims of containers that a killed engine left; they name the folder
    for shim in /proc/[0-9]*; do
        if tr '\0' ' ' <"$shim/cmdline" 2>/dev/null | grep -q "containerd-shim.*$folder/exec"; then
            "${as_root[@]}" kill -KILL "${shim#/proc/}" 2>/dev/null || true
        fi
    done
    while read -r mounted; do "${as_root[@]}" umount -l "$mounted" 2>/dev/null || true; done \
        < <(awk -v at="$folder/" 'index($2, at) == 1 { print $2 }' /proc/mounts | sort -r)
    if [ "$(cat "$folder/bridge" 2>/dev/null)" = ours ]; then
        "${as_root[@]}" ip link delete docker0 2>/dev/null || true
    fi
    "${as_root[@]}" rm -rf "$folder"
}

case $action in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start|stop FOLDER" >&2; exit 64 ;;
esac
