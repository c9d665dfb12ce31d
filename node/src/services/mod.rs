//! The gRPC doors. Services only translate: they find the replica, ask it, and put its answer into the wire's words.

pub mod commands;
pub mod ctrl;
pub mod freeze;
pub mod kv;
pub mod migration;
pub mod restore;
pub mod status;
pub mod stream;
pub mod transfer;

use flotilla_proto::kv_v1::{Code, Hint, Reply};
use flotilla_raft_store::{Leader, ProposeError, ReadError};
use flotilla_types::GroupId;

/// The hint that names a group's leader.
pub fn leader_hint(gid: GroupId, leader: Option<Leader>) -> Hint {
    let (node, address) = leader.map_or((0, String::new()), |(_, peer)| (peer.node.get(), peer.address));
    Hint { gid: gid.get(), node, address }
}

fn wrong_leader(gid: GroupId, leader: Option<Leader>) -> Reply {
    let message = match &leader {
        Some((_, peer)) => format!("node {} leads group {gid}: ask it", peer.node),
        None => format!("group {gid} has no leader at the moment: ask again"),
    };
    let hint = Some(leader_hint(gid, leader));
    Reply { hint, ..Reply::refused(Code::WrongLeader, message) }
}

fn overloaded(gid: GroupId, retry_after_ms: u64) -> Reply {
    let message = format!("group {gid} has too much waiting: ask again in {retry_after_ms} ms");
    Reply { retry_after_ms, ..Reply::refused(Code::Overloaded, message) }
}

/// What a client is told of a write that was not answered by an applied command.
pub fn propose_refusal(gid: GroupId, error: ProposeError) -> Reply {
    let reply = match error {
        ProposeError::NotLeader { leader } => wrong_leader(gid, leader),
        ProposeError::Overloaded { retry_after_ms } => overloaded(gid, retry_after_ms),
        ProposeError::TooLarge { .. } => Reply::refused(Code::TooLarge, error.to_string()),
        ProposeError::Invalid(_) => Reply::refused(Code::Invalid, error.to_string()),
        ProposeError::Unknown(_) => Reply::refused(Code::Timeout, error.to_string()),
        ProposeError::Stopped => wrong_leader(gid, None),
    };
    Reply { gid: gid.get(), ..reply }
}

/// What a client is told of a read that was not answered.
pub fn read_refusal(gid: GroupId, error: ReadError) -> Reply {
    let reply = match error {
        ReadError::NotLeader { leader } => wrong_leader(gid, leader),
        ReadError::Overloaded { retry_after_ms } => overloaded(gid, retry_after_ms),
        ReadError::NoQuorum => Reply::refused(Code::Timeout, error.to_string()),
        ReadError::Failed(_) | ReadError::Stopped => wrong_leader(gid, None),
    };
    Reply { gid: gid.get(), ..reply }
}
