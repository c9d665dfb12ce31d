//! What a replica has applied: one data database each, and its snapshots.
//!
//! ```text
//!   DIR/data/g1-i1-m3/
//!     CURRENT          which database is live; switched by rename
//!     db-7/            the live database, WAL off: the Raft log is its WAL
//!     snapshot-.../    the last checkpoint: hard links to files of some db-*, and META
//!     tmp-.../         being built or received; rubbish after a crash
//! ```
//!
//! * [`engine`]: what is needed of the store below; RocksDB in [`rocks`].
//! * [`dir`]: the directory above. [`view`]: the live database and machine, as readers see them.
//! * [`apply`]: entries, in rounds: one batch carries the rows, the applied entry and the members.
//! * [`state_machine`]: openraft's face. [`snapshot`]: checkpoints, as files. [`sweep`]: local housekeeping.
//! * [`pin`]: one moment, kept readable for a while.
//!
//! A crash at any point leaves a usable replica: a database is at its last flush, `applied` with it, and the log is
//! never purged beyond a checkpoint, which flushes.

pub(crate) mod apply;
pub(crate) mod dir;
pub(crate) mod engine;
pub(crate) mod pin;
pub(crate) mod rocks;
pub(crate) mod snapshot;
pub(crate) mod state_machine;
pub(crate) mod sweep;
pub(crate) mod view;
