//! A replica's term never goes back, whatever happens to its process: it is on disk before it is acted on (Raft, figure 2).
//!
//! A view shows a term as soon as it is in memory. What a restart may take back is a term that had not reached the disk yet,
//! and so had not been acted on: a term in which the replica was seen to lead is none of those.
//!
//! What it does not check: a replica that lost its disk, which comes back under another member number; and, across a restart,
//! terms in which the replica only followed.

use std::collections::BTreeMap;

use super::{Invariant, Member, running, violation};
use crate::record::{View, Violation};

/// The latest term in which each replica led.
#[derive(Default)]
pub struct Terms {
    members: BTreeMap<Member, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    node: u64,
    opening: u64,
    latest: u64,
    /// The latest term in which it led.
    led: u64,
}

impl Invariant for Terms {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        let mut found = Vec::new();
        for (member, replica) in running(view) {
            let seen = self.members.entry(member).or_default();
            if replica.opening != seen.opening {
                (seen.opening, seen.latest) = (replica.opening, seen.led);
            }
            if replica.term < seen.latest {
                let what = format!("the term of {member} went back from {} to {}", seen.latest, replica.term);
                found.push(violation("terms", view, what));
            }
            (seen.node, seen.latest) = (view.node, replica.term);
            if replica.role == "leader" {
                seen.led = replica.term;
            }
        }
        found
    }

    fn restarted(&mut self, node: u64) {
        let here = self.members.values_mut().filter(|seen| seen.node == node);
        here.for_each(|seen| seen.latest = seen.led);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, told, view};
    use super::*;
    use crate::record::ReplicaView;

    fn at(term: u64, role: &str) -> View {
        view(ReplicaView { term, role: role.to_owned(), ..replica() })
    }

    #[test]
    fn a_term_that_goes_back_is_found() {
        assert_eq!(told(Terms::default(), &[at(3, "leader"), at(3, "follower"), at(7, "candidate")]), "");
        let down = View { at_ns: 0, node: 1, replicas: None };
        let told = told(Terms::default(), &[at(3, "follower"), down, at(2, "follower")]);
        assert!(told.contains("went back from 3 to 2"));
    }

    #[test]
    fn a_restart_takes_back_what_was_not_acted_on_and_nothing_else() {
        let after = |before: View, after: View| {
            let mut terms = Terms::default();
            terms.see(&before);
            terms.restarted(1);
            terms.see(&after).len()
        };
        assert_eq!(after(at(3, "candidate"), at(2, "follower")), 0, "the vote had not reached the disk");
        let again =
            |term, opening| view(ReplicaView { term, opening, role: "follower".to_owned(), ..replica() });
        assert_eq!(told(Terms::default(), &[again(3, 1), again(2, 2)]), "");
        assert!(told(Terms::default(), &[at(3, "leader"), again(2, 2)]).contains("went back from 3 to 2"));
        assert_eq!(after(at(3, "leader"), at(2, "follower")), 1, "nobody leads before its vote is on disk");
    }
}
