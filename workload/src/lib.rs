//! Seeded clients that write down what they did and what they were promised.
//!
//! ```text
//!   Plan --Load::start(plan, site)--> workers, each with a client library of its own
//!                                       |  one operation at a time, on keys that its crew shares   (keys, choose)
//!                                       |  stamped before it is sent and after it returned         (stopwatch)
//!                                       v
//!                                     Sink: a record's lines                                       (sink)
//!   Admins::start(plan, site): joins, leaves and moves, noted as events
//!   last_reads(site, keys): every key once more, when all is over
//! ```
//!
//! * Everything random comes from the plan's seed; sockets, clock and the library's own randomness from the site's
//!   [`Environment`](flotilla_proto::env::Environment). Timers are tokio's. So the same code runs in simulated and in real time.
//! * A logical client ends with an operation of unknown outcome; its worker goes on under a new id, with the same session of the
//!   client library. What may still travel of the old operation must not harm the next one, and the verdicts would show it.
//! * `fail` is only noted where the library says that nothing was done.
//! * A key is used by at most [`CREW_MAX`] workers and for at most [`OPS_PER_KEY_MAX`] operations, then another name takes its
//!   place: a search for a linear order stays feasible.
//!
//! Absent: batches, scans and keys that expire. The record has no operations for them.

mod admins;
mod choose;
mod dice;
mod keys;
mod last;
mod load;
mod operate;
mod plan;
mod sink;
mod site;
mod stopwatch;
mod worker;

pub use admins::{AdminPlan, Admins};
pub use dice::Dice;
pub use last::{Unread, last_reads};
pub use load::{Done, Load, Stalled};
pub use plan::{CREW_MAX, Mix, OPS_PER_KEY_MAX, Plan};
pub use sink::{Memory, Sink};
pub use site::Site;
pub use stopwatch::Stopwatch;
