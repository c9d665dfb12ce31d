//! Raft groups over RocksDB: the engine room, and the only crate that names openraft and rocksdb.
//!
//! ```text
//!                 Group<M> (one replica of a group, M says what the group is)
//!                    | propose, read, members                    RaftServer  <- peers
//!                    v                                               |
//!                 openraft  <----------------------------------------'
//!                 /       \
//!     log/ (one for the node)   data/ (one for the replica)         net/ -> peers
//!     every write synced        WAL off: the log is its WAL
//! ```
//!
//! Invariants:
//! * A write is answered after it is synced on a majority and applied here; a vote is answered after it is synced.
//! * A read joins only a confirmation of leadership that began after it arrived, and sees the machine and its rows of
//!   one moment.
//! * `applied` and the rows it produced are one batch. The log is never purged past what the data has flushed.
//! * An engine's error is never a response: it stops the replica before the batch ([`Group::stopped`] says why).
//! * Every request between members names cluster, group, life of the group and both members; all are checked.
//! * A disk that forgot what it once synced is refused ([`StoreError::Rot`], [`StoreError::Corrupt`]).
//!
//! Absent on purpose: leases (a read always asks a majority), snapshots in memory, a WAL of our own.

mod blocking;
mod convert;
mod data;
mod disk;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod ids;
mod log;
mod net;
mod raft_types;
mod rocks;
mod store;
#[cfg(test)]
mod suite_test;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/common/machine.rs"]
mod test_machine;

pub use data::engine::DataEngine;
pub use data::pin::Pin;
pub use disk::{Disk, RocksDisk, RocksOptions};
pub use error::{Leader, MemberError, ProposeError, ReadError, StoreError};
pub use files::{DirEntry, File, Files, Lock, OpenMode, SystemFiles};
pub use group::members::Members;
pub use group::options::{GroupLimits, GroupOptions, RaftTimings};
pub use group::progress::{Progress, Role};
pub use group::{Group, ReplicaStatus};
pub use ids::{Peer, ReplicaId, ReplicaIdError};
pub use log::engine::{LogEngine, Visit};
pub use log::writer::Writer;
pub use net::server::RaftServer;
pub use store::{DiskIdentity, Store, StoreOptions};
