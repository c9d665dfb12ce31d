//! Which shards are on their way, and how far.

use flotilla_proto::kv_v1::{MoveProgress, ReplicaStatus, ShardPhase, ShardStatus};

use super::health::{groups, shards};
use crate::probe::View;

/// A shard on its way, or arrived with work left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moving {
    /// Which shard.
    pub shard: u32,
    /// The old owner.
    pub from: u64,
    /// The new owner.
    pub to: u64,
    /// What is going on, for people.
    pub step: String,
    /// Bytes that the new owner has.
    pub bytes_done: u64,
    /// Bytes it still has to get, as the old owner last said.
    pub bytes_remaining: u64,
    /// How fast it goes.
    pub bytes_per_second: u64,
    /// Attempts that failed.
    pub retries: u32,
    /// What the last of them failed on; empty: nothing.
    pub last_error: String,
}

impl Moving {
    /// How far the copy is, 0 to 100; nothing to copy counts as not begun.
    pub fn percent(&self) -> u64 {
        let total = u128::from(self.bytes_done) + u128::from(self.bytes_remaining);
        let percent = (u128::from(self.bytes_done) * 100).checked_div(total).unwrap_or(0);
        u64::try_from(percent).unwrap_or(100)
    }
}

/// Every shard on its way, by shard; a move that both sides report stands there once, as the new owner sees it.
pub fn moving(view: &View) -> Vec<Moving> {
    let mut found: Vec<Moving> = Vec::new();
    for group in groups(view) {
        let leader = view.leader(group.gid).map(|(_, replica)| replica);
        found.extend(shards(view, group.gid).iter().filter_map(|shard| incoming(group.gid, shard, leader?)));
    }
    for group in groups(view) {
        for shard in shards(view, group.gid) {
            let seen = found.iter().any(|other| other.shard == shard.shard);
            found.extend(outgoing(group.gid, shard).into_iter().filter(|_| !seen));
        }
    }
    found.sort_by_key(|moving| moving.shard);
    found
}

fn incoming(gid: u64, shard: &ShardStatus, leader: &ReplicaStatus) -> Option<Moving> {
    let state = shard.moving.clone().unwrap_or_default();
    let step = match shard.phase() {
        ShardPhase::Pulling if state.step.is_empty() => "copying".to_owned(),
        ShardPhase::Pulling => format!("copying {}", state.step),
        ShardPhase::Gcing => "served by its new owner, the old one deletes".to_owned(),
        _ => return None,
    };
    let progress = leader.moves.iter().find(|progress| progress.shard == shard.shard);
    let MoveProgress { bytes_per_second, retries, last_error, .. } = progress.cloned().unwrap_or_default();
    Some(Moving {
        shard: shard.shard,
        from: state.peer,
        to: gid,
        step,
        bytes_done: state.bytes_done,
        bytes_remaining: state.bytes_remaining,
        bytes_per_second,
        retries,
        last_error,
    })
}

fn outgoing(gid: u64, shard: &ShardStatus) -> Option<Moving> {
    let step = match shard.phase() {
        ShardPhase::BePulling => "waiting for its new owner",
        ShardPhase::Sealed => "sealed, the last changes are on their way",
        _ => return None,
    };
    let state = shard.moving.clone().unwrap_or_default();
    Some(Moving {
        shard: shard.shard,
        from: gid,
        to: state.peer,
        step: step.to_owned(),
        bytes_done: 0,
        bytes_remaining: shard.bytes,
        bytes_per_second: 0,
        retries: 0,
        last_error: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_of_done_and_remaining() {
        let mut moving =
            outgoing(1, &ShardStatus { phase: ShardPhase::BePulling.into(), ..ShardStatus::default() })
                .expect("it moves away");
        assert_eq!(moving.percent(), 0);
        (moving.bytes_done, moving.bytes_remaining) = (30, 10);
        assert_eq!(moving.percent(), 75);
        moving.bytes_done = u64::MAX;
        assert_eq!(moving.percent(), 99);
    }
}
