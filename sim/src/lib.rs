//! A whole cluster in one process, from one seed.
//!
//! ```text
//!   seed --> Plan: every choice of the run                                                  (plan)
//!     World: machines (clock, disk, one life of a node after the other), network, record   (world, machine, drive, disk, net)
//!       birth ---> safety, under faults ---> healing ---> convergence ---> last writes and reads ---> verdict     (run)
//!                    ^ nemesis: one fault after the other                (nemesis, cuts)
//!                    ^ the load and the administrators: flotilla-workload
//!       all the while: a look at every node, and the invariants          (watch, observe)
//!     trace: a hash over every message, look and outcome
//! ```
//!
//! * The nodes and clients are production's, from the gRPC service down to the log: only clock, randomness, network and disk are
//!   others. One tokio thread with paused time runs them all, so that a minute takes a second.
//! * Everything follows from the seed, to the last message: one process runs one seed ([`farm`] starts many), and libc's
//!   `getrandom` is answered from the seed too. Two runs of a seed have equal traces.
//! * A failure prints the one line that runs it again, and [`shrink`] makes it smaller. [`matrix`] is the table of trouble at
//!   each step of a move. [`wire`] is another, smaller simulation, with real HTTP/2 in it.
//!
//! Absent: processes. A paused machine's own timers go on (its messages and its disk are held), memory is shared, and a
//! node's work takes no time.

pub mod clock;
pub mod counts;
pub mod cuts;
pub mod dice;
pub mod disk;
pub mod drive;
pub mod farm;
pub mod liveness;
pub mod machine;
pub mod matrix;
pub mod nemesis;
pub mod net;
pub mod observe;
pub mod plan;
pub mod plants;
pub mod run;
pub mod shrink;
pub mod stage;
pub mod trace;
pub mod verdict;
pub mod watch;
pub mod wire;
pub mod world;
