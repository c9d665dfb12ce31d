//! `flotilla migration verify`: whether a dump at a target is whole. Needs no cluster.

use anyhow::Result;
use flotilla_backup::{BackupError, Verified, VerifyEvents};
use flotilla_cloud_migration::dump::MANIFEST_NAME;
use serde_json::{Value, json};

use super::reach::{self, ReachArgs};
use crate::args::Common;
use crate::progress::Progress;
use crate::{exit, output, table};

/// Arguments of `flotilla migration verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// The target.
    #[command(flatten)]
    reach: ReachArgs,
    /// Read every byte: blocks, digests, counts and the checksum over all rows. Without it, lengths and ETags are compared
    #[arg(long)]
    deep: bool,
}

/// Shows how far the reading is.
struct Shown(std::sync::Mutex<Progress>);

impl Shown {
    fn with(&self, show: impl FnOnce(&Progress)) {
        // A thread that panicked while showing progress has spoilt nothing but the picture.
        show(&self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl VerifyEvents for Shown {
    fn read(&self, bytes: u64) {
        self.with(|progress| progress.advance(bytes));
    }
}

/// Looks, and says what was found.
pub async fn run(common: &Common, args: VerifyArgs) -> Result<()> {
    let target = reach::open(&args.reach)?;
    let shown = Shown(Progress::bytes(None).into());
    let verified =
        target.verify(args.deep, &shown).await.map_err(|error| missing(&args.reach.url, &error))?;
    drop(shown);
    if common.json {
        output::json(&as_json(&verified))?
    } else {
        output::raw(&[as_text(&verified).as_bytes()])?
    }
    if verified.wrong.is_empty() { Ok(()) } else { Err(exit::told_no()) }
}

fn missing(url: &str, error: &BackupError) -> anyhow::Error {
    match error {
        BackupError::NotFound { key } if key == MANIFEST_NAME => {
            let why = "there was never a dump, or the migration did not end";
            exit::no(format!("{url}: no {MANIFEST_NAME} here, so this is no whole dump: {why}"))
        }
        other => reach::failed(other),
    }
}

fn as_json(verified: &Verified) -> Value {
    let Verified { manifest, wrong, sums } = verified;
    let wrong: Vec<Value> = wrong
        .iter()
        .map(|(key, error)| json!({ "file": key, "code": error.code(), "message": error.to_string() }))
        .collect();
    json!({
        "whole": wrong.is_empty(),
        "deep": sums.is_some(),
        "cluster": manifest.cluster,
        "migration": manifest.migration,
        "attempt": manifest.attempt,
        "shards": manifest.shards,
        "config": manifest.config,
        "frozen_at_ms": manifest.frozen_at_ms,
        "files": manifest.files.len(),
        "bytes": manifest.bytes,
        "raw_bytes": manifest.raw_bytes,
        "sums": manifest.sums,
        "wrong": wrong,
    })
}

fn as_text(verified: &Verified) -> String {
    let Verified { manifest, wrong, sums } = verified;
    let mut text = format!(
        "dump of cluster {}, migration {} (attempt {}), configuration {}, {} shards\n",
        manifest.cluster, manifest.migration, manifest.attempt, manifest.config, manifest.shards
    );
    text += &format!(
        "  {} files, {} ({} of rows): {} keys, {} sessions, checksum {}\n",
        manifest.files.len(),
        table::size(manifest.bytes),
        table::size(manifest.raw_bytes),
        manifest.sums.data.rows,
        manifest.sums.sessions.rows,
        manifest.sums.data.checksum,
    );
    let looked = if sums.is_some() {
        "every byte was read"
    } else {
        "lengths and ETags were compared; --deep reads every byte"
    };
    for (_, error) in wrong {
        text += &format!("  damaged: {error}\n");
    }
    match wrong.len() {
        0 => text + &format!("whole: {looked}\n"),
        count => text + &format!("NOT whole: {count} of {} files damaged; {looked}\n", manifest.files.len()),
    }
}
