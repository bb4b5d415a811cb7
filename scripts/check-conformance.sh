#!/usr/bin/env bash
# Examines controllers from outside: `local` and `noop` of the binary, and the examples in Python and Go, each in a run of its own.
#   scripts/check-conformance.sh [local|noop|python|go]...      all four unless named
# Needs python 3.11 with venv, and Go 1.26: that of the machine, else one from the Go module proxy through any older Go. What is
# installed goes to .tools/ (STREAMSPACE_TOOLS_CACHE names another folder). Reports go to target/conformance.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
tools=${STREAMSPACE_TOOLS_CACHE:-$root/.tools}
out=$root/target/conformance
binary=$root/target/debug/streamspace
examples=$root/controllers/examples
if [ $# -eq 0 ]; then set -- local noop python go; fi
for part in "$@"; do
    case $part in local | noop | python | go) ;; *) echo "usage: $0 [local|noop|python|go]..." >&2; exit 64 ;; esac
done

fail() { echo "check-conformance: $*" >&2; exit 1; }
say() { echo "check-conformance: $*"; }

install_python() {
    command -v python3 >/dev/null || fail "python3 is not installed (Debian: apt-get install python3 python3-venv)"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $(python3 --version), and 3.11 is needed"
    local lock=$examples/python/requirements.txt
    venv=$tools/conformance-python-$(sha256sum "$lock" | cut -c1-16)
    [ ! -e "$venv/complete" ] || return 0
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 has no venv (Debian: apt-get install python3-venv)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$lock" || fail "pip failed"
    touch "$venv/complete"
}

# An older Go fetches the one that go.mod names by itself (GOTOOLCHAIN).
install_go() {
    go=$(command -v go || command -v /usr/local/go/bin/go) ||
        fail "go is not installed; get Go 1.21 or newer from https://go.dev/dl (Debian: apt-get install golang-go, from backports)"
    (cd "$examples/go" && GOTOOLCHAIN=auto GOFLAGS=-mod=readonly "$go" build -o "$out/go-controller" .) || fail "the Go example does not build"
}

examine() {
    local name=$1
    shift
    "$binary" conformance --platform "$name" --id "$name-1" --junit "$out/$name.xml" "$@" >"$out/$name.txt" 2>&1
}

examine_local() { examine local --witness "$examples/witness.sh" -- "$binary" controller; }
examine_noop() { examine noop --sessions 250 -- "$binary" controller; }
examine_python() { examine python --lane both --witness "$examples/witness.sh" -- "$venv/bin/python" "$examples/python/controller.py"; }
examine_go() { examine go --witness "$examples/witness.sh" -- "$out/go-controller"; }

rm -rf "$out" && mkdir -p "$out" "$tools"
# as the tests build it, so that after them nothing is compiled again; BUILD= takes what is there
[ -z "${BUILD-1}" ] || cargo build --locked --workspace --all-features
case " $* " in *" python "*) install_python ;; esac
case " $* " in *" go "*) install_go ;; esac
export RUST_LOG=warn STREAMSPACE_LOG_FORMAT=text NO_COLOR=1

# at the same time: they mostly wait, for JetStream to notice that a controller was killed
begun=$SECONDS
processes=()
finish() { for pid in "${processes[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done; wait; }
trap finish EXIT
for part in "$@"; do
    "examine_$part" &
    processes+=($!)
done
failed=0 at=0
for part in "$@"; do
    if wait "${processes[$at]}"; then
        grep -E '^Conformance of|not seen in' "$out/$part.txt"
    else
        failed=1
        cat "$out/$part.txt" >&2
    fi
    at=$((at + 1))
done
processes=()
[ "$failed" -eq 0 ] || fail "a promise was broken: see above, and target/conformance"
say "$* kept every promise in $((SECONDS - begun)) s"
