//! The cloud migration: the job that carries a whole cluster to object storage, and back. Pure.
//!
//! The job is one replicated [`Record`] in the controller's group, with a row for each [`File`] of the dump and each
//! [`Part`] that was sent. Whoever works for it reads the record, does what it calls for, and says so by a
//! [`Command`]: a compare-and-set that [`apply()`] judges. So nothing is lost with a process.
//!
//! ```text
//!   init --> setup --> dump --> upload --> done            Pin    every move ended; nothing makes a new configuration
//!     \________\________\_________\-----> error            Frozen, Proven   of every group: the cut is one moment
//!     \________\________\_________\-----> cancelled        Assign, FilesPlanned, FileDumped, ..., FileDone
//! ```
//!
//! * At most one migration is not over. States only go forward, progress never falls, and nothing leaves a terminal state: an
//!   error never overwrites a cancellation, and a retry is a new record.
//! * An owner's command carries the epoch of its claim, a node's the number of its assignment; older ones are refused.
//! * Ending badly queues the compensations in the same command. They are ticked off one by one, by whoever did them.
//! * Freezes and pauses are held by migration id: none thaws or resumes what another holds.
//! * Time is what commands were stamped with.
//!
//! Code map: [`record`], [`file`](mod@file), [`options`]: what is kept. [`command`]: what changes it; `apply` has a file for
//! each family. [`book`]: where it is kept. [`work`]: what a record calls for. [`view`]: what people are shown. `dump`: the files' format.
//!
//! Absent, on purpose: I/O, clocks, leases that run out by themselves (expiry is a command), credentials.

mod apply;
pub mod book;
pub mod command;
pub mod dump;
pub mod file;
pub mod limits;
pub mod options;
pub mod progress;
pub mod record;
pub mod refusal;
mod state;
pub mod view;
pub mod work;

pub use apply::{Done, apply};
pub use book::{Book, Cluster};
pub use command::Command;
pub use file::{Dumped, File, Part, Stage, Upload};
pub use options::{FreezeUntil, Options, Target};
pub use record::{Ack, Compensation, Event, Failure, Freeze, Group, Owner, Record, Totals, Undo};
pub use refusal::{Refusal, Stop, Why};
pub use state::{State, Step, UnknownState};
