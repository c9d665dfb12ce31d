//! The log database: one for a node, shared by all its groups.
//!
//! ```text
//!  append / vote / truncate / purge of any group
//!        |  1. change the group's memory (readable at once)
//!        v  2. queue the rows
//!  writer: everything queued -> one batch -> one fsync -> mark -> all callbacks, in order
//! ```
//!
//! * [`keys`]: every key on disk. [`record`]: what stands under them, each with its own checksum.
//! * [`engine`]: the small durable store below; RocksDB in [`rocks`].
//! * [`writer`]: group commit. [`mark`]: how a log that silently lost its end is told from a torn tail.
//! * [`replica`]: one replica's part of the log; [`store`] gives it openraft's face.

pub(crate) mod engine;
pub(crate) mod keys;
pub(crate) mod mark;
pub(crate) mod record;
pub(crate) mod replica;
pub(crate) mod rocks;
pub(crate) mod store;
mod tail;
pub(crate) mod writer;
