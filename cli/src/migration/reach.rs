//! A target as this command reaches it: with the credentials of whoever types.

use std::path::PathBuf;

use flotilla_backup::{BackupError, Location, Target};

use crate::exit;

/// Which target, and whose keys.
#[derive(clap::Args, Clone, Debug)]
pub struct ReachArgs {
    /// Where the dump is: s3://bucket/prefix, or https://store/api/v2/migration/ID of a migration store
    #[arg(value_name = "URL")]
    pub url: String,
    /// A file with the credentials (mode 0600, lines of NAME=value); without it they come from this command's environment
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
}

/// Opens it.
pub fn open(args: &ReachArgs) -> anyhow::Result<Target> {
    let location = Location {
        url: args.url.clone(),
        credentials_file: args.credentials_file.clone(),
        external_id: None,
    };
    Target::open(&location).map_err(|error| failed(&error))
}

/// The error, with the exit code that it calls for.
pub fn failed(error: &BackupError) -> anyhow::Error {
    let message = error.to_string();
    match error {
        BackupError::Invalid(_) | BackupError::Credentials(_) => exit::misuse(message),
        BackupError::Unreachable { .. } => exit::unreachable(message),
        _ => exit::no(message),
    }
}
