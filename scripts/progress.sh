#!/usr/bin/env bash
# Runs a cargo command. While RocksDB compiles, which cargo shows as one silent line for ten minutes and more,
# says how far it is.
#
#   scripts/progress.sh cargo build --release

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly EVERY_SECONDS=20
readonly ROCKSDB_FILES=343 # librocksdb-sys 0.19.0: rocksdb_lib_sources.txt

builds="${CARGO_TARGET_DIR:-target}/release/build"

announce() {
    compgen -G "$builds/librocksdb-sys-*/out/librocksdb.a" >/dev/null && return
    echo "first build: RocksDB, about $ROCKSDB_FILES C++ files, is compiled from source. That takes 10 to 15 minutes on two" >&2
    echo "cores and happens once; everything after it takes seconds to minutes." >&2
}

# Object files of a RocksDB that is being built, i.e. has no archive yet.
objects() {
    local out
    for out in "$builds"/librocksdb-sys-*/out; do
        [ -d "$out" ] && [ ! -e "$out/librocksdb.a" ] && find "$out" -maxdepth 1 -name '*.o'
    done | wc -l
}

# Prints only while the number grows, so an interrupted build's remains are not taken for progress.
watch_rocksdb() {
    local before now nap began=$SECONDS
    before=$(objects)
    trap 'kill "$nap" 2>/dev/null; exit 0' TERM
    # The command may end without telling us; then there is nothing left to watch.
    while kill -0 "$1" 2>/dev/null; do
        sleep "$EVERY_SECONDS" &
        nap=$!
        wait "$nap"
        now=$(objects)
        [ "$now" -le "$before" ] || echo "    RocksDB: $now of about $ROCKSDB_FILES files compiled, $((SECONDS - began)) s" >&2
        before=$now
    done
}

announce
watch_rocksdb $$ </dev/null &
watcher=$!
trap 'kill "$watcher" 2>/dev/null || true' EXIT
"$@"
