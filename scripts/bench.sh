#!/usr/bin/env bash
# Flotilla beside its peers on this machine, all durable, all on the same disk: three etcd members with their defaults, one
# Redis server that syncs every write, and a three-node Flotilla with one group. Writes the figures into wiki/Performance.md
# and the picture beside it. Then first numbers of a fresh cluster: how soon it serves, what it costs when idle, what clients see
# while a shard moves. What was started is stopped, and its data removed, however this ends.
#
#   scripts/bench.sh [path of the flotilla binary]
#
#   BENCH_SECONDS     each run is measured so long (3)        BENCH_PEERS   whom to compare with ("etcd redis"); "" for nobody
#   BENCH_ROUNDS      runs of each (1)                        BENCH_OPS     put,get
#   BENCH_CLIENTS     1,16,64,256                             BENCH_DIR     where data goes: a real disk (below the target directory)
#   BENCH_PAGE        the page to write into; "" for none     BENCH_MOVES   moves of a shard (4); 0 leaves out the second part
#   BENCH_BASE_PORT   ports from here on are used (17100)     BENCH_SHARD_BYTES  what the moving shard holds (100000000)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly FLOTILLA=${1:-${CARGO_TARGET_DIR:-target}/release/flotilla}
readonly SECONDS_EACH=${BENCH_SECONDS:-3} ROUNDS=${BENCH_ROUNDS:-1}
readonly OPS=${BENCH_OPS:-put,get} CLIENTS=${BENCH_CLIENTS:-1,16,64,256}
readonly PEERS=${BENCH_PEERS-etcd redis}
readonly PAGE=${BENCH_PAGE-wiki/Performance.md}
readonly MOVES=${BENCH_MOVES:-4} SHARD_BYTES=${BENCH_SHARD_BYTES:-100000000} IDLE_SECONDS=${BENCH_IDLE_SECONDS:-10}
readonly BASE=${BENCH_BASE_PORT:-17100}
readonly PARENT=${BENCH_DIR:-${CARGO_TARGET_DIR:-target}}

say() { echo "bench: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

[ -x "$FLOTILLA" ] || fail "there is no $FLOTILLA; build it with: make build"
mkdir -p "$PARENT"
dir=$(mktemp -d "$PARENT/bench.XXXXXX")
case $(stat -f -c %T "$dir") in
    tmpfs | ramfs) fail "$dir is in memory, where syncs cost nothing: name a folder on a disk in BENCH_DIR" ;;
esac

pids=()
cleanup() {
    local pid cluster
    for cluster in "$dir"/flotilla-*; do
        [ ! -d "$cluster" ] || "$FLOTILLA" down --dir "$cluster" >/dev/null 2>&1 || true
    done
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# start_cluster NAME BASE_PORT GROUPS: a cluster; its endpoints go to FLOTILLA_ENDPOINTS.
start_cluster() {
    export FLOTILLA_ENDPOINTS=127.0.0.1:$(($2 + 1)),127.0.0.1:$(($2 + 2)),127.0.0.1:$(($2 + 3))
    "$FLOTILLA" up --detach --dir "$dir/flotilla-$1" --base-port "$2" --groups "$3" >"$dir/up" 2>&1 || {
        cat "$dir/up" >&2
        fail "the cluster does not start"
    }
}

etcd_endpoints() { echo "127.0.0.1:$((BASE + 401)),127.0.0.1:$((BASE + 402)),127.0.0.1:$((BASE + 403))"; }

start_etcd() {
    local member peers="" name
    for member in 1 2 3; do peers+=${peers:+,}m$member=http://127.0.0.1:$((BASE + 410 + member)); done
    for member in 1 2 3; do
        name=m$member
        etcd --name "$name" --data-dir "$dir/etcd-$name" --initial-cluster "$peers" --initial-cluster-state new \
            --listen-peer-urls "http://127.0.0.1:$((BASE + 410 + member))" \
            --initial-advertise-peer-urls "http://127.0.0.1:$((BASE + 410 + member))" \
            --listen-client-urls "http://127.0.0.1:$((BASE + 400 + member))" \
            --advertise-client-urls "http://127.0.0.1:$((BASE + 400 + member))" >"$dir/etcd-$name.log" 2>&1 &
        pids+=($!)
    done
}

start_redis() {
    mkdir -p "$dir/redis"
    redis-server --bind 127.0.0.1 --port $((BASE + 421)) --dir "$dir/redis" --appendonly yes --appendfsync always --save "" \
        --daemonize no >"$dir/redis.log" 2>&1 &
    pids+=($!)
}

# answers TARGET: waits until one put succeeds.
answers() {
    local try
    for try in $(seq 50); do
        "$FLOTILLA" bench --target "$1" --etcd "$(etcd_endpoints)" --redis "127.0.0.1:$((BASE + 421))" --disk "$dir" \
            --clients 1 --keys 1 --warm-up 0 --duration 50ms >"$dir/probe" 2>&1 && return
        sleep 0.2
    done
    cat "$dir/probe" >&2
    tail -n 5 "$dir/$1"*.log >&2 || true
    fail "$1 does not answer after $try tries"
}

targets=flotilla
words=(--say "flotilla=$("$FLOTILLA" --version), three replicas of one group, every write synced by a majority before it is acknowledged")
for peer in $PEERS; do
    case $peer in
        etcd) program=etcd package=etcd-server ;;
        redis) program=redis-server package=redis-server ;;
        *) fail "BENCH_PEERS names '$peer': the peers are etcd and redis" ;;
    esac
    command -v $program >/dev/null || {
        say "LEFT OUT: $peer; as root: apt-get install -y $package"
        continue
    }
    "start_$peer"
    answers "$peer"
    targets+=,$peer
    case $peer in
        etcd) words+=(--say "etcd=$(etcd --version | head -n 1), three members with default settings, through the crate etcd-client, connected to the leader") ;;
        redis) words+=(--say "redis=$(redis-server --version | sed 's/ sha=.*//'), appendfsync always, *one* copy and no replicas, through the crate redis") ;;
    esac
done
start_cluster peers "$BASE" 1

arguments=()
if [ -n "$PAGE" ]; then
    arguments+=(--page "$PAGE" --plot "$(dirname "$PAGE")/performance.svg")
fi
"$FLOTILLA" bench matrix --target "$targets" --etcd "$(etcd_endpoints)" --redis "127.0.0.1:$((BASE + 421))" --disk "$dir" \
    --ops "$OPS" --clients "$CLIENTS" --duration "$SECONDS_EACH" --warm-up 1s --rounds "$ROUNDS" \
    --figures "$PARENT/bench-figures.json" "${words[@]}" "${arguments[@]}"
say "every figure is in $PARENT/bench-figures.json${PAGE:+, the table in $PAGE}"
[ "$MOVES" != 0 ] || exit 0

# The second part: nobody else on the machine.
"$FLOTILLA" down --dir "$dir/flotilla-peers" >/dev/null
for pid in "${pids[@]}"; do kill "$pid" && wait "$pid" || true; done
pids=()

report() { printf '%-52s %s\n' "$1" "$2"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# per_node FUNCTION: what it prints for each node, on one line.
per_node() {
    local node
    for node in "$dir"/flotilla-alone/node-*; do "$1" "$(cat "$node/pid")" "$node"; done | tr '\n' ' '
}
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) * 1000 / hz }' "/proc/$1/stat"; }
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
written_bytes() { awk '/^write_bytes/ { print $2 }' "/proc/$1/io"; }
disk_kb() { du -sk "$2" | cut -f1; }

began=$(now_ms)
start_cluster alone $((BASE + 500)) 9
report "start of 3 nodes x 9 groups until all serve" "$(($(now_ms) - began)) ms"
"$FLOTILLA" put first value >/dev/null
report "start until the first put is acknowledged" "$(($(now_ms) - began)) ms"
sleep 5
cpu=$(per_node cpu_ms) written=$(per_node written_bytes)
sleep "$IDLE_SECONDS"
report "idle: processor ms of each node, before" "$cpu"
report "  and $IDLE_SECONDS s later" "$(per_node cpu_ms)"
report "idle: bytes written by each node, before" "$written"
report "  and $IDLE_SECONDS s later" "$(per_node written_bytes)"
report "idle: memory, resident kB of each node" "$(per_node resident_kb)"
report "idle: disk, kB of each node" "$(per_node disk_kb)"
"$FLOTILLA" bench move --moves "$MOVES" --shard-bytes "$SHARD_BYTES"
