//! What must hold of every node at every moment, judged from what nodes say of themselves as it comes in.
//!
//! One file each, with a header that says what it does not check. The names are those of the scenarios (wiki/Testing.md).
//!
//! ```text
//!   views as they come ----> Invariants::see ----> violations, at once
//!   a node was restarted --> Invariants::restarted   (what is kept in memory only may go back)
//!   all is quiet ----------> converged::missing (I9), key_space::check (I7)
//!   the run is over -------> substance::check (I12), bounds (I10), the verdicts on the history (I1, I2, I3)
//! ```
//!
//! A view is what a node said at one moment; views of two nodes are of two moments, and a follower's may be old. So
//! nothing here compares two nodes "now": it compares what cannot differ at any two moments.
//!
//! Absent: I8 (gaps of shards that do not move) is read off the history by the report; I11 (dumps) has no dumps yet; I13
//! (panics, leaks) is seen by whoever runs the processes.

pub mod bounds;
mod commits;
mod configs;
pub mod converged;
mod digests;
pub mod key_space;
mod leaders;
mod owners;
pub mod substance;
mod terms;

pub use commits::Commits;
pub use configs::Configs;
pub use digests::Digests;
pub use leaders::Leaders;
pub use owners::Owners;
pub use terms::Terms;

use crate::record::{ReplicaView, View, Violation};

/// Something that must hold.
pub trait Invariant: Send {
    /// What a node says of itself.
    fn see(&mut self, view: &View) -> Vec<Violation>;

    /// A node was started again: what it keeps in memory only may be older than before.
    fn restarted(&mut self, _node: u64) {}
}

/// All invariants that views alone can violate.
pub struct Invariants {
    all: Vec<Box<dyn Invariant>>,
}

impl Default for Invariants {
    fn default() -> Self {
        let all: Vec<Box<dyn Invariant>> = vec![
            Box::new(Owners::default()),
            Box::new(Configs::default()),
            Box::new(Digests::default()),
            Box::new(Terms::default()),
            Box::new(Leaders::default()),
            Box::new(Commits::default()),
        ];
        Self { all }
    }
}

impl Invariants {
    /// Shows a view to all.
    pub fn see(&mut self, view: &View) -> Vec<Violation> {
        self.all.iter_mut().flat_map(|one| one.see(view)).collect()
    }

    /// Tells all that a node was started again. To be called before the first view after it.
    pub fn restarted(&mut self, node: u64) {
        self.all.iter_mut().for_each(|one| one.restarted(node));
    }
}

/// A replica, wherever it runs: member numbers are never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Member {
    gid: u64,
    incarnation: u64,
    member: u64,
}

/// The replicas that run, with who they are. One that could not be opened says nothing of itself but its group.
fn running(view: &View) -> impl Iterator<Item = (Member, &ReplicaView)> {
    let opened = view.replicas.iter().flatten();
    let opened = opened.filter(|replica| replica.member != 0 && replica.role != "starting");
    opened.map(|replica| {
        (Member { gid: replica.gid, incarnation: replica.incarnation, member: replica.member }, replica)
    })
}

fn violation(by: &str, view: &View, what: String) -> Violation {
    Violation { at_ns: view.at_ns, by: by.to_owned(), what, key: None }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.gid {
            0 => write!(f, "member {} of the controller", self.member),
            gid => write!(f, "member {} of group {gid} (incarnation {})", self.member, self.incarnation),
        }
    }
}

#[cfg(test)]
mod fixture {
    use super::*;
    use crate::record::ShardView;

    /// Node 1's member 11 of group 1, which leads in term 5 and has one shard.
    pub(crate) fn replica() -> ReplicaView {
        ReplicaView {
            gid: 1,
            incarnation: 1,
            member: 11,
            role: "leader".to_owned(),
            term: 5,
            applied: 90,
            committed: 92,
            snapshot: 50,
            voters: vec![11, 12, 13],
            digest: Some(7),
            config: 3,
            shards: vec![shard(0, "serving", 3)],
            ..ReplicaView::default()
        }
    }

    pub(crate) fn shard(shard: u32, phase: &str, config: u64) -> ShardView {
        ShardView { shard, phase: phase.to_owned(), config, ..ShardView::default() }
    }

    /// Node 1 says this of its one replica.
    pub(crate) fn view(replica: ReplicaView) -> View {
        of_node(1, vec![replica])
    }

    pub(crate) fn of_node(node: u64, replicas: Vec<ReplicaView>) -> View {
        View { at_ns: 1_000, node, replicas: Some(replicas) }
    }

    /// What it says of these views in turn, in one text.
    pub(crate) fn told(mut invariant: impl Invariant, views: &[View]) -> String {
        views.iter().flat_map(|view| invariant.see(view)).map(|violation| violation.what).collect()
    }

    #[test]
    fn all_together_leave_an_honest_cluster_in_peace() {
        let mut all = Invariants::default();
        let other = ReplicaView {
            member: 12,
            role: "follower".to_owned(),
            applied: 80,
            digest: Some(6),
            ..replica()
        };
        assert_eq!(all.see(&view(replica())), []);
        assert_eq!(all.see(&of_node(2, vec![other])), []);
        assert_eq!(all.see(&View { at_ns: 0, node: 1, replicas: None }), []);
        let unopened = ReplicaView { gid: 1, role: "stopped".to_owned(), ..ReplicaView::default() };
        assert_eq!(all.see(&view(unopened)), []);
        let broken = ReplicaView { term: 4, ..replica() };
        assert_eq!(all.see(&view(broken)).len(), 1);
    }
}
