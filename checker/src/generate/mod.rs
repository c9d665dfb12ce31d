//! Histories for testing those who judge them: of a small store that keeps its promises, and of ones that break one.
//!
//! ```text
//!   clients --call--> [latency] --> the store acts (here: one map, one moment) --> [latency] --return--> history
//!                        |                     ^
//!                        `-- unknown: later, or never      a Break makes it act wrongly once
//! ```
//!
//! Everything comes from the seed. A [`Break`] acts on the first operation, from a random one on, that it can break in
//! a way that shows; after it, the key is left alone and read once more at the end, so that what was broken is not
//! overwritten.
//!
//! Absent: batches, scans, time to live.

mod breaks;
mod clients;
mod rng;
mod store;

pub use breaks::Break;
pub use rng::Rng;

use crate::record::Operation;

/// What a history is like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    /// How many operations, those of the final reads left out.
    pub operations: usize,
    /// How many clients work at a time.
    pub clients: usize,
    /// How many keys are in use at a time.
    pub keys: usize,
    /// After how many operations a key is used no more, on average.
    pub key_operations: usize,
    /// How many of the keys in use are only appended to and read, and never retire.
    pub logs: usize,
    /// How many shards there are.
    pub shards: u32,
    /// In how many of a thousand operations the outcome is unknown.
    pub unknown_per_mille: u64,
    /// In how many of a thousand operations nothing is done, for certain.
    pub failed_per_mille: u64,
    /// In how many of a thousand operations a shard goes to another group before it.
    pub moved_per_mille: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            operations: 300,
            clients: 5,
            keys: 4,
            key_operations: 100,
            logs: 1,
            shards: 2,
            unknown_per_mille: 20,
            failed_per_mille: 20,
            moved_per_mille: 20,
        }
    }
}

/// A history without a fault.
pub fn history(seed: u64, shape: &Shape) -> Vec<Operation> {
    clients::run(seed, shape, None).0
}

/// A history with one fault of this class; none: no operation gave an occasion.
pub fn broken(seed: u64, shape: &Shape, how: Break) -> Option<Vec<Operation>> {
    let (history, happened) = clients::run(seed, shape, Some(how));
    happened.then_some(history)
}
