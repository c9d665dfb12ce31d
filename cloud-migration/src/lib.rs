//! The cloud migration: the job that carries a whole cluster to object storage, and back.
//!
//! The job is one replicated record in the controller's group. This crate is to hold what is pure about it: the
//! record with its compare-and-set commands, the plan that cuts shards into files, the format of those files,
//! the manifest, and the list of compensations that a cancelled or failed job still owes.
//!
//! What exists today: the [`State`] of a migration and the one table of its legal transitions.
//!
//! * States only go forward, one at a time, and every living state can end in error or be cancelled.
//! * Nothing leaves a terminal state: an error never overwrites a cancellation, and a retry is a new record.
//!
//! Absent, to come: the record, its commands, freezing, the dump format, upload, takeover, restore. No command
//! and no service of a node starts a migration yet.

mod state;

pub use state::{State, Step, UnknownState};
