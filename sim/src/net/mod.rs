//! The network of the simulated world. It carries the real bytes of real gRPC calls, frame by frame.
//!
//! ```text
//!   caller --Network::connect--> Port --(request frames, delayed)--> Routes of the server at that address
//!          <--------------------------(response frames, delayed)---
//! ```
//!
//! * Every ordered pair of machines is a *link* with latency (a heavy tail included), loss and blocks of its own.
//! * A unary call may lose its request, lose its **reply** (the server has acted, the caller never learns it), or be delivered
//!   twice. Calls overtake each other freely.
//! * A stream keeps its order and loses nothing but itself: a block holds its frames; what stays blocked breaks, some sooner
//!   as keep-alive would, some only after long.
//! * A machine that crashed is *fenced*: no frame of that life arrives any more, in either direction; its peers learn it at
//!   once, as from a dying process, or by silence, as from a machine without power.
//!
//! Absent: bandwidth, and TCP's own retransmission (a block shorter than keep-alive looks like it).

mod arrive;
mod call;
mod fate;
mod port;
mod relay;
mod state;

pub use fate::Weather;
pub use port::Port;
pub use state::{Counts, SimNet};

/// A machine: nodes have their node ids, clients numbers from [`CLIENTS`] on.
pub type MachineId = u64;

/// Where the numbers of clients begin.
pub const CLIENTS: MachineId = 1000;

/// The address of a node.
pub fn address(node: MachineId) -> String {
    format!("10.0.{}.{}:7100", node / 250, node % 250 + 1)
}
