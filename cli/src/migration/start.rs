//! Starting a migration, and looking first.

use anyhow::Result;
use flotilla_cloud_migration::FreezeUntil;
use flotilla_proto::migration_v1::{ChangeResponse, Options, PreflightRequest, StartRequest, Target};
use serde_json::json;

use super::ask::{Asker, accepted};
use super::{show, watch};
use crate::args::Common;
use crate::{exit, output, table};

/// Where a migration goes, and how.
#[derive(clap::Args, Debug)]
pub struct GoalArgs {
    /// s3://bucket/prefix, or the http address of a migration store
    url: String,
    /// A file on every node that holds the credentials; without it, they come from each node's environment
    #[arg(long, default_value = "", hide_default_value = true)]
    credentials_file: String,
    /// When writes are accepted again: pinned, dumped, uploaded, done
    #[arg(long, default_value = "dumped", value_parser = freeze_until)]
    freeze_until: FreezeUntil,
    /// How long moves that are under way may take, in milliseconds
    #[arg(long, default_value_t = 300_000)]
    drain_timeout_ms: u64,
    /// How long the groups may take to become read-only, in milliseconds
    #[arg(long, default_value_t = 30_000)]
    freeze_timeout_ms: u64,
    /// How long a node may be silent before its work goes to another one, in milliseconds
    #[arg(long, default_value_t = 10_000)]
    node_timeout_ms: u64,
    /// About how many bytes of keys and values a file has
    #[arg(long, default_value_t = 128 << 20)]
    file_bytes: u64,
    /// Files larger than this go in parts
    #[arg(long, default_value_t = 100_000_000)]
    multipart_bytes: u64,
    /// The length of a part, 5 MiB to 5 GiB
    #[arg(long, default_value_t = 16 << 20)]
    part_bytes: u64,
    /// Parts that each node sends at a time
    #[arg(long, default_value_t = 4)]
    parallel_parts: u32,
    /// How many bytes a second each node dumps; 0: no limit
    #[arg(long, default_value_t = 0)]
    dump_bytes_per_second: u64,
    /// How many bytes a second each node sends; 0: no limit
    #[arg(long, default_value_t = 0)]
    upload_bytes_per_second: u64,
    /// How blocks are written: zstd, or none for debugging
    #[arg(long, default_value = "zstd", value_parser = ["zstd", "none"])]
    codec: String,
    /// Leave finished objects in the store if the migration is cancelled or fails
    #[arg(long)]
    keep_objects: bool,
}

/// What `start` takes.
#[derive(clap::Args, Debug)]
pub struct StartArgs {
    #[command(flatten)]
    goal: GoalArgs,
    /// Wait until it is over, with a progress bar
    #[arg(long)]
    wait: bool,
    /// Do not look first at what would fail later
    #[arg(long)]
    skip_preflight: bool,
}

fn freeze_until(word: &str) -> Result<FreezeUntil, String> {
    FreezeUntil::from_name(word).ok_or_else(|| format!("{word:?} is none of pinned, dumped, uploaded, done"))
}

impl GoalArgs {
    fn split(self) -> (Target, Options) {
        let options = Options {
            freeze_until: self.freeze_until.into(),
            drain_timeout_ms: self.drain_timeout_ms,
            freeze_timeout_ms: self.freeze_timeout_ms,
            node_timeout_ms: self.node_timeout_ms,
            file_bytes: self.file_bytes,
            multipart_bytes: self.multipart_bytes,
            part_bytes: self.part_bytes,
            parallel_parts: self.parallel_parts,
            dump_bytes_per_second: self.dump_bytes_per_second,
            upload_bytes_per_second: self.upload_bytes_per_second,
            uncompressed: self.codec == "none",
            keep_objects: self.keep_objects,
        };
        (Target { url: self.url, credentials_file: self.credentials_file }, options)
    }
}

/// Looks at what would fail later.
pub async fn preflight(common: &Common, asker: &Asker, goal: GoalArgs) -> Result<()> {
    let (target, options) = goal.split();
    let request = PreflightRequest { target: Some(target), options: Some(options) };
    let call = |mut grpc: super::ask::Grpc| {
        let request = request.clone();
        async move { grpc.preflight(request).await }
    };
    let found = asker.ask(call).await?;
    let good = found.checks.iter().all(|check| check.ok);
    if common.json {
        let checks = found.checks.iter().map(|c| json!({ "name": c.name, "ok": c.ok, "message": c.message }));
        let checks: Vec<_> = checks.collect();
        output::json(
            &json!({ "ok": good, "checks": checks, "bytes": found.bytes, "seconds": found.seconds }),
        )?;
    } else {
        for check in &found.checks {
            let word = if check.ok { "ok" } else { "NO" };
            output::line(format!("{:<8} {word}  {}", check.name, check.message).trim_end())?;
        }
        output::line(format!(
            "about {} of keys and values, {} s or more",
            table::size(found.bytes),
            found.seconds
        ))?;
    }
    if good { Ok(()) } else { Err(exit::told_no()) }
}

/// Starts a migration.
pub async fn start(common: &Common, asker: &Asker, args: StartArgs) -> Result<()> {
    let (target, options) = args.goal.split();
    let request = StartRequest {
        request_id: asker.request_id(),
        target: Some(target),
        options: Some(options),
        skip_preflight: args.skip_preflight,
    };
    let call = |mut grpc: super::ask::Grpc| {
        let request = request.clone();
        async move { grpc.start(request).await }
    };
    let answer = accepted(asker.ask(call).await?)?;
    started(common, asker, &answer, args.wait).await
}

/// Says that a migration has begun, and follows it if that was asked for.
pub async fn started(common: &Common, asker: &Asker, answer: &ChangeResponse, wait: bool) -> Result<()> {
    if wait {
        output::note(format_args!("migration {} started", answer.id));
        return watch::follow(common, asker, answer.id).await;
    }
    match &answer.record {
        Some(record) if common.json => output::json(&show::json(record, &[])),
        _ if common.json => output::json(&json!({ "id": answer.id })),
        _ => {
            output::line(format!("migration {} started; follow it with flotilla migration watch", answer.id))
        }
    }
}
