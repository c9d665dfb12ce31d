//! What a replica is and how far it has got, as others may watch it.

use flotilla_proto::faults::{Faults, mark};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use crate::data::view::Failure;
use crate::error::Leader;
use crate::raft_types::C;

/// What a replica is in Raft's eyes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Role {
    /// Has not heard of its log or of anybody yet.
    #[default]
    Starting,
    /// Receives the log and does not vote.
    Learner,
    /// Follows a leader.
    Follower,
    /// Asks to be elected.
    Candidate,
    /// Leads.
    Leader,
    /// Stopped.
    Stopped,
}

/// A replica's present state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// What it is.
    pub role: Role,
    /// The term it knows of.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<Leader>,
    /// The index of the last applied entry; none if nothing was applied.
    pub applied: Option<u64>,
    /// The index of the last entry known to be committed.
    pub committed: Option<u64>,
}

pub(crate) fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

pub(crate) fn progress(metrics: &RaftMetrics<C>) -> Progress {
    let leader = metrics.current_leader.and_then(|id| {
        let peer = metrics.membership_config.get_node(&id)?;
        Some((id, peer.clone()))
    });
    // What openraft says before it has read the disk must not pass for a term and members.
    let starting = metrics.current_term == 0 && metrics.membership_config.log_id().is_none();
    Progress {
        role: match metrics.state {
            _ if metrics.running_state.is_err() => Role::Stopped,
            ServerState::Learner if starting => Role::Starting,
            state => role(state),
        },
        term: metrics.current_term,
        leader,
        applied: metrics.last_applied.as_ref().map(|id| id.index),
        committed: metrics.local_committed.as_ref().map(|id| id.index),
    }
}

/// Turns openraft's metrics into [`Progress`] until the replica has stopped; then says why.
pub(crate) async fn watch_metrics(
    mut metrics: openraft::alias::WatchReceiverOf<C, RaftMetrics<C>>,
    sender: watch::Sender<Progress>,
    stopped: watch::Sender<Option<String>>,
    failure: watch::Receiver<Option<Failure>>,
    faults: Faults,
) {
    let reason = loop {
        let (now, running) = {
            let metrics = metrics.borrow_and_update();
            (progress(&metrics), metrics.running_state.clone())
        };
        sender.send_if_modified(|before| {
            let changed = *before != now;
            if now.role == Role::Leader && before.role != Role::Leader {
                faults.seen(mark::ELECTION_WON);
            }
            *before = now;
            changed
        });
        if let Err(fatal) = running {
            break crate::error::describe(&fatal);
        }
        if metrics.changed().await.is_err() {
            break "raft is gone".to_owned();
        }
    };
    sender.send_modify(|progress| {
        progress.role = Role::Stopped;
        progress.leader = None;
    });
    let reason = failure.borrow().as_ref().map_or(reason, |failure| failure.reason.clone());
    stopped.send_replace(Some(reason));
}
