//! What is applied or known to be committed never goes back while a replica is open, and nothing is applied that is not
//! committed.
//!
//! What it does not check: that what was committed stays in the log (the digests and the histories show that). After a
//! restart, or once it was opened again, a replica may know of less: it learns what is committed from its leader.

use std::collections::BTreeMap;

use super::{Invariant, Member, running, violation};
use crate::record::{ReplicaView, View, Violation};

/// The latest indices of each replica.
#[derive(Default)]
pub struct Commits {
    latest: BTreeMap<(u64, Member, u64), [u64; 3]>,
}

impl Invariant for Commits {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        if view.replicas.is_none() {
            self.restarted(view.node);
        }
        let mut found = Vec::new();
        // Who has stopped applies and learns nothing more; what it says of itself may be of different moments.
        for (member, replica) in running(view).filter(|(_, replica)| replica.role != "stopped") {
            let before = self
                .latest
                .insert((view.node, member, replica.opening), indices(replica))
                .unwrap_or_default();
            found.extend(
                judge(before, replica).map(|what| violation("commits", view, format!("{member}: {what}"))),
            );
        }
        found
    }

    fn restarted(&mut self, node: u64) {
        self.latest.retain(|(at, ..), _| *at != node);
    }
}

fn indices(replica: &ReplicaView) -> [u64; 3] {
    [replica.committed, replica.applied, replica.snapshot]
}

fn judge(before: [u64; 3], replica: &ReplicaView) -> Option<String> {
    let names = ["committed", "applied", "snapshot"];
    let mut all = names.into_iter().zip(before).zip(indices(replica));
    if let Some(((name, before), now)) = all.find(|((_, before), now)| now < before) {
        return Some(format!("its {name} index went back from {before} to {now}"));
    }
    (replica.applied > replica.committed).then(|| {
        format!("it has applied {} and knows only {} to be committed", replica.applied, replica.committed)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, told, view};
    use super::*;

    fn at(committed: u64, applied: u64, snapshot: u64) -> View {
        view(ReplicaView { committed, applied, snapshot, ..replica() })
    }

    #[test]
    fn growing_is_honest_and_so_is_a_restart() {
        let down = View { at_ns: 0, node: 1, replicas: None };
        assert_eq!(
            told(Commits::default(), &[at(9, 8, 5), at(9, 9, 5), at(12, 10, 9), down, at(9, 9, 9)]),
            ""
        );
        let again = view(ReplicaView { opening: 2, committed: 7, applied: 7, ..replica() });
        assert_eq!(told(Commits::default(), &[at(9, 8, 50), again]), "");
    }

    #[test]
    fn going_back_and_ahead_is_found() {
        let words = |views: &[View]| told(Commits::default(), views);
        assert!(words(&[at(9, 8, 5), at(8, 8, 5)]).contains("its committed index went back from 9 to 8"));
        assert!(words(&[at(9, 8, 5), at(9, 7, 5)]).contains("its applied index went back from 8 to 7"));
        assert!(words(&[at(9, 8, 5), at(9, 8, 4)]).contains("its snapshot index went back from 5 to 4"));
        assert!(words(&[at(9, 10, 5)]).contains("applied 10 and knows only 9"));
    }
}
