//! `flotilla migration gc`: what lies at a target and belongs to no dump.

use std::collections::BTreeSet;

use anyhow::Result;
use flotilla_backup::Orphans;
use flotilla_proto::migration_v1::ListRequest;
use serde_json::json;

use super::ask::Asker;
use super::reach::{self, ReachArgs};
use crate::args::Common;
use crate::{output, table};

/// Arguments of `flotilla migration gc`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "An orphan is an object in a migration's folder (m<ID>-a<ATTEMPT>) that MANIFEST.json does not name, or an upload that \
was neither completed nor aborted. The cluster is asked which migrations are not over; their folders are left alone."
)]
pub struct GcArgs {
    /// The target.
    #[command(flatten)]
    reach: ReachArgs,
    /// Delete what was found; without it, it is only shown
    #[arg(long)]
    delete: bool,
    /// Do not ask a cluster which migrations are not over: nothing is carried to this target now
    #[arg(long)]
    no_cluster: bool,
}

/// Finds orphans, and deletes them if asked to.
pub async fn run(common: &Common, asker: &Asker, args: GcArgs) -> Result<()> {
    let target = reach::open(&args.reach)?;
    let active = if args.no_cluster { BTreeSet::new() } else { active(asker).await? };
    let orphans = target.orphans(&active).await.map_err(|error| reach::failed(&error))?;
    if args.delete {
        target.sweep(&orphans).await.map_err(|error| reach::failed(&error))?;
    }
    show(common, &orphans, args.delete)
}

/// The folders of migrations that are not over or not tidied up.
async fn active(asker: &Asker) -> Result<BTreeSet<String>> {
    let answer = asker.ask(|mut grpc| async move { grpc.list(ListRequest { stale: false }).await }).await?;
    Ok(answer.records.iter().filter(|record| record.is_owed()).map(|record| record.folder()).collect())
}

fn show(common: &Common, orphans: &Orphans, deleted: bool) -> Result<()> {
    let bytes: u64 = orphans.objects.iter().map(|object| object.size).sum();
    if common.json {
        let objects: Vec<_> =
            orphans.objects.iter().map(|object| json!({ "key": object.key, "bytes": object.size })).collect();
        let uploads: Vec<_> = orphans
            .uploads
            .iter()
            .map(|upload| json!({ "key": upload.key, "upload": upload.upload_id }))
            .collect();
        return output::json(
            &json!({ "objects": objects, "uploads": uploads, "bytes": bytes, "deleted": deleted }),
        );
    }
    for object in &orphans.objects {
        output::line(format!("object  {}  {}", object.key, table::size(object.size)))?;
    }
    for upload in &orphans.uploads {
        output::line(format!("upload  {}  {}", upload.key, upload.upload_id))?;
    }
    let (objects, uploads, size) = (orphans.objects.len(), orphans.uploads.len(), table::size(bytes));
    match (objects + uploads, deleted) {
        (0, _) => output::line("no orphans"),
        (_, true) => output::line(format!("deleted: objects {objects} ({size}), uploads {uploads}")),
        (_, false) => output::line(format!(
            "orphans: objects {objects} ({size}), uploads {uploads}; --delete removes them"
        )),
    }
}
