//! The format of a dump: what lies at the target after a cloud migration, byte for byte.
//!
//! ```text
//!   PREFIX/m7-a1/plan.json               what is to be dumped: every file with its range        first
//!   PREFIX/m7-a1/g3/s00017-0000.kvd      the rows of one range of one shard                     any order
//!   PREFIX/MANIFEST.json                 every file with its length, digest and counts          last, create-only
//!
//!   .kvd:   magic | header | block ... block | index | footer | tail
//! ```
//!
//! A file holds *logical* rows: keys with value, version and expiry, and what a shard remembers of its clients. Nothing in
//! a row says which shard it lay in, so a cluster with another number of shards can take them.
//!
//! * The same rows under the same header give the same bytes, whoever writes them: no clock, no node, no chance is in them.
//! * Rows stand in strictly ascending [`Position`], and every row lies inside the header's range.
//! * Each byte is under a checksum: crc32c for each section, which names the block that rotted, and blake3 for the file.
//! * [`Sums`] do not depend on the order of rows or on how they are cut into files: the sum over a dump can be compared with
//!   the sum over a cluster with other shards.
//! * A reader believes no length before its bound, and gives out no row of a block whose checksum is wrong.
//! * A prefix without a manifest is not a dump.
//!
//! Everything here works on [`std::io::Read`] and [`std::io::Write`] that the caller brings; absent on purpose are files,
//! sockets and object stores (the room `backup`), and the rows' own meaning (the room `shardkv`).

mod block;
mod error;
mod footer;
mod header;
mod hex;
mod index;
mod manifest;
mod plan;
mod position;
mod reader;
mod row;
mod section;
mod sums;
#[cfg(test)]
mod tests;
mod varint;
mod writer;

pub use block::Codec;
pub use error::{DumpError, Place};
pub use footer::Footer;
pub use header::{FORMAT, FileHeader, ShardFacts};
pub use hex::{Digest, FileHasher};
pub use index::IndexEntry;
pub use manifest::{MANIFEST_NAME, Manifest, ManifestError, ManifestFile};
pub use plan::{PLAN_NAME, Plan, PlannedFile};
pub use position::Position;
pub use reader::{Block, DumpReader};
pub use row::{ROW_BYTES_MAX, Row, RowKind, RowRef};
pub use sums::{Checksum, RowSum, Sums};
pub use writer::{DumpWriter, FileSummary};
