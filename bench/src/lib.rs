//! Measures Flotilla and its peers alike, and checks that what they acknowledged is there.
//!
//! ```text
//!   Plan --check--> Subject + connections ---- run ---> Report
//!                      |         |
//!                      |         `-- Store: Flotilla, etcd, Redis, each through its own client library   (store)
//!                      `-- what was written there, from one run to the next                              (subject)
//!
//!   run:  fill --> warm up --> measure --> read back
//!          clients: Worker, each takes the moment of its next operation from the Pacer   (worker, pacer)
//!          latencies: histograms, from that moment on                                    (tally)
//!          promises: every write to a watched key, every read of one                     (witness)
//!
//!   several targets in turn, and the ratio of each round     (contest)
//!   what clients see while shards move                       (moving)
//!   a table of shapes of load, its page and its picture      (matrix, page, plot)
//! ```
//!
//! * A latency counts from when the operation should have been sent. Operations that were due and never sent count as well.
//! * Failed operations are counted, never hidden in the latencies; a run tells what the first of them said.
//! * A run whose acknowledged writes are not there is worth nothing: it says so, and the command fails.
//! * What a figure was measured on stands beside it: the disk's sync time, the machine, processor time for each operation.
//!
//! Absent: starting servers (`scripts/bench.sh` does), and batches, deletes and expiry.

mod contest;
mod date;
mod disk;
mod error;
mod keys;
mod live;
mod machine;
mod matrix;
mod moving;
mod op;
mod pacer;
mod page;
mod plan;
mod plot;
mod report;
mod run;
mod servers;
mod store;
mod subject;
mod tally;
mod target;
mod value;
mod witness;
mod worker;

pub use contest::{Contender, Ratio, Row, row};
pub use date::today;
pub use disk::{Disk, measure as measure_disk};
pub use error::BenchError;
pub use keys::Distribution;
pub use live::Live;
pub use machine::Machine;
pub use matrix::{Cell, Matrix};
pub use moving::{MovePlan, MoveReport, measure_moves};
pub use op::Op;
pub use page::{Sheet, put_into};
pub use plan::{Pace, Plan};
pub use plot::plot;
pub use report::Report;
pub use run::{Voice, run};
pub use servers::{Processes, Usage};
pub use store::{AnyStore, Store, Trouble};
pub use subject::Subject;
pub use target::Target;
