#!/usr/bin/env bash
# Builds the web UI into web/dist, from where cargo embeds it. Needs node 20.19 or newer with npm.
#   scripts/build-ui.sh                 builds, unless what is there was built of the same sources
#   scripts/build-ui.sh --if-possible   the same; without Node it only says what is missing
# The packages go to .tools/, one folder for each state of the lock file; the client is generated from api/openapi.json.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
web=$root/web
say() { echo "build-ui: $*"; }
missing() {
    if [ "${1:-}" = --if-possible ]; then
        say "$2; the web UI is left as it is ($([ -e "$web/dist/index.html" ] && echo "an earlier build" || echo "a page that says how to build it"))"
        exit 0
    fi
    echo "build-ui: $2" >&2
    exit 1
}

for program in node npm; do
    command -v "$program" >/dev/null 2>&1 || missing "${1:-}" "$program is not installed; get Node.js 20.19 or newer, with npm"
done
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    missing "${1:-}" "node $(node --version) is too old; get Node.js 20.19 or newer"

# what the build is made of; a build of the same is not made again, so that cargo compiles nothing again
sources=$(cd "$root" && { find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/src/api/generated -prune -o -path web/tests -prune -o -type f -print0; printf 'api/openapi.json\0'; } |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-32)
if [ -e "$web/dist/index.html" ] && [ "$(cat "$root/.tools/web-built" 2>/dev/null)" = "$sources" ]; then
    exit 0
fi

# beside it and moved, so that half an installation is never taken for one
modules=$root/.tools/web-$(sha256sum "$web/package-lock.json" | cut -c1-16)
if [ ! -e "$modules/complete" ]; then
    say "installing packages"
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$web/package.json" "$web/package-lock.json" "$modules"
    log=$modules/npm.log
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >"$log" 2>&1 || { tail -n 20 "$log" >&2; missing "${1:-}" "npm could not install the packages"; }
    touch "$modules/complete"
fi
[ ! -d "$web/node_modules" ] || [ -L "$web/node_modules" ] || rm -rf "$web/node_modules"
ln -sfn "$modules/node_modules" "$web/node_modules"

cd "$web"
say "building"
rm -rf src/api/generated
node_modules/.bin/openapi-ts -i ../api/openapi.json -o src/api/generated -c @hey-api/client-fetch --no-log-file >/dev/null
node_modules/.bin/tsc --noEmit
find dist -mindepth 1 ! -name .gitignore -delete
node_modules/.bin/vite build --logLevel warn
echo "$sources" >"$root/.tools/web-built"
say "built $(find dist/assets -name '*.js' | wc -l) scripts into web/dist"
