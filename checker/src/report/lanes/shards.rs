//! A lane for each shard: which group has it and in which phase, and which group is pulling it.
//!
//! A group's word is that of its replica which has applied most: a replica that lags behind changes nothing here. Two
//! groups are sampled at different moments, so while a shard changes hands both may seem to have it: the one that has
//! it at the greater configuration is drawn.

use std::collections::BTreeMap;

use serde::Serialize;

use super::segments::{Limit, Segment, Segments};
use crate::record::{ReplicaView, ShardView};
use crate::report::gathered::Gathered;

/// Phases in which a group has the shard's rows and answers for it.
const HAVING: [&str; 4] = ["serving", "be_pulling", "sealed", "gcing"];

/// One shard.
#[derive(Serialize)]
pub(super) struct ShardLane {
    shard: u32,
    /// Who has it.
    owner: Vec<Segment<Owner>>,
    /// Who is getting it.
    pulling: Vec<Segment<u64>>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Owner {
    gid: u64,
    phase: String,
    config: u64,
}

#[derive(Default)]
struct Collected {
    owner: Segments<Owner>,
    pulling: Segments<u64>,
    /// By group.
    now: BTreeMap<u64, ShardView>,
}

impl Collected {
    fn draw(&mut self, at: u64) {
        let having = self.now.iter().filter(|(_, shard)| HAVING.contains(&&shard.phase[..]));
        let owner = having.max_by_key(|(_, shard)| (shard.config, shard.phase != "sealed"));
        let owner =
            owner.map(|(gid, shard)| Owner { gid: *gid, phase: shard.phase.clone(), config: shard.config });
        self.owner.set(at, owner);
        let pulling = self.now.iter().find(|(_, shard)| shard.phase == "pulling");
        self.pulling.set(at, pulling.map(|(gid, _)| *gid));
    }
}

impl ShardLane {
    /// When it was first seen with another group, and with which.
    pub(super) fn changes(&self) -> impl Iterator<Item = (f64, u32, u64)> {
        let pairs = self.owner.windows(2).filter(|pair| pair[0].2.gid != pair[1].2.gid);
        pairs.map(|pair| (pair[1].0, self.shard, pair[1].2.gid))
    }
}

/// The lanes of all shards that are known or that any replica spoke of.
pub(super) fn lanes(all: &Gathered<'_>) -> (Vec<ShardLane>, usize) {
    let mut shards: BTreeMap<u32, Collected> = BTreeMap::new();
    let mut newest: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for view in &all.views {
        for replica in view.replicas.iter().flatten().filter(|replica| replica.gid != 0) {
            let now = (replica.incarnation, replica.applied);
            let newest = newest.entry(replica.gid).or_default();
            if now >= *newest && replica.role != "starting" {
                *newest = now;
                see(&mut shards, view.at_ns, replica);
            }
        }
    }
    let mut limit = Limit::new(shards.len());
    let lane = |(shard, lane): (u32, Collected)| ShardLane {
        shard,
        owner: lane.owner.finish(all.span_ns, &mut limit),
        pulling: lane.pulling.finish(all.span_ns, &mut limit),
    };
    let lanes = shards.into_iter().map(lane).collect();
    (lanes, limit.left_out)
}

fn see(shards: &mut BTreeMap<u32, Collected>, at: u64, replica: &ReplicaView) {
    for lane in shards.values_mut() {
        lane.now.remove(&replica.gid);
    }
    for shard in &replica.shards {
        shards.entry(shard.shard).or_default().now.insert(replica.gid, shard.clone());
    }
    shards.values_mut().for_each(|lane| lane.draw(at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Line, View};

    fn view(at_ns: u64, gid: u64, applied: u64, phase: &str, config: u64) -> Line {
        let shard = ShardView { phase: phase.into(), config, ..ShardView::default() };
        let shards = if phase.is_empty() { vec![] } else { vec![shard] };
        let replica = ReplicaView { gid, applied, shards, ..ReplicaView::default() };
        Line::View(View { at_ns, node: 1, replicas: Some(vec![replica]) })
    }

    #[test]
    fn a_move_is_seen_and_a_laggard_is_not_believed() {
        let lines = [
            view(0, 1, 10, "serving", 1),
            view(1_000, 2, 5, "pulling", 2),
            view(2_000, 1, 12, "sealed", 2),
            view(2_500, 1, 11, "serving", 1),
            view(3_000, 2, 9, "gcing", 2),
            view(4_000, 1, 14, "absent", 3),
            view(5_000, 2, 10, "serving", 2),
        ];
        let (lanes, _) = lanes(&Gathered::new(&lines));
        let seen = |s: &Segment<Owner>| (s.0, s.2.gid, s.2.phase.clone());
        let wanted = [(0.0, 1, "serving"), (0.002, 1, "sealed"), (0.003, 2, "gcing")];
        assert_eq!(
            lanes[0].owner.iter().map(seen).collect::<Vec<_>>(),
            wanted.map(|(at, gid, phase)| (at, gid, phase.to_owned()))
        );
        assert_eq!(lanes[0].pulling, [Segment(0.001, 0.003, 2)]);
    }
}
