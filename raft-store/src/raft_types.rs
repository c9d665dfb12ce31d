//! The types that openraft is instantiated with. Its names stay inside this crate.

use std::any::Any;
use std::fmt;

use bytes::Bytes;
use flotilla_types::MemberId;
use openraft::alias;

use crate::ids::Peer;

/// Where Raft's own tasks and timers run: tokio. Its random numbers (election timeouts) derive from the seed of
/// the scope that a task was spawned in, and the seeds come from the environment: whatever calls into openraft and
/// makes it spawn does so inside `Runtime::scope`.
pub(crate) type Runtime = openraft::rt::deterministic_rng::DeterministicRng<openraft::TokioRuntime>;

openraft::declare_raft_types!(
    /// openraft's type parameters.
    pub(crate) TypeConfig:
        D = Commands,
        R = Responses,
        NodeId = MemberId,
        Node = Peer,
        // As in the Raft paper, a term has one leader at most. (The other kind orders several by their ids.)
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, MemberId>,
        AsyncRuntime = Runtime,
);

pub(crate) type C = TypeConfig;
pub(crate) type LogId = alias::LogIdOf<C>;
pub(crate) type Vote = alias::VoteOf<C>;
pub(crate) type Entry = alias::EntryOf<C>;
pub(crate) type Payload = openraft::EntryPayload<Commands, MemberId, Peer>;
pub(crate) type Membership = openraft::Membership<MemberId, Peer>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<C>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<C>;

/// What one log entry carries: an encoded `CommandBatch`. Encoded once, shared by the log, every peer and apply.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Commands(pub Bytes);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of commands", self.0.len())
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry answered: a machine's `Vec<Response>`, its type erased so that openraft needs no
/// type parameter for it. Responses never leave the process.
#[derive(Default)]
pub(crate) struct Responses(Option<Box<dyn Any + Send + Sync>>);

impl Responses {
    pub fn new<R: Send + Sync + 'static>(responses: Vec<R>) -> Self {
        Self(Some(Box::new(responses)))
    }

    pub fn take<R: Send + Sync + 'static>(self) -> Option<Vec<R>> {
        self.0?.downcast::<Vec<R>>().ok().map(|responses| *responses)
    }
}

impl fmt::Debug for Responses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "responses" } else { "no responses" })
    }
}
