//! The bounds of what a migration keeps.

/// Migrations that are remembered; the oldest that are over and tidied up go first.
pub const RECORDS_MAX: usize = 64;
/// Files of one migration: at 128 MiB each, 32 TiB of rows.
pub const FILES_MAX: u32 = 262_144;
/// Files that one command plans.
pub const FILES_PER_COMMAND_MAX: usize = 256;
/// Parts of one file.
pub const PARTS_MAX: u32 = 10_000;
/// Parts that one command records.
pub const PARTS_PER_COMMAND_MAX: usize = 1000;
/// The longest URL or path.
pub const URL_BYTES_MAX: usize = 1024;
/// The longest ETag, upload id or object key.
pub const WORD_BYTES_MAX: usize = 1024;
/// The longest position in a plan: a key, and what stands before it.
pub const POSITION_BYTES_MAX: usize = 8192;
/// The longest message of a failure; longer ones are cut.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// The longest detail; longer ones are cut.
pub const DETAIL_BYTES_MAX: usize = 256;
/// Events of a timeline; the ones in the middle go first.
pub const EVENTS_MAX: usize = 64;
