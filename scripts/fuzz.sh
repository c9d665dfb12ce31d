#!/usr/bin/env bash
# Searches for inputs that break a decoder or a state machine: every target of fuzz/ for so many seconds, from the corpus
# of the repository and from what earlier searches found. `make test` replays the corpus without any of this.
#
#   scripts/fuzz.sh [seconds for each target, default 10] [target ...]
#
# An input that breaks something is left in fuzz/artifacts. Once the bug is fixed, it belongs into fuzz/corpus/<target>/,
# under a name that says what it was.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-10}
shift || true
case $seconds in
    '' | *[!0-9]*)
        echo "fuzz: '$seconds' is no number of seconds; usage: scripts/fuzz.sh [seconds] [target ...]" >&2
        exit 2
        ;;
esac

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is not installed: cargo install --locked cargo-fuzz" >&2
    exit 1
fi

root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
# RocksDB takes longer to compile than all the rest, and instrumenting it would show nothing: an ordinary build's will do.
rocksdb=$(find "$target/release/build" -path '*librocksdb-sys-*/out/librocksdb.a' -print -quit 2>/dev/null || true)
if [ -n "$rocksdb" ] && [ -z "${ROCKSDB_LIB_DIR-}" ]; then
    ROCKSDB_LIB_DIR=$(dirname "$rocksdb")
    export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
fi
[ -z "${ROCKSDB_LIB_DIR-}" ] || export RUSTFLAGS="${RUSTFLAGS-} -C link-arg=-lstdc++"
# Small files come and go a thousand times a second.
[ ! -w /dev/shm ] || export TMPDIR=${TMPDIR:-/dev/shm}

export CARGO_TARGET_DIR=$target/fuzz
cd fuzz
cargo fuzz build -s none
[ $# -gt 0 ] || read -r -a known <<<"$(cargo fuzz list | tr '\n' ' ')"
[ $# -gt 0 ] || set -- "${known[@]}"

broken=()
for name in "$@"; do
    mkdir -p "$CARGO_TARGET_DIR/corpus/$name" "corpus/$name" "artifacts/$name"
    # The first folder takes what is new; the repository's is only read.
    log=$CARGO_TARGET_DIR/$name.log
    if cargo fuzz run -s none "$name" "$CARGO_TARGET_DIR/corpus/$name" "corpus/$name" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -use_value_profile=1 >"$log" 2>&1; then
        echo "fuzz: $name: $(grep -ao 'Done [0-9]* runs' "$log" | tail -n 1 || true), nothing found"
    else
        broken+=("$name")
        grep -a -e 'panicked at' -A 1 -e 'SUMMARY' -e 'Test unit written' "$log" >&2 || tail -n 20 "$log" >&2
    fi
done
if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: BROKEN: ${broken[*]}; the inputs are in fuzz/artifacts, the logs in $CARGO_TARGET_DIR" >&2
    exit 1
fi
echo "fuzz: $# targets, nothing found"
