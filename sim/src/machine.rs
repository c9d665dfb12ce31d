//! One machine: a clock, a disk, and one life of a node after the other.

use std::sync::Arc;

use flotilla_node::{Node, NodeError};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::ReplicaStatus;
use flotilla_types::GroupId;
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::SimClock;
use crate::drive::Drive;

/// One machine. Its state is behind a lock that is never held across an await.
pub struct Machine {
    /// Its wall clock, which goes on while no node runs.
    pub clock: Arc<SimClock>,
    /// Its disk, which stays when a node ends.
    pub drive: Drive,
    /// What it does now.
    pub state: Mutex<State>,
}

/// What a machine does now.
pub struct State {
    /// How many lives it has begun.
    pub lives: u64,
    /// How many starts have failed in a row.
    pub failures: u32,
    /// How many looks in a row have found a stopped replica.
    pub unwell: u32,
    /// The present one.
    pub life: Life,
}

/// Whether a machine runs.
pub enum Life {
    /// Nothing runs.
    Down,
    /// The node ends politely.
    Stopping(Alive),
    /// The node is starting.
    Starting(Alive),
    /// The node runs.
    Up(Box<Node>, Alive),
}

/// What ends with a life.
#[derive(Clone)]
pub struct Alive {
    /// Cancelled when it is over.
    pub token: CancellationToken,
    /// The node's environment.
    pub env: Environment,
}

impl Machine {
    /// A machine on which nothing has run yet.
    pub fn new(clock: Arc<SimClock>, drive: Drive) -> Self {
        Self { clock, drive, state: Mutex::new(State { lives: 0, failures: 0, unwell: 0, life: Life::Down }) }
    }

    /// Whether a node runs or starts here.
    pub fn is_on(&self) -> bool {
        !matches!(self.state.lock().life, Life::Down)
    }

    /// Whether a node runs here.
    pub fn is_up(&self) -> bool {
        matches!(self.state.lock().life, Life::Up(..))
    }

    /// What the running node says, if there is one.
    pub fn ask<T>(&self, question: impl FnOnce(&Node) -> T) -> Option<T> {
        match &self.state.lock().life {
            Life::Up(node, _) => Some(question(node)),
            _ => None,
        }
    }

    /// Why replicas of the running node have stopped; empty: none has. With `deep`, also which ones cannot read their rows.
    pub fn problems(&self, deep: bool) -> String {
        let problem = |node: &Node, replica: ReplicaStatus| match replica.problem.is_empty() {
            false => Some(replica.problem),
            true if deep && node.digest(GroupId(replica.gid)).is_none() => {
                Some(format!("group {} is corrupt: its rows cannot be read", replica.gid))
            }
            true => None,
        };
        let problems = |node: &Node| {
            let replicas = node.report().replicas.into_iter();
            replicas.filter_map(|replica| problem(node, replica)).collect::<Vec<_>>().join("; ")
        };
        self.ask(problems).unwrap_or_default()
    }

    /// For how many looks in a row, this one included, a replica of the running node has been found unwell.
    pub fn unwell(&self, deep: bool) -> u32 {
        let unwell = !self.problems(deep).is_empty();
        let mut state = self.state.lock();
        state.unwell = if unwell { state.unwell + 1 } else { 0 };
        state.unwell
    }

    /// Why the node gave up, if it did.
    pub fn gave_up(&self) -> Option<Result<(), NodeError>> {
        self.ask(|node| node.stopped().now_or_never()).flatten()
    }
}
