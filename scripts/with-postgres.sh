#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL server that is gone afterwards:
#   scripts/with-postgres.sh cargo test -p migrations --features testing
# The server listens on loopback only, with a password of its own, in a temporary folder, with fsync on: tests see what
# production sees. A kill -9 of this script ends the server too, and leaves only the folder. Its URL is in
# STREAMSPACE_TEST_POSTGRES_URL; where that is set already, the command just runs.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 64; }
[ -z "${STREAMSPACE_TEST_POSTGRES_URL:-}" ] || exec "$@"

newest_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

install_server() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    echo "with-postgres: installing Debian's postgresql" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql' >&2
}

bin=$(newest_bin)
if [ ! -x "${bin:-/nowhere}/initdb" ]; then
    install_server || { echo "with-postgres: no PostgreSQL server here; apt-get install postgresql" >&2; exit 69; }
    bin=$(newest_bin)
fi

# PostgreSQL refuses to run as root
as_server=(setpriv --pdeathsig INT)
if [ "$(id -u)" = 0 ]; then
    user=nobody
    ! id postgres >/dev/null 2>&1 || user=postgres
    as_server+=(--reuid "$(id -u "$user")" --regid "$(id -g "$user")" --clear-groups)
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/streamspace-postgres.XXXXXX")
server=
stop() {
    local code=$?
    trap '' INT TERM HUP
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >"$folder/password"
[ "$(id -u)" != 0 ] || chown -R "$user" "$folder"
# the server's user may not be allowed to stand where we stand, hence each cd
(cd "$folder" && HOME=$folder "${as_server[@]}" "$bin/initdb" -D "$folder/data" -U streamspace -E UTF8 --locale=C \
    --auth=scram-sha-256 --pwfile="$folder/password" >"$folder/initdb.log" 2>&1) ||
    { cat "$folder/initdb.log" >&2; exit 70; }

ready() { PGPASSWORD=$password "$bin/psql" -qAtX -h 127.0.0.1 -p "$port" -U streamspace -d postgres -c 'SELECT 1' >/dev/null 2>&1; }

# a free port is only known to be free once the server has it
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    cd "$folder"
    "${as_server[@]}" "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$folder" -c max_connections=300 -c fsync=on -c synchronous_commit=on \
        -c full_page_writes=on >"$folder/server.log" 2>&1 </dev/null &
    server=$!
    cd - >/dev/null
    for _ in $(seq 300); do
        kill -0 "$server" 2>/dev/null || break
        if ready; then break 2; fi
        sleep 0.1
    done
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
done
[ -n "$server" ] || { cat "$folder/server.log" >&2; exit 70; }

export STREAMSPACE_TEST_POSTGRES_URL="postgres://streamspace:$password@127.0.0.1:$port/postgres"
code=0
"$@" || code=$?
exit "$code"
