//! The bounds that every door checks, in bytes unless the name says otherwise. Law 9: everything is bounded.

/// The longest key.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// The longest value, also after an append.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most operations in one atomic batch.
pub const BATCH_OPS_MAX: usize = 1024;
/// The most bytes (keys and values together) in one atomic batch.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024 + 64 * 1024;
/// The most rows in one page of a scan.
pub const SCAN_ROWS_MAX: usize = 10_000;
/// Where a page of a scan ends, in bytes; a page always holds at least one row.
pub const SCAN_BYTES_MAX: usize = 1024 * 1024;
/// The size a shipped chunk of a moving shard aims at; a chunk always holds at least one row.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// The largest gRPC message a node or a client accepts: one batch or one row, with room for framing.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most shards a cluster can have: one for each slot.
pub const SHARDS_MAX: u32 = 16_384;
/// The most replicas one group can have.
pub const REPLICAS_MAX: usize = 9;
/// The most groups one cluster can have.
pub const GROUPS_MAX: usize = 1024;
/// The most nodes one cluster can have.
pub const NODES_MAX: usize = 1024;
