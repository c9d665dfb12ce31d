//! What can be wrong with a dump file, and where.

use std::fmt;
use std::io;

/// A part of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first bytes: magic and header.
    Header,
    /// A block of rows, from 0.
    Block(u64),
    /// The list of blocks.
    Index,
    /// Counts, digest and tail.
    Footer,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::Index => f.write_str("index"),
            Self::Footer => f.write_str("footer"),
        }
    }
}

/// Why a dump file cannot be written or read.
#[derive(thiserror::Error, Debug)]
pub enum DumpError {
    /// The bytes are not those that were written.
    #[error(
        "dump file {file}, {place}, at byte {offset}: {what}; the file is damaged, take it from another copy"
    )]
    Damaged {
        /// The file's name.
        file: String,
        /// The part.
        place: Place,
        /// Where the part begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file ends where more must come.
    #[error(
        "dump file {file}, {place}, at byte {offset}: the file ends here; it is cut short, take it from another copy"
    )]
    Truncated {
        /// The file's name.
        file: String,
        /// The part that is cut.
        place: Place,
        /// Where the part begins.
        offset: u64,
    },
    /// A newer program wrote it.
    #[error(
        "dump file {file}: format {found} is newer than {known}, the newest that this program reads; use a newer one"
    )]
    Newer {
        /// The file's name.
        file: String,
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// What was given to the writer breaks the format's rules.
    #[error("dump file {file}: {what}")]
    Refused {
        /// The file's name.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// Reading or writing failed.
    #[error("dump file {file}: {source}")]
    Io {
        /// The file's name.
        file: String,
        /// Why.
        source: io::Error,
    },
}

impl DumpError {
    /// Whether the file's bytes are at fault, rather than the way to them.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Truncated { .. })
    }
}
