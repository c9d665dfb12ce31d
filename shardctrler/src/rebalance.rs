//! Who gets which shard after groups came or went.
//!
//! The result is balanced: with `S` shards and `G` groups every group has `floor(S/G)` or that plus one. And it is
//! minimal: no balanced assignment is reached by moving fewer shards. The least number is
//!
//! ```text
//!   orphans + sum over groups of max(0, held - floor) - min(S mod G, number of groups with held > floor)
//! ```
//!
//! since an orphan (a shard of nobody, or of a group that is no longer live) moves whatever one does, a group gives
//! at least what it holds above its quota, and of the `S mod G` quotas of `floor + 1` each saves one move exactly if a
//! group gets it that holds more than `floor`. So the larger quotas go to the groups that hold most.
//!
//! If the shards were balanced before, then on a join none moves between two groups that were there already, and on a leave
//! none between two that stay: no old quota grows by a join, none shrinks by a leave. After shards were moved
//! by hand the next join or leave balances again, and then moves between old groups, still as few as possible.
//!
//! Ties go to the lower gid, a group gives its highest-numbered shards, and receivers are filled by gid with ascending
//! shards: the same input gives the same result everywhere, in whatever order a request named its groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The owner of each shard after balancing `shards` over `live`; unchanged if nobody is live.
pub fn rebalance(shards: &[u64], live: &BTreeSet<u64>) -> Vec<u64> {
    let mut held: BTreeMap<u64, Vec<usize>> = live.iter().map(|gid| (*gid, Vec::new())).collect();
    let mut free = Vec::new();
    for (shard, gid) in shards.iter().enumerate() {
        held.get_mut(gid).unwrap_or(&mut free).push(shard);
    }
    let quotas = quotas(&held, shards.len());
    for (gid, held) in &mut held {
        free.extend(held.drain(quotas[gid].min(held.len())..));
    }
    free.sort_unstable();
    let mut next = shards.to_vec();
    let mut free = free.into_iter();
    for (gid, held) in &held {
        for shard in free.by_ref().take(quotas[gid] - held.len()) {
            next[shard] = *gid;
        }
    }
    next
}

fn quotas(held: &BTreeMap<u64, Vec<usize>>, shards: usize) -> BTreeMap<u64, usize> {
    let floor = shards.checked_div(held.len()).unwrap_or(0);
    let larger = shards.checked_rem(held.len()).unwrap_or(0);
    let mut order: Vec<_> = held.iter().map(|(gid, held)| (Reverse(held.len()), *gid)).collect();
    order.sort_unstable();
    order.iter().enumerate().map(|(rank, (_, gid))| (*gid, floor + usize::from(rank < larger))).collect()
}
