//! A group has at most one leader in a term (Raft, election safety).
//!
//! What it does not check: leaders that no view caught.

use std::collections::BTreeMap;

use super::{Invariant, running, violation};
use crate::record::{View, Violation};

/// How many terms of a group are remembered.
const TERMS_MAX: usize = 4096;

/// Who led each group in each term.
#[derive(Default)]
pub struct Leaders {
    groups: BTreeMap<(u64, u64), BTreeMap<u64, u64>>,
}

impl Invariant for Leaders {
    fn see(&mut self, view: &View) -> Vec<Violation> {
        let mut found = Vec::new();
        for (member, replica) in running(view).filter(|(_, replica)| replica.role == "leader") {
            let group = self.groups.entry((member.gid, member.incarnation)).or_default();
            let leader = *group.entry(replica.term).or_insert(member.member);
            if leader != member.member {
                let what = format!("two leaders in term {}: member {leader}, and {member}", replica.term);
                found.push(violation("leaders", view, what));
            }
            if group.len() > TERMS_MAX {
                group.pop_first();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{replica, told, view};
    use super::*;
    use crate::record::ReplicaView;

    #[test]
    fn two_leaders_are_found_in_one_term_only() {
        let leads = |member, term| view(ReplicaView { member, term, ..replica() });
        assert_eq!(told(Leaders::default(), &[leads(11, 3), leads(12, 4), leads(11, 3)]), "");
        assert!(told(Leaders::default(), &[leads(11, 3), leads(12, 3)]).contains("two leaders in term 3"));
        let follows = view(ReplicaView { member: 12, term: 3, role: "follower".to_owned(), ..replica() });
        assert_eq!(told(Leaders::default(), &[leads(11, 3), follows]), "");
    }
}
