#!/usr/bin/env bash
# Prints the path of a chromium for tests, and installs Debian's where there is none. CHROMIUM names another.
set -euo pipefail

for candidate in "${CHROMIUM:-}" "$(command -v chromium || true)" "$(command -v chromium-browser || true)" "$(command -v google-chrome || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
        echo "$candidate"
        exit 0
    fi
done
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
echo "install-chromium: installing Debian's chromium" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium' >&2 ||
    { echo "install-chromium: no chromium here; apt-get install chromium, or name one with CHROMIUM" >&2; exit 69; }
command -v chromium
