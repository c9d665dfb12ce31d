//! The client library.
//!
//! ```no_run
//! use flotilla_client::{Client, ClientOptions, Expected, ScanOptions, ScanRange};
//! use flotilla_proto::env::Environment;
//!
//! # async fn example() -> Result<(), flotilla_client::ClientError> {
//! let options = ClientOptions::new(["127.0.0.1:7101", "127.0.0.1:7102"]);
//! let client = Client::connect(options, &Environment::real()).await?;
//!
//! let written = client.put("greeting", "hello").await?;
//! client.append("greeting", ", fleet").await?;
//! let read = client.get("greeting").await?.expect("just written");
//! assert_eq!(&read.value[..], b"hello, fleet");
//! assert!(read.version > written.version);
//!
//! let done = client.compare_and_set("greeting", Expected::Version(read.version), None).await?;
//! println!("removed: {done:?}");
//!
//! let mut scan = client.scan(ScanRange::Prefix("user:".into()), ScanOptions::default());
//! while let Some(page) = scan.next_page().await? {
//!     for (key, value) in page {
//!         println!("{key:?} = {:?}", value.value);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The life of a call
//!
//! ```text
//!  key -> shard -> group (configuration) -> nodes (directory) -> whoever is believed to lead
//!                    ^                                             |
//!                    |      wrong group: ask the one in the hint   |
//!                    +---------------------------------------------+
//!                           wrong leader: ask the one in the hint  |
//!                           not ready, overloaded: pause           |
//!                           no answer: ask another replica         v
//!                                                               outcome, refusal, or deadline
//! ```
//!
//! # What a caller may rely on
//!
//! * A write is applied once, however often it was sent: every attempt carries the same id, and the cluster remembers.
//! * [`ClientError::is_indeterminate`] is true whenever a write may have been done though the call failed. Every other error
//!   means that nothing was written. A refusal after a lost attempt counts as unknown.
//! * A call ends by its deadline. Everything is bounded: lanes, calls in flight, queues, message sizes; past a bound calls
//!   wait.
//! * Dropping a call's future leaves its outcome unknown, and nothing else.
//! * Clock, randomness, network and tasks come from the [`Environment`](flotilla_proto::env::Environment), timers from
//!   tokio: in a simulation a client is deterministic.
//!
//! # What is where
//!
//! * `client`: the operations. `scan`, `batch`, `admin`, `status`: the larger ones.
//! * `drive` and `trip`: one call's way through the cluster; `verdict` reads answers for them.
//! * `pipe` and `flight`: the one stream of operations to each node. `links`: all connections.
//! * `topology` and `watch`: what is known of the cluster, and keeping it fresh.
//! * `lanes` and `clock`: what makes a write's id.
//!
//! Absent: transactions over several shards, caching of values, and TLS.

mod admin;
mod backoff;
mod batch;
mod check;
mod client;
mod clock;
mod command;
mod controller;
mod drive;
mod error;
mod failure;
mod flight;
mod lanes;
mod links;
mod options;
mod pipe;
mod scan;
mod shared;
mod status;
mod topology;
mod trip;
mod values;
mod verdict;
mod watch;

pub use admin::{Admin, AdminDone, Configs, LockGrant};
pub use batch::{Batch, BatchResult, OpResult};
pub use client::Client;
pub use error::{ClientError, Kind};
pub use failure::{Failure, FailureKind};
pub use options::{ClientOptions, IN_FLIGHT_MAX, LANES_MAX};
pub use scan::{Scan, ScanOptions, ScanRange};
pub use status::{ClusterStatus, Digest, NodeStatus, ReplicaDigest};
pub use topology::View;
pub use values::{Cas, Expected, Read, Versioned, Written};
