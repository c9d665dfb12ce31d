//! Strangers on raw TCP who mean no good, against real nodes: noise, broken HTTP/2, floods, lies about lengths, thousands
//! of silent connections, streams that nobody reads. Meanwhile an honest client goes on, and must not notice much.
//!
//! Does not check what a member could do that lies within Raft: members trust each other.

#[path = "hostile/bytes.rs"]
mod bytes;
#[path = "hostile/calls.rs"]
mod calls;
#[path = "hostile/patience.rs"]
mod patience;
#[path = "hostile/siege.rs"]
mod siege;
