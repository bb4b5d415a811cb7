#!/bin/sh
# Checks streams/asyncapi.json (or another document) with the public AsyncAPI parser, which npm puts into .tools/ of this
# repository, in the versions of scripts/asyncapi/package-lock.json. Needs node 20 or newer with npm.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
own=$root/scripts/asyncapi
tools=$root/.tools/asyncapi
document=${1:-$root/streams/asyncapi.json}

fail() {
    echo "validate-asyncapi: $*" >&2
    exit 1
}

for program in node npm; do
    command -v "$program" >/dev/null 2>&1 || fail "$program is not installed; get Node.js 20 or newer, with npm"
done
major=$(node --version | sed 's/^v//; s/\..*//')
[ "$major" -ge 20 ] || fail "node $(node --version) is too old; get Node.js 20 or newer"

if ! cmp -s "$own/package-lock.json" "$tools/installed.json"; then
    mkdir -p "$tools"
    cp "$own/package.json" "$own/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel=error >"$tools/npm.log" 2>&1 ||
        fail "npm could not install the parser: $(tail -n 3 "$tools/npm.log")"
    cp "$own/package-lock.json" "$tools/installed.json"
fi

exec node "$own/validate.mjs" "$tools" "$document"
