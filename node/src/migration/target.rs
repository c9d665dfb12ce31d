//! The target of a record, opened.

use std::path::PathBuf;

use flotilla_backup::{BackupError, Location, Target};
use flotilla_cloud_migration::{Failure, Record, State};

/// Opens the target that a record names, with this node's credentials.
pub fn open(record: &Record) -> Result<Target, BackupError> {
    let target = record.target.clone().unwrap_or_default();
    Target::open(&Location {
        url: target.url,
        credentials_file: (!target.credentials_file.is_empty())
            .then(|| PathBuf::from(target.credentials_file)),
        external_id: (!record.external_id.is_empty()).then(|| record.external_id.clone()),
    })
}

/// What a record is to say of a failure at the target.
pub fn failure(error: &BackupError, phase: State) -> Failure {
    Failure {
        code: error.code().to_owned(),
        phase: phase.into(),
        message: error.to_string(),
        retryable: error.is_retryable(),
    }
}
