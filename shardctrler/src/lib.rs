//! The shard controller: configurations, rebalancing, nodes, locks. Pure.
//!
//! [`ShardCtrler`] is the machine that the controller's group (gid 0) replicates. It decides who owns each shard
//! and who is where; it moves no data and sends nothing. Groups and nodes ask it, adopt what it says at their own pace, and
//! report back.
//!
//! ```text
//!   a group:          Join                    Leave                   settled >= its Leave
//!             (none) ------> Live -----------------------> Leaving ------------------------> TornDown
//!                              owns shards       gives its shards away            nodes remove it;
//!                                                stays addressable                the gid may join again
//!
//!   a configuration:  0 (nobody owns anything) -> 1 -> 2 -> ...   each immutable once numbered
//!                     [ forgotten | kept: not yet settled by all, or among the newest 1000 ]
//! ```
//!
//! * Numbers of configurations grow by one, and only if something changed. From the first Join on each shard belongs to
//!   a live group. After a Join or a Leave the shards are balanced, and as few as possible moved ([`rebalance()`]).
//! * A member id is issued once, for (group, node, disk), and never again. A node that comes with another disk gets
//!   new member ids in the same places: the wiped replica is a new member.
//! * The directory's revision grows by one with each change of a group or a node, a report that changes something included.
//! * A refusal changes nothing but the memory of its request id. The same request id again gives the same answer.
//! * `open` over the stored rows gives a machine equal to the one in memory ([`RowKey`] lists every row).
//! * Time is what lock commands were stamped with, the greatest so far; nothing else looks at it.
//!
//! Cloud migrations are judged by the crate `cloud-migration`; here are their rows, and the pause: while one holds the
//! configuration still, Join, Leave and Move are refused as [`Code::Paused`].
//!
//! Code map: `apply` holds one file for each family of commands, each of which judges first and writes after;
//! `draft` writes mirror and rows together; `housekeeping` forgets old configurations and torn-down groups.
//!
//! Absent, on purpose: *last seen* (the leader's memory, not state), work for the leader ([`Action`] has no
//! values: a cloud migration is driven by its owner, which claims it), changes of a group's replicas
//! by hand (to come), clocks, randomness and hash-ordered collections.

mod address;
pub mod api;
mod apply;
mod draft;
mod housekeeping;
mod machine;
mod options;
mod query;
mod rebalance;
mod refusal;
mod rows;

pub use api::{Answer, Code, Command, ConfigAnswer, ControllerStatus, Query, Response};
pub use flotilla_cloud_migration as migration;
pub use machine::{Action, Outcome, ShardCtrler};
pub use options::Options;
pub use rebalance::rebalance;
pub use rows::{Counters, LockRecord, Remembered, RowKey};
