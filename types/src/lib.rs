//! Flotilla's vocabulary, shared by every room of the house.
//!
//! * [`ids`]: what things are called (nodes, groups, shards, configurations, members).
//! * [`slot`]: how a key finds its shard.
//! * [`config`]: who owns each shard.
//! * [`limits`]: the bounds that every door checks (law 9).
//! * [`engine`]: the small ordered store a machine keeps its data in, and [`txn`], the overlay through
//!   which `apply` reads its own writes.
//! * [`machine`]: state in, actions out, commands back: the one trait a Raft group replicates.
//! * [`wire`]: how a replicated value becomes bytes.
//! * [`planted`]: mistakes to be found; none, unless the program was built for that.
//!
//! Absent on purpose: clocks, randomness, I/O, hash-ordered collections. Time, ids and randomness
//! arrive inside commands, so that every replica decides alike.

pub mod config;
pub mod engine;
pub mod ids;
pub mod limits;
pub mod machine;
pub mod planted;
pub mod slot;
pub mod txn;
pub mod wire;

pub use bytes::Bytes;
pub use config::ShardConfig;
pub use engine::{Engine, EngineError, MemEngine, Reader, WriteBatch, WriteOp};
pub use ids::{
    ClientId, ClusterId, ConfigNum, DiskId, GroupId, Incarnation, MemberId, NodeId, ShardId, Version,
};
pub use machine::Machine;
pub use slot::{Slot, shard_of_key, slot_of_key};
pub use txn::Txn;
pub use wire::{Wire, WireError};
