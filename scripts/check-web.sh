#!/usr/bin/env bash
# Tests the web UI: its logic (vitest), and every page in a real chromium against a real `streamspace dev` that serves it.
#   scripts/check-web.sh [unit|browser]...      both unless named
# Packages and the build come from scripts/build-ui.sh, chromium from scripts/install-chromium.sh; BUILD= takes the binary that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- unit browser; fi
scripts/build-ui.sh
for part in "$@"; do
    case $part in
        unit) (cd web && node_modules/.bin/vitest run) ;;
        browser)
            CHROMIUM=$(scripts/install-chromium.sh)
            export CHROMIUM
            scripts/install-nats-server.sh
            # as the tests build it, so that after them only what embeds the UI is compiled again
            [ -z "${BUILD-1}" ] || cargo build --locked --workspace --all-features
            (cd web && node_modules/.bin/vitest run --config vitest.browser.config.ts)
            ;;
        *) echo "usage: $0 [unit|browser]..." >&2; exit 64 ;;
    esac
done
