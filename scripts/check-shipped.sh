#!/usr/bin/env bash
# Looks into a built binary for what only tests may have in theirs: the points at which it can be told to crash.
#   scripts/check-shipped.sh target/debug/streamspace
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 BINARY" >&2; exit 64; }
fail() { echo "check-shipped: $1" >&2; exit 1; }

# a text that every one has, to know that texts are found in this binary at all
grep -aq STREAMSPACE_ARCHIVE_DIR "$1" || fail "$1 is not the streamspace binary"
! grep -aq STREAMSPACE_CRASH_AT "$1" || fail "$1 has crash points; build it without the feature crash-points"
