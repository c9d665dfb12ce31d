//! The wire: protobuf files, generated code, and the environment through which bytes leave a process.
//!
//! * `proto/*.proto` are the contract. Messages that are replicated are defined once, in a pure crate, and mapped
//!   here by name ([`kv_v1`], [`ctrl_v1`] use them directly), so no conversion can lose a field.
//! * [`net`]: [`net::Network`] gives a gRPC service for an address and serves one at an address: TCP in production,
//!   anything else in simulation.
//! * [`env`](mod@env): clock, randomness, tasks and network, together: what a node or a client is started with.
//! * [`faults`]: places where a simulation makes the unusual happen, and marks that it counts.
//! * [`identity`]: which cluster a request is meant for.
//! * [`cursor`]: the opaque cursor of a scan, the one corner that uses bincode.

mod accept;
pub mod cursor;
pub mod env;
pub mod faults;
pub mod identity;
pub mod net;

/// Raft between the replicas of a group.
pub mod raft_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.raft.v1");
}

/// What a shard group serves: `ShardKvService`.
pub mod kv_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.kv.v1");
    pub use flotilla_shardkv::api::*;
}

/// How a cloud migration makes groups read-only: `FreezeService`.
pub mod freeze_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.freeze.v1");
}

/// How a dump comes back: `RestoreService`.
pub mod restore_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.restore.v1");
}

/// What the controller serves: `ShardCtrlerService`.
pub mod ctrl_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.ctrl.v1");
    pub use flotilla_shardctrler::api::command::{
        Join, Leave, Lock, Move, NewGroup, Register, Report, Unlock,
    };
    pub use flotilla_shardctrler::api::{
        Code, Directory, GroupRecord, GroupState, NodeRecord, Replica, Response,
    };
    pub use flotilla_types::ShardConfig;
}

/// What any node serves about cloud migrations: `MigrationService`.
pub mod migration_v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("flotilla.migration.v1");
    pub use flotilla_cloud_migration::{
        Ack, Compensation, Dumped, Event, Failure, File, Freeze, FreezeUntil, Group, Options, Owner, Part,
        Record, Stage, State, Target, Totals, Undo, Upload,
    };
}

/// The descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
