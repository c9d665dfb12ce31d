//! I6: replicas of a group at the same applied index hold the same rows.
//!
//! A replica's rows are a function of the log up to its applied index, so a digest belongs to an index for ever: also
//! after a restart, and on a replica that came by a snapshot.
//!
//! What it does not check: views without a digest; indices of which more than [`INDICES_MAX`] newer ones have been seen.

use std::collections::BTreeMap;

use super::{Invariant, running, violation};
use crate::record::{View, Violation};

/// How many indices of a group are remembered.
const INDICES_MAX: usize = 4096;

/// The digests of each group, by index.
#[derive(Default)]
pub struct Digests {
    groups: BTreeMap<(u64, u64), BTreeMap<u64, Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    digest: u64,
    node: u64,
}

impl Invariant for Digests {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        let mut found = Vec::new();
        for (member, replica) in running(view) {
            let Some(digest) = replica.digest else { continue };
            let group = self.groups.entry((member.gid, member.incarnation)).or_default();
            let first = *group.entry(replica.applied).or_insert(Seen { digest, node: view.node });
            if first.digest != digest {
                let what = format!(
                    "rows differ at index {}: digest {:016x} on node {}, {digest:016x} on node {} ({member})",
                    replica.applied, first.digest, first.node, view.node
                );
                found.push(violation("I6", view, what));
            }
            if group.len() > INDICES_MAX {
                group.pop_first();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{of_node, replica, told};
    use super::*;
    use crate::record::ReplicaView;

    fn on(node: u64, applied: u64, digest: u64) -> View {
        of_node(node, vec![ReplicaView { applied, digest: Some(digest), ..replica() }])
    }

    #[test]
    fn different_indices_may_differ() {
        assert_eq!(told(Digests::default(), &[on(1, 5, 50), on(2, 6, 60), on(3, 5, 50)]), "");
        let other_group =
            of_node(2, vec![ReplicaView { incarnation: 2, applied: 5, digest: Some(1), ..replica() }]);
        assert_eq!(told(Digests::default(), &[on(1, 5, 50), other_group]), "");
    }

    #[test]
    fn a_replica_that_differs_is_found() {
        let words = told(Digests::default(), &[on(1, 5, 50), on(2, 6, 60), on(3, 5, 51)]);
        assert!(words.contains("rows differ at index 5") && words.contains("on node 3"), "{words}");
    }

    #[test]
    fn memory_is_bounded() {
        let mut digests = Digests::default();
        for applied in 0..2 * INDICES_MAX as u64 {
            assert_eq!(digests.see(&on(1, applied, applied)), []);
        }
        assert_eq!(digests.groups[&(1, 1)].len(), INDICES_MAX);
    }
}
