//! What keeps a benchmark from being run.

use std::io;
use std::path::PathBuf;

/// What keeps a benchmark from being run. What goes wrong while it runs is counted instead.
#[derive(thiserror::Error, Debug)]
pub enum BenchError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Nobody is there to be measured.
    #[error("cannot connect to {target} at {endpoints}: {why}")]
    Connect {
        /// What should be there.
        target: &'static str,
        /// Where.
        endpoints: String,
        /// What came of it.
        why: String,
    },
    /// The keys that reads need could not be written.
    #[error("cannot write the keys that the run reads: {failed} of {keys} failed, first: {first}")]
    Fill {
        /// How many failed.
        failed: u64,
        /// Of how many.
        keys: u32,
        /// What the first one said.
        first: String,
    },
    /// A file could not be written or read.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A shard could not be moved.
    #[error("{0}")]
    Move(String),
}
