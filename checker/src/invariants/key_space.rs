//! I7: once all is quiet, the groups' shards make up the whole key space, and nothing is left behind.
//!
//! To be asked when everything has converged: every shard is served by exactly one group (the one the configuration names,
//! if that is known), no group holds anything of a shard that is not its own, and nobody owes a deletion.
//!
//! What it does not check: rows of dead shards that wait to be swept; which keys there are (the histories do).

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{ReplicaView, View};

/// What is wrong, in words; nothing: it holds. `owners` has one group for each shard, 0 for one that has none.
pub fn check<'a>(views: impl IntoIterator<Item = &'a View>, owners: &[u64]) -> Vec<String> {
    let groups = leaders(views);
    let mut found = Vec::new();
    let mut served: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for (gid, replica) in &groups {
        if replica.debts > 0 {
            found.push(format!("group {gid} still owes {} deletions", replica.debts));
        }
        for shard in &replica.shards {
            if shard.phase == "serving" {
                served.entry(shard.shard).or_default().insert(*gid);
            } else {
                found.push(format!("group {gid} still has shard {} as {}", shard.shard, shard.phase));
            }
        }
    }
    for (shard, owner) in (0..).zip(owners) {
        let by: Vec<u64> = served.remove(&shard).unwrap_or_default().into_iter().collect();
        match (by.as_slice(), owner) {
            ([], 0) => {}
            ([], owner) => found.push(format!("nobody serves shard {shard}, which belongs to group {owner}")),
            ([one], owner) if one == owner => {}
            (by, owner) => {
                found.push(format!("groups {by:?} serve shard {shard}, which belongs to group {owner}"))
            }
        }
    }
    found.extend(served.keys().map(|shard| format!("shard {shard} is served and does not exist")));
    found
}

/// What each group's leader says, the one of the greatest term if several believe to lead.
fn leaders<'a>(views: impl IntoIterator<Item = &'a View>) -> BTreeMap<u64, &'a ReplicaView> {
    let mut leaders: BTreeMap<u64, &ReplicaView> = BTreeMap::new();
    let all = views.into_iter().flat_map(|view| view.replicas.iter().flatten());
    for replica in all.filter(|replica| replica.gid != 0 && replica.role == "leader") {
        let newest =
            |other: &&ReplicaView| (other.incarnation, other.term) < (replica.incarnation, replica.term);
        if leaders.get(&replica.gid).is_none_or(newest) {
            leaders.insert(replica.gid, replica);
        }
    }
    leaders
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, shard, view};
    use super::*;
    use crate::record::ShardView;

    fn group(gid: u64, shards: Vec<ShardView>) -> View {
        view(ReplicaView { gid, member: gid, shards, ..replica() })
    }

    #[test]
    fn a_whole_key_space_is_left_in_peace() {
        let one = group(1, vec![shard(0, "serving", 3), shard(2, "serving", 3)]);
        let two = group(2, vec![shard(1, "serving", 3)]);
        let old = view(ReplicaView { term: 1, shards: vec![shard(1, "serving", 2)], ..replica() });
        assert_eq!(check([&one, &two, &old], &[1, 2, 1, 0]), Vec::<String>::new());
    }

    #[test]
    fn saboteurs_are_found() {
        let whole = || vec![shard(0, "serving", 3), shard(1, "serving", 3)];
        let words = |views: &[View], owners: &[u64]| check(views, owners).join("; ");
        assert!(words(&[group(1, whole())], &[1, 1, 1]).contains("nobody serves shard 2"));
        assert!(
            words(&[group(1, whole()), group(2, vec![shard(1, "serving", 3)])], &[1, 1])
                .contains("groups [1, 2] serve shard 1")
        );
        assert!(
            words(&[group(1, whole())], &[1, 2])
                .contains("groups [1] serve shard 1, which belongs to group 2")
        );
        assert!(
            words(&[group(1, whole()), group(2, vec![shard(1, "sealed", 3)])], &[1, 1])
                .contains("group 2 still has shard 1 as sealed")
        );
        assert!(words(&[group(1, whole())], &[1]).contains("shard 1 is served and does not exist"));
        let debtor = view(ReplicaView { debts: 2, shards: whole(), ..replica() });
        assert!(words(&[debtor], &[1, 1]).contains("owes 2 deletions"));
    }
}
