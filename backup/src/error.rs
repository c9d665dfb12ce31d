//! What can go wrong on the way to a target, with a word for programs and whether trying again helps.
//!
//! No error holds a key, a password or a presigned URL: of a request only its purpose is told, of an answer only the
//! status and the store's own code and message.

use std::io;
use std::path::PathBuf;

use flotilla_cloud_migration::dump::{DumpError, ManifestError};

/// Why something did not reach the target, or did not come back.
#[derive(thiserror::Error, Debug)]
pub enum BackupError {
    /// The target's address makes no sense.
    #[error("target: {0}")]
    Invalid(String),
    /// There are no usable credentials.
    #[error("credentials: {0}")]
    Credentials(String),
    /// No answer, or not a whole one.
    #[error(
        "{doing}: no answer from {host}: {what}; check that the address is right and the store is running"
    )]
    Unreachable {
        /// What was asked for.
        doing: String,
        /// Who was asked.
        host: String,
        /// What happened.
        what: String,
    },
    /// The store is there and cannot do it now.
    #[error("{doing}: the store is busy or ill ({said}); try again later")]
    Busy {
        /// What was asked for.
        doing: String,
        /// What it said.
        said: String,
    },
    /// The store does not allow it.
    #[error("{doing}: the store refused access ({said}); check the credentials, their rights and the clock")]
    Denied {
        /// What was asked for.
        doing: String,
        /// What it said.
        said: String,
    },
    /// There is no such bucket.
    #[error("{doing}: the store has no such bucket ({said}); create it, or correct the URL")]
    NoBucket {
        /// What was asked for.
        doing: String,
        /// What it said.
        said: String,
    },
    /// There is no such object.
    #[error("{key}: the store has no such object")]
    NotFound {
        /// The object's key.
        key: String,
    },
    /// The object is there already and is not ours to overwrite.
    #[error(
        "{key}: it is there already, and a dump is never overwritten; choose another prefix, or remove that dump first"
    )]
    Exists {
        /// The object's key.
        key: String,
    },
    /// The store does not take the request as it is.
    #[error("{doing}: the store refused ({said})")]
    Refused {
        /// What was asked for.
        doing: String,
        /// What it said.
        said: String,
    },
    /// What the store holds is not what was sent.
    #[error("{key}: {what}")]
    Mismatch {
        /// The object's key.
        key: String,
        /// What differs.
        what: String,
    },
    /// An object is whole, and not the one that the manifest names.
    #[error("{key}: {what}; the object was replaced or damaged, take the dump from another copy")]
    Replaced {
        /// The object's key.
        key: String,
        /// What differs.
        what: String,
    },
    /// The answer does not make sense.
    #[error(
        "{doing}: the answer makes no sense: {what}; is this an S3-compatible store or a migration store?"
    )]
    Protocol {
        /// What was asked for.
        doing: String,
        /// What is wrong with it.
        what: String,
    },
    /// A local file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A local file is not what was dumped.
    #[error("{}: {what}; it must be dumped again", path.display())]
    LocalDamaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A dump file is damaged.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// The manifest is damaged.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Whoever keeps the record of the upload did not want it to go on.
    #[error("the upload was not recorded: {0}")]
    Unrecorded(String),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl BackupError {
    /// A word for programs; never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "target_invalid",
            Self::Credentials(_) => "target_credentials",
            Self::Unreachable { .. } => "target_unreachable",
            Self::Busy { .. } => "target_busy",
            Self::Denied { .. } => "target_denied",
            Self::NoBucket { .. } => "target_no_bucket",
            Self::NotFound { .. } => "object_missing",
            Self::Exists { .. } => "target_exists",
            Self::Refused { .. } => "target_refused",
            Self::Mismatch { .. } => "object_mismatch",
            Self::Replaced { .. } => "dump_damaged",
            Self::Protocol { .. } => "target_protocol",
            Self::Local { .. } => "local_io",
            Self::LocalDamaged { .. } => "local_damaged",
            Self::Dump(error) if error.is_damage() => "dump_damaged",
            Self::Dump(DumpError::Newer { .. }) | Self::Manifest(ManifestError::Newer { .. }) => "dump_newer",
            Self::Dump(_) => "dump_unreadable",
            Self::Manifest(_) => "manifest_damaged",
            Self::Unrecorded(_) => "unrecorded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        use BackupError as E;
        match self {
            E::Unreachable { .. } | E::Busy { .. } | E::Mismatch { .. } | E::Unrecorded(_) => true,
            E::Local { .. } | E::LocalDamaged { .. } | E::Cancelled => true,
            E::Invalid(_) | E::Credentials(_) | E::Denied { .. } | E::NoBucket { .. } => false,
            E::NotFound { .. }
            | E::Exists { .. }
            | E::Refused { .. }
            | E::Protocol { .. }
            | E::Replaced { .. } => false,
            E::Dump(error) => matches!(error, DumpError::Io { .. }),
            E::Manifest(_) => false,
        }
    }
}
