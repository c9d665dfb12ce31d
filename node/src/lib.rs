//! The node: one process that hosts replicas of the controller and of shard groups.
//!
//! ```text
//!            gRPC                                   other nodes
//!   clients -----> services --> replicas (Group<M>) <--------- Raft
//!                                  |     ^
//!                       actions()  v     |  propose(resolve(outcome))
//!                                reconciler --> performers --> controller, other groups
//!                                  ^
//!                   topology (config, directory) <-- watch <-- controller
//! ```
//!
//! * [`options`]: what a node is told; checked before anything is touched.
//! * [`node`]: starts and stops everything in order.
//! * [`replicas`]: which replicas run here, each [`hosted`]; [`members`] keeps their Raft membership what the directory says.
//! * [`reconcile`]: the one loop that makes groups work; [`perform`] does the I/O of shard groups.
//! * [`topology`]: what the node knows of the cluster; [`follow`] keeps it fresh, [`register`] announces the node.
//! * [`services`]: the gRPC doors; [`http`] is the operators'.
//!
//! Invariants: the shell decides nothing about data or ownership (machines do); everything that reaches for the
//! world goes through the [`Environment`](flotilla_proto::env::Environment); every queue and every wait is bounded.

pub mod backoff;
pub mod bootstrap;
pub mod controller;
pub mod error;
pub mod follow;
pub mod health;
pub mod hosted;
pub mod http;
pub mod identity;
pub mod machines;
pub mod members;
pub mod migration;
pub mod moves;
pub mod node;
pub mod options;
pub mod peers;
pub mod perform;
pub mod process;
pub mod reconcile;
pub mod register;
pub mod replicas;
pub mod services;
pub mod topology;

pub use error::NodeError;
pub use node::Node;
pub use options::{NodeOptions, OptionsError, Settings};
