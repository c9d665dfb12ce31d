//! I5: numbers of configurations only grow, in each replica and in each of its shards, and no shard runs ahead of its
//! group.
//!
//! What it does not check: that configurations are adopted one by one, as views are samples and may miss some (the
//! machine's own tests do). After a restart, or once it was opened again, a replica may be behind where it was:
//! it applies its log again.

use std::collections::BTreeMap;

use super::{Invariant, Member, running, violation};
use crate::record::{ReplicaView, View, Violation};

/// The latest numbers of each replica.
#[derive(Default)]
pub struct Configs {
    latest: BTreeMap<(u64, Member, u64), Latest>,
}

#[derive(Default)]
struct Latest {
    config: u64,
    shards: BTreeMap<u32, u64>,
}

impl Invariant for Configs {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        if view.replicas.is_none() {
            self.restarted(view.node);
        }
        let mut found = Vec::new();
        for (member, replica) in running(view) {
            let latest = self.latest.entry((view.node, member, replica.opening)).or_default();
            found
                .extend(latest.judge(replica).map(|what| violation("I5", view, format!("{member}: {what}"))));
        }
        found
    }

    fn restarted(&mut self, node: u64) {
        self.latest.retain(|(at, ..), _| *at != node);
    }
}

impl Latest {
    fn judge(&mut self, replica: &ReplicaView) -> Option<String> {
        let before = std::mem::replace(&mut self.config, replica.config);
        // A shard that is gone may come back, but not to where it was.
        let shards: Vec<(u32, u64)> =
            replica.shards.iter().map(|shard| (shard.shard, shard.config)).collect();
        if replica.config < before {
            return Some(format!("its config went back from {before} to {}", replica.config));
        }
        for (shard, config) in shards {
            let before = self.shards.insert(shard, config).unwrap_or_default();
            if config < before {
                return Some(format!("the config of shard {shard} went back from {before} to {config}"));
            }
            if config > replica.config {
                return Some(format!("shard {shard} is at config {config}, its group at {}", replica.config));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, shard, told, view};
    use super::*;

    fn at(config: u64, shard_config: u64) -> View {
        view(ReplicaView { config, shards: vec![shard(0, "serving", shard_config)], ..replica() })
    }

    #[test]
    fn growing_is_honest_and_so_is_a_restart() {
        let down = View { at_ns: 0, node: 1, replicas: None };
        assert_eq!(told(Configs::default(), &[at(3, 3), at(5, 4), at(5, 5), down, at(4, 4)]), "");
        let mut told_of_it = Configs::default();
        assert_eq!(told_of_it.see(&at(5, 5)), []);
        told_of_it.restarted(1);
        assert_eq!(told_of_it.see(&at(4, 4)), []);
        let again = view(ReplicaView { opening: 2, config: 3, shards: Vec::new(), ..replica() });
        assert_eq!(told_of_it.see(&again), []);
    }

    #[test]
    fn going_back_is_found() {
        assert!(told(Configs::default(), &[at(3, 3), at(2, 2)]).contains("its config went back from 3 to 2"));
        assert!(told(Configs::default(), &[at(5, 5), at(5, 4)]).contains("shard 0 went back from 5 to 4"));
        assert!(told(Configs::default(), &[at(5, 6)]).contains("shard 0 is at config 6, its group at 5"));
    }
}
