#!/usr/bin/env bash
# Proves the API document on a running server: the TypeScript and Python clients that are generated from it compile strictly and
# live through a user's day, and schemathesis finds nothing, with every check on. Needs node 20 with npm, and python 3.11 with venv.
#   scripts/check-clients.sh [typescript|python|schemathesis]...      all three unless named
#   SEED=7 EXAMPLES=50 scripts/check-clients.sh schemathesis          the same requests again; more of them
# Tools go to .tools/, one folder for each state of the lock files; generated code and the server's data go to target/clients.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
clients=$root/api/clients
out=$root/target/clients
server_binary=$root/target/debug/streamspace
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
examples=${EXAMPLES:-15}
if [ $# -eq 0 ]; then set -- typescript python schemathesis; fi
for part in "$@"; do
    case $part in typescript | python | schemathesis) ;; *) echo "usage: $0 [typescript|python|schemathesis]..." >&2; exit 64 ;; esac
done

fail() { echo "check-clients: $*" >&2; exit 1; }
say() { echo "check-clients: $*"; }

# Runs a command and shows what it said only where it failed.
quietly() {
    local log=$out/log.txt
    "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "failed: $*"; }
}

need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is not installed (Debian: apt-get install $2)"; }

# .tools/<name>-<hash of a lock file>: made beside it and moved, so that half an installation is never taken for one
tool_folder() { echo "$root/.tools/$1-$(sha256sum "$2" | cut -c1-16)"; }

install_python() {
    need python3 "python3 python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $(python3 --version), and 3.11 is needed"
    venv=$(tool_folder clients-python "$clients/requirements.txt")
    [ ! -e "$venv/complete" ] || return 0
    rm -rf "$venv"
    say "installing the Python tools"
    python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 has no venv (Debian: apt-get install python3-venv)"
    quietly python3 -m venv "$venv"
    quietly "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps -r "$clients/requirements.txt"
    touch "$venv/complete"
}

install_node() {
    need node nodejs
    need npm npm
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || fail "node is $(node --version), and 20 is needed"
    modules=$(tool_folder clients-node "$clients/typescript/package-lock.json")
    [ ! -e "$modules/complete" ] || return 0
    rm -rf "$modules"
    mkdir -p "$modules"
    say "installing the TypeScript tools"
    cp "$clients/typescript/package.json" "$clients/typescript/package-lock.json" "$modules"
    quietly npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts
    touch "$modules/complete"
}

processes=()
finish() {
    local code=$?
    trap '' INT TERM HUP
    for pid in "${processes[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
    for pid in "${processes[@]}"; do
        for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    # sessions of a program that failed outlive their controller, as they should; they are known by this run's own folder
    [ -z "${data:-}" ] || for pid in $(pgrep -f -- "$(dirname "$data")/" || true); do kill -KILL "$pid" 2>/dev/null || true; done
    [ -z "${data:-}" ] || { cp "$data"/../*.log "$out" 2>/dev/null || true; rm -rf "$(dirname "$data")"; }
    [ "$code" -eq 0 ] || echo "check-clients: FAILED; the servers' logs are in target/clients" >&2
    exit "$code"
}

# `streamspace dev` on a free port, and a controller of the platform noop, where sessions cost nothing.
start_server() {
    data=$(mktemp -d "${TMPDIR:-/tmp}/streamspace-clients.XXXXXX")/data
    mkdir "$data"
    local logs field
    logs=$(dirname "$data")
    env -u DATABASE_URL -u NATS_URL STREAMSPACE_DEFAULT_PLATFORM=noop STREAMSPACE_LOG_FORMAT=text RUST_LOG=warn \
        "$server_binary" dev --data-dir "$data" --http-addr 127.0.0.1:0 >"$logs/dev.log" 2>&1 &
    processes+=($!)
    field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$data/endpoints.json" "$1"; }
    for _ in $(seq 300); do
        kill -0 "${processes[0]}" 2>/dev/null || { cat "$logs/dev.log" >&2; fail "streamspace dev ended"; }
        if [ -s "$data/endpoints.json" ]; then break; fi
        sleep 0.1
    done
    STREAMSPACE_URL=$(field http) || { cat "$logs/dev.log" >&2; fail "streamspace dev did not start within 30 s"; }
    STREAMSPACE_TOKEN=$(field admin_token)
    export STREAMSPACE_URL STREAMSPACE_TOKEN
    NATS_URL=$(field nats) NATS_USER=$(field nats_user) NATS_PASSWORD=$(field nats_password)
    export NATS_URL NATS_USER NATS_PASSWORD
    RUST_LOG=warn "$server_binary" controller --platform noop --controller-id noop-clients --labels zone=eu-1 \
        --state-dir "$logs/noop" >"$logs/noop.log" 2>&1 &
    processes+=($!)
    # one that never gets a session, for operators to revoke
    RUST_LOG=warn "$server_binary" controller --platform noop --controller-id noop-spare --state-dir "$logs/spare" \
        --sessions-max 0 >"$logs/spare.log" 2>&1 &
    processes+=($!)
    python3 - <<'PYTHON' || { cat "$logs"/*.log >&2; fail "the controllers of local and noop did not report within 30 s"; }
import json, os, time, urllib.request
request = urllib.request.Request(os.environ["STREAMSPACE_URL"] + "/api/v1/platforms",
    headers={"Authorization": "Bearer " + os.environ["STREAMSPACE_TOKEN"]})
for _ in range(300):
    try:
        items = json.load(urllib.request.urlopen(request, timeout=5))["items"]
        if {"local", "noop"} <= {item["platform"] for item in items if item["accepting"]}:
            raise SystemExit(0)
    except OSError:
        pass
    time.sleep(0.1)
raise SystemExit(1)
PYTHON
    # what is served is what is believed, not the file beside the code
    STREAMSPACE_DOCUMENT=$out/openapi.json
    python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])' \
        "$STREAMSPACE_URL/openapi.json" "$STREAMSPACE_DOCUMENT"
    export STREAMSPACE_DOCUMENT
}

check_typescript() {
    local folder=$out/typescript
    rm -rf "$folder" && mkdir -p "$folder"
    ln -s "$modules/node_modules" "$folder/node_modules"
    cp "$clients/typescript/lifecycle.ts" "$clients/typescript/tsconfig.json" "$folder"
    cd "$folder"
    quietly "$modules/node_modules/.bin/openapi-ts" -i "$STREAMSPACE_DOCUMENT" -o client -c @hey-api/client-fetch --no-log-file
    quietly "$modules/node_modules/.bin/tsc" --project tsconfig.json
    node out/lifecycle.js
    cd "$root"
}

check_python() {
    local folder=$out/python
    rm -rf "$folder" && mkdir -p "$folder"
    cp "$clients/python/lifecycle.py" "$clients/python/mypy.ini" "$folder"
    cd "$folder"
    PATH=$venv/bin:$PATH quietly "$venv/bin/openapi-python-client" generate --path "$STREAMSPACE_DOCUMENT" \
        --output-path streamspace_client --meta none --overwrite
    quietly "$venv/bin/mypy" --config-file mypy.ini lifecycle.py streamspace_client
    "$venv/bin/python" lifecycle.py
    cd "$root"
}

check_schemathesis() {
    say "schemathesis, seed $seed (SEED=$seed repeats it)"
    local log=$out/schemathesis.log begun=$SECONDS
    # in a fresh folder: it keeps what it found there, and a run must be that of its seed alone
    rm -rf "$out/schemathesis" && mkdir -p "$out/schemathesis" && cd "$out/schemathesis"
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$clients/schemathesis SCHEMATHESIS_HOOKS=references \
        "$venv/bin/schemathesis" --config-file "$clients/schemathesis/schemathesis.toml" --no-color run "$STREAMSPACE_DOCUMENT" \
        --url "$STREAMSPACE_URL/api/v1" --header "Authorization: Bearer $STREAMSPACE_TOKEN" --checks all --exclude-checks use_after_free \
        --phases examples,coverage,fuzzing,stateful --max-examples "$examples" --seed "$seed" --continue-on-failure \
        --generation-database none >"$log" 2>&1 || { cat "$log" >&2; fail "schemathesis found the above; SEED=$seed repeats it"; }
    cd "$root"
    grep -E 'Tested: |generated' "$log"
    say "schemathesis found nothing in $((SECONDS - begun)) s"
}

mkdir -p "$out"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# as the tests build it, so that after them nothing is compiled again; BUILD= takes what is there
[ -z "${BUILD-1}" ] || cargo build --locked --workspace --all-features
case " $* " in *" typescript "*) install_node ;; esac
case " $* " in *" python "* | *" schemathesis "*) install_python ;; esac
start_server
for part in "$@"; do "check_$part"; done
say "$* passed against the document of $(basename "$server_binary") with $(grep -c operationId "$STREAMSPACE_DOCUMENT") operations"
