//! What can go wrong, by who has to deal with it.

use std::io;
use std::path::PathBuf;

use flotilla_types::wire::WireError;
use flotilla_types::{EngineError, MemberId};

use crate::ids::{Peer, ReplicaId};

/// The disk cannot be used, or what is on it must not be.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation on files failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was being done, with its path.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error(
        "data directory {dir} is in use by another process (it holds {dir}/LOCK): stop that process or choose another directory"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory belongs to another cluster or node.
    #[error(
        "data directory {dir} belongs to {found}, not to {expected}: start that node with it, or choose an empty directory"
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// A newer version of the software wrote the directory.
    #[error(
        "data directory {dir} has format {found}, this software knows {known}: use the software that wrote it"
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What is written there.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// The log database lost writes that were once on disk.
    #[error(
        "the log in {dir} has rotted: round {marked} was synced, only round {recovered} can be read; promises may be forgotten, so this disk must not serve: wipe the directory and add the node again"
    )]
    Rot {
        /// The log's directory.
        dir: PathBuf,
        /// The newest round found.
        recovered: u64,
        /// The newest round known to have been there.
        marked: u64,
    },
    /// Stored bytes contradict themselves.
    #[error("{what} is corrupt: {detail}; it must not serve: destroy this replica and add a new member")]
    Corrupt {
        /// What.
        what: String,
        /// How.
        detail: String,
    },
    /// The replica is open already.
    #[error("replica {0} is already open in this process")]
    Open(ReplicaId),
    /// The replica was removed from this disk. Made anew it would have forgotten its votes and entries.
    #[error(
        "replica {0} was removed from this disk and never comes back: add a member with a new id instead"
    )]
    Destroyed(ReplicaId),
    /// Settings that contradict each other.
    #[error("raft settings: {0}")]
    Settings(String),
    /// The replica stopped while it was being opened or used.
    #[error("replica {replica} stopped: {reason}")]
    Stopped {
        /// Which.
        replica: ReplicaId,
        /// Why.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    pub(crate) fn corrupt(what: impl ToString, detail: impl ToString) -> Self {
        Self::Corrupt { what: what.to_string(), detail: detail.to_string() }
    }

    /// A failed read or write of stored bytes: corrupt if they contradict themselves, else the system's failure,
    /// after which they may well be intact.
    pub(crate) fn stored(what: impl ToString, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::corrupt(what, error),
            _ => Self::io(format!("use {}", what.to_string()), error),
        }
    }

    pub(crate) fn engine(what: impl ToString, error: EngineError) -> Self {
        Self::stored(what, engine_io(error))
    }
}

/// An error with its causes in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// An engine's failure as openraft wants it. Keeps whether the bytes or the system are to blame.
pub(crate) fn engine_io(error: EngineError) -> io::Error {
    io::Error::new(engine_kind(&error), describe(&error))
}

/// Whether stored bytes contradict themselves.
pub(crate) fn is_corrupt(error: &EngineError) -> bool {
    engine_kind(error) == io::ErrorKind::InvalidData
}

fn engine_kind(error: &EngineError) -> io::ErrorKind {
    let Some(source) = &error.source else { return io::ErrorKind::InvalidData };
    match source.downcast_ref::<io::Error>() {
        Some(source) => source.kind(),
        None if source.is::<WireError>() => io::ErrorKind::InvalidData,
        None => io::ErrorKind::Other,
    }
}

/// A member and where it lives.
pub type Leader = (MemberId, Peer);

/// A proposal was not answered by an applied command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was submitted: another member leads, or nobody does.
    #[error("this replica does not lead its group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<Leader>,
    },
    /// Nothing was submitted: the queue is full.
    #[error("the group's proposal queue is full, retry in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Nothing was submitted: longer than a log entry may be.
    #[error("a proposal of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing was submitted: no replica could read the command from the log.
    #[error("the command cannot be replicated: {0}")]
    Invalid(String),
    /// The proposal may or may not take effect, now or later.
    #[error("the outcome of the proposal is unknown: {0}")]
    Unknown(String),
    /// The replica has stopped. Nothing was submitted.
    #[error("the replica has stopped")]
    Stopped,
}

impl ProposeError {
    /// Whether the command may have been, or may yet be, applied.
    pub fn is_indeterminate(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// A read was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Another member leads, or nobody does.
    #[error("this replica does not lead its group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<Leader>,
    },
    /// No majority confirmed the leadership in time.
    #[error("no majority of the group answered in time")]
    NoQuorum,
    /// Too many reads are waiting.
    #[error("the group's read queue is full, retry in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The storage failed, or the query panicked.
    #[error("the read failed: {0}")]
    Failed(String),
    /// The replica has stopped.
    #[error("the replica has stopped")]
    Stopped,
}

/// A change of members did not happen, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// Another member leads, or nobody does.
    #[error("this replica does not lead its group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<Leader>,
    },
    /// Another change is under way.
    #[error("another change of members is under way: {0}")]
    InProgress(String),
    /// Raft's rules forbid it.
    #[error("the change of members is refused: {0}")]
    Refused(String),
    /// It may or may not take effect.
    #[error("the outcome of the change of members is unknown: {0}")]
    Unknown(String),
    /// The replica has stopped.
    #[error("the replica has stopped")]
    Stopped,
}
