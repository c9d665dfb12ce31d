//! I4: at most one group serves a shard at any configuration.
//!
//! A replica that serves a shard says at which configuration its group owns it; one that the shard is leaving, that its
//! group owned it at the configuration before that of the move. A configuration has one owner for each shard, so two
//! groups that say the same number contradict each other, at whatever moments they said it.
//!
//! What it does not check: that an old owner has stopped before the new one begins (both say true numbers, which
//! differ): the histories show that, by stale or lost values and by configurations that go back. A replica that falls
//! behind may truthfully say that it serves at an old configuration.

use std::collections::BTreeMap;

use super::{Invariant, running, violation};
use crate::record::{ShardView, View, Violation};

/// Who has said to own which shard at which configuration.
#[derive(Default)]
pub struct Owners {
    /// By shard and configuration: the group, and the node that said so first.
    said: BTreeMap<(u32, u64), (u64, u64)>,
}

impl Invariant for Owners {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        let mut found = Vec::new();
        for (member, replica) in running(view) {
            for shard in &replica.shards {
                let Some(config) = owned_at(shard) else { continue };
                let (gid, node) = *self.said.entry((shard.shard, config)).or_insert((member.gid, view.node));
                if gid != member.gid {
                    let what = format!(
                        "two groups own shard {} at config {config}: group {gid} on node {node}, and {member} on node {}",
                        shard.shard, view.node
                    );
                    found.push(violation("I4", view, what));
                }
            }
        }
        found
    }
}

/// The last configuration at which the group certainly owns a shard of which it says this.
fn owned_at(shard: &ShardView) -> Option<u64> {
    match &shard.phase[..] {
        "serving" | "gcing" | "pulling" => Some(shard.config),
        "be_pulling" | "sealed" => shard.config.checked_sub(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, shard, told, view};
    use super::*;
    use crate::record::ReplicaView;

    fn with(gid: u64, phase: &str, config: u64) -> View {
        view(ReplicaView { gid, shards: vec![shard(4, phase, config)], ..replica() })
    }

    #[test]
    fn a_move_is_honest() {
        let views = [
            with(1, "serving", 3),
            with(1, "be_pulling", 4),
            with(2, "pulling", 4),
            with(1, "sealed", 4),
            with(2, "gcing", 4),
            with(2, "serving", 6),
            with(1, "serving", 3),
        ];
        assert_eq!(told(Owners::default(), &views), "");
    }

    #[test]
    fn two_owners_are_found() {
        let both = [with(1, "serving", 4), with(2, "gcing", 4)];
        assert!(told(Owners::default(), &both).contains("two groups own shard 4 at config 4"));
        let kept = [with(1, "sealed", 5), with(2, "serving", 4)];
        assert!(told(Owners::default(), &kept).contains("two groups own shard 4 at config 4"));
    }
}
