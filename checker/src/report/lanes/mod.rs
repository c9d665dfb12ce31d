//! The lane chart: one lane for each node and one for each shard, on one axis of time.
//!
//! Lanes are made of segments: from when to when something was so. They come from views, which are samples: a change
//! is drawn where it was first seen, which may be later than where it happened.

mod nodes;
mod segments;
mod shards;

use std::collections::BTreeSet;

use serde::Serialize;

use super::gathered::Gathered;

/// All lanes.
#[derive(Serialize)]
pub(super) struct Lanes {
    /// Every group that appears; 0: the controller.
    groups: Vec<u64>,
    nodes: Vec<nodes::NodeLane>,
    shards: Vec<shards::ShardLane>,
    /// Segments that were too short among too many.
    left_out: usize,
}

impl Lanes {
    /// First sights of leaders: for each group and term the moment, the node, the group, the term.
    pub(super) fn elections(&self) -> Vec<(f64, u64, u64, u64)> {
        let mut all: Vec<_> = self.nodes.iter().flat_map(nodes::NodeLane::elections).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut seen = BTreeSet::new();
        all.retain(|(_, _, gid, term)| seen.insert((*gid, *term)));
        all
    }

    /// First sights of shards with another group: the moment, the shard, the group.
    pub(super) fn changes(&self) -> Vec<(f64, u32, u64)> {
        self.shards.iter().flat_map(shards::ShardLane::changes).collect()
    }

    pub(super) fn new(all: &Gathered<'_>) -> Self {
        let replicas = all.views.iter().filter_map(|view| view.replicas.as_ref()).flatten();
        let mut groups: Vec<u64> = replicas.map(|replica| replica.gid).collect();
        groups.sort_unstable();
        groups.dedup();
        let (nodes, nodes_left) = nodes::lanes(all);
        let (shards, shards_left) = shards::lanes(all);
        Self { groups, nodes, shards, left_out: nodes_left + shards_left }
    }
}
