#!/usr/bin/env bash
# First numbers of a fresh three-node cluster on this machine: how soon it serves, what one client sees (one call after
# the other, 256-byte values), the pause of a shard of 100 MB while it moves, what an idle node costs. The data goes to a
# temporary directory that is removed at the end.
#
#   scripts/measure.sh [path of the flotilla binary]

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly FLOTILLA=${1:-${CARGO_TARGET_DIR:-target}/release/flotilla}
MEASURE=$(dirname "$FLOTILLA")/examples/measure
readonly MEASURE
readonly BASE_PORT=${MEASURE_BASE_PORT:-17100}
readonly OPERATIONS=${MEASURE_OPERATIONS:-2000}
readonly MOVE_MEGABYTES=${MEASURE_MOVE_MEGABYTES:-100}
readonly IDLE_SECONDS=${MEASURE_IDLE_SECONDS:-10}

[ -x "$FLOTILLA" ] || {
    echo "measure: there is no $FLOTILLA; build it with: make build" >&2
    exit 1
}

dir=$(mktemp -d)
export FLOTILLA_ENDPOINTS=127.0.0.1:$((BASE_PORT + 1)),127.0.0.1:$((BASE_PORT + 2)),127.0.0.1:$((BASE_PORT + 3))
cleanup() {
    "$FLOTILLA" down --dir "$dir/data" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap cleanup EXIT

now_us() { echo $(($(date +%s%N) / 1000)); }

# report NAME VALUE
report() { printf '%-52s %s\n' "$1" "$2"; }

# per_node FUNCTION: what it prints for each node, on one line.
per_node() {
    local node
    for node in "$dir"/data/node-*; do "$1" "$node"; done | tr '\n' ' '
}
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$1/pid")/status"; }
written_bytes() { awk '/^write_bytes/ { print $2 }' "/proc/$(cat "$1/pid")/io"; }
disk_kb() { du -sk "$1" | cut -f1; }

echo "machine: $(nproc) cores, $(uname -sr), data in $dir"

[ -x "$MEASURE" ] || {
    echo "measure: there is no $MEASURE; build it with: make bench" >&2
    exit 1
}

began=$(now_us)
"$FLOTILLA" up --detach --dir "$dir/data" --base-port "$BASE_PORT" >"$dir/up" || {
    cat "$dir/up"
    exit 1
}
report "start until the cluster serves" "$((($(now_us) - began) / 1000)) ms"
"$FLOTILLA" put first value >/dev/null
report "start until the first put is acknowledged" "$((($(now_us) - began) / 1000)) ms"

sleep 2
before=$(per_node written_bytes)
sleep "$IDLE_SECONDS"
report "memory of an idle node, resident kB, each node" "$(per_node resident_kb)"
report "disk of an idle node, kB, each node" "$(per_node disk_kb)"
report "bytes written by process so far, $IDLE_SECONDS s ago" "$before"
report "bytes written by process so far, now" "$(per_node written_bytes)"

"$MEASURE" "127.0.0.1:$((BASE_PORT + 1))" latency "$OPERATIONS"
for gid in 1 2 1 2; do
    "$MEASURE" "127.0.0.1:$((BASE_PORT + 1))" move "$MOVE_MEGABYTES" "$gid"
done
