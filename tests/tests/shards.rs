//! Scenarios B: shard groups, as real processes over real gRPC with real RocksDB.
//!
//! Nodes 1 to 3 ([`NEAR`]) run the controller and are seldom harmed; nodes 4 to 6 ([`FAR`]) host the groups that die.

/// The nodes that run the controller.
const NEAR: &[u64] = &[1, 2, 3];
/// Nodes without it.
const FAR: &[u64] = &[4, 5, 6];

#[path = "shards/data.rs"]
mod data;
#[path = "shards/groups.rs"]
mod groups;
#[path = "shards/moving.rs"]
mod moving;
#[path = "shards/once.rs"]
mod once;
#[path = "shards/partly.rs"]
mod partly;
#[path = "shards/replicas.rs"]
mod replicas;
