//! What is fuzzed: one function for each target, which takes any bytes and must not panic.
//!
//! | target | what |
//! |---|---|
//! | [`wire`] | every message of the kv and ctrl services, and the transfer chunk |
//! | [`rows`] | keys and values of a shard group's rows |
//! | [`cursor`] | the cursor of a scan |
//! | [`settings`] | the settings file of a node |
//! | [`text`] | what people type: endpoints, durations, groups, escaped bytes, ids |
//! | [`history`] | lines of a recorded run |
//! | [`kv`] | a shard group under any commands, every law checked after each |
//! | [`schedule`] | three shard groups, moves and retries, against a map |
//! | [`ctrler`] | the controller under any commands, every law checked after each |
//!
//! The Raft wire, the log and snapshots are private to their crate: `flotilla_raft_store::fuzzing`.
//!
//! Beside not panicking, a decoder must give what encodes to what decodes to it again: a value that changes on its way
//! through two processes of one version would make replicas differ.

// Each user of this folder uses a part of what it includes from elsewhere.
#![allow(dead_code)]

mod choices;
pub mod ctrler;
pub mod cursor;
pub mod history;
pub mod kv;
pub mod rows;
pub mod schedule;
pub mod seeds;
pub mod settings;
pub mod text;
pub mod wire;

// The worlds of the machines' own tests, with their invariants and models.
#[path = "../../shardctrler/tests/common/mod.rs"]
mod controller;
#[path = "../../shardkv/tests/schedules/run.rs"]
mod run;
#[path = "../../shardkv/tests/schedules/steps.rs"]
mod steps;
#[path = "../../shardkv/tests/world/mod.rs"]
mod world;

// The parsers of the command line, which is a binary and has no library.
#[path = "../../cli/src/duration.rs"]
mod duration;
#[path = "../../cli/src/endpoints.rs"]
mod endpoints;
#[path = "../../cli/src/escape.rs"]
mod escape;
#[path = "../../cli/src/ctl/spec.rs"]
mod spec;
