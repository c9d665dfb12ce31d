//! The network between nodes, and between them and clients.
//!
//! ```text
//!   node 1 --(source address, or who holds the socket)--> proxy of node 2 --> node 2
//!   client ---------------------------------------------> proxy of node 2 --> node 2
//! ```
//!
//! * Every node advertises its proxy, so all traffic passes one; each directed link has a mood of its own ([`mood`]).
//! * Where the machine allows, each node lives in a network namespace of its own ([`space`]), and links are also
//!   cut below TCP, by packet filters ([`filter`]).

pub(crate) mod filter;
pub(crate) mod ground;
pub(crate) mod mood;
pub(crate) mod proxy;
mod pump;
pub(crate) mod space;
mod who;

/// Clients, as one end of a link. Nodes count from 1.
pub(crate) const CLIENTS: u64 = 0;
