//! The cloud migration's work on a node. The record in the controller's group says what is to be done, and everybody who
//! reads it finds their part by themselves:
//!
//! ```text
//!   jobs ------ the records, as this node knows them
//!     |-- owner: on the node that leads the controller: pins, freezes, assigns, finishes, undoes; freeze asks the groups
//!     `-- worker: on every node: dumper plans and writes files of the groups assigned to it, sender sends them; carrier is
//!                 what lies on its disk meanwhile
//!   reporter -- commands for the record, wherever its leader is
//! ```
//!
//! `preflight` looks at what would fail later; `rest` and `services::migration` are the doors; `metrics` counts.

pub mod carrier;
pub mod dumper;
pub mod freeze;
pub mod jobs;
pub mod metrics;
pub mod owner;
pub mod pace;
pub mod preflight;
pub mod reporter;
pub mod rest;
pub mod restore;
pub mod sender;
pub mod target;
pub mod worker;
