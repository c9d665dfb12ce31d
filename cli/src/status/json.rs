//! Everything that `GetStatus` says, as JSON. Names are those of the `.proto` files.

use flotilla_proto::kv_v1::{
    GetStatusResponse, GroupStatus, MemberStatus, MoveProgress, MoveStatus, ReplicaStatus, ShardStatus,
};
use serde_json::{Value, json};

use super::health::Health;
use super::moving::Moving;
use crate::ctl::show;
use crate::probe::{Seen, View};

/// The whole view.
pub fn view(view: &View, health: &Health, moving: &[Moving]) -> Value {
    json!({
        "cluster": view.cluster,
        "healthy": health.problems.is_empty(),
        "problems": health.problems,
        "config": view.config.as_ref().map(|config| show::config(config, &view.directory)),
        "revision": view.directory.revision,
        "groups": show::groups(&view.directory),
        "serving": health.serving,
        "moving": moving.iter().map(one_moving).collect::<Vec<_>>(),
        "nodes": view.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn one_moving(moving: &Moving) -> Value {
    json!({
        "shard": moving.shard,
        "from": moving.from,
        "to": moving.to,
        "step": moving.step,
        "bytes_done": moving.bytes_done,
        "bytes_remaining": moving.bytes_remaining,
        "bytes_per_second": moving.bytes_per_second,
        "percent": moving.percent(),
        "retries": moving.retries,
        "last_error": moving.last_error,
    })
}

fn node(seen: &Seen) -> Value {
    match &seen.status {
        Ok(said) => said_by(said, &seen.address),
        Err(why) => json!({ "node": seen.node, "address": seen.address, "reachable": false, "error": why }),
    }
}

fn said_by(status: &GetStatusResponse, address: &str) -> Value {
    json!({
        "node": status.node,
        "address": if status.address.is_empty() { address } else { &status.address },
        "reachable": true,
        "cluster": status.cluster,
        "version": status.version,
        "disk": status.disk,
        "uptime_ms": status.uptime_ms,
        "memory_bytes": status.memory_bytes,
        "storage_bytes": status.storage_bytes,
        "config": status.config,
        "revision": status.revision,
        "replicas": status.replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}

fn replica(status: &ReplicaStatus) -> Value {
    json!({
        "gid": status.gid,
        "incarnation": status.incarnation,
        "member": status.member,
        "role": status.role,
        "term": status.term,
        "leader_member": status.leader_member,
        "leader_node": status.leader_node,
        "applied": status.applied,
        "committed": status.committed,
        "last_log": status.last_log,
        "snapshot": status.snapshot,
        "purged": status.purged,
        "storage_bytes": status.storage_bytes,
        "members": status.members.iter().map(member).collect::<Vec<_>>(),
        "group": status.group.as_ref().map(group),
        "problem": status.problem,
        "moves": status.moves.iter().map(progress).collect::<Vec<_>>(),
    })
}

fn member(status: &MemberStatus) -> Value {
    json!({
        "member": status.member,
        "node": status.node,
        "address": status.address,
        "voter": status.voter,
    })
}

fn group(status: &GroupStatus) -> Value {
    json!({
        "config": status.config,
        "settled": status.settled,
        "debts": status.debts,
        "shards": status.shards.iter().map(shard).collect::<Vec<_>>(),
    })
}

fn shard(status: &ShardStatus) -> Value {
    json!({
        "shard": status.shard,
        "phase": super::phase_name(status.phase()),
        "config": status.config,
        "keys": status.keys,
        "bytes": status.bytes,
        "sessions": status.sessions,
        "version": status.version,
        "moving": status.moving.as_ref().map(shard_moving),
    })
}

fn shard_moving(status: &MoveStatus) -> Value {
    json!({
        "peer": status.peer,
        "config": status.config,
        "bytes_done": status.bytes_done,
        "bytes_remaining": status.bytes_remaining,
        "step": status.step,
    })
}

fn progress(status: &MoveProgress) -> Value {
    json!({
        "shard": status.shard,
        "config": status.config,
        "bytes": status.bytes,
        "bytes_per_second": status.bytes_per_second,
        "retries": status.retries,
        "last_error": status.last_error,
        "pause_ms": status.pause_ms,
    })
}
