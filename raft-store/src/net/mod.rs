//! Raft between nodes.
//!
//! ```text
//!   leader                                        follower
//!   one StreamAppend for each (group, peer)  -->  RaftServer: cluster? group? member? -> Group
//!   heartbeats: unary, on their own connection
//!   snapshots: files in checksummed chunks   -->  tmp-*, verified, synced, then installed
//! ```
//!
//! * [`link`]: openraft's network client. [`stream`]: replication. [`send`]: snapshots out.
//! * [`server`]: the service; routes and checks. [`handler`]: a group behind it. [`receive`]: snapshots in.

pub(crate) mod clocks;
pub(crate) mod handler;
pub(crate) mod link;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod server;
pub(crate) mod stream;
