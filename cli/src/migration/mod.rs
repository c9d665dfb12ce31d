//! `flotilla migration`: carries the cluster to object storage.

mod ask;
mod gc;
mod reach;
mod restore;
mod show;
mod start;
pub mod store;
mod verify;
mod watch;

use anyhow::Result;
use clap::Subcommand;
use flotilla_proto::migration_v1::{
    CancelRequest, ForgetRequest, GetRequest, GetResponse, ListRequest, RetryRequest,
};
use serde_json::json;

use crate::args::Common;
use crate::{exit, output};
use ask::{Asker, accepted};
use start::{GoalArgs, StartArgs};

/// What `migration` takes.
#[derive(clap::Args, Debug)]
pub struct MigrationArgs {
    /// What to ask or do.
    #[command(subcommand)]
    pub command: MigrationCommand,
}

/// The commands of `migration`.
#[derive(Subcommand, Debug)]
pub enum MigrationCommand {
    /// Look at what would fail later: the target, the groups, the disks; and estimate bytes and time
    Preflight(GoalArgs),
    /// Carry the cluster to object storage: s3://bucket/prefix, or the http address of a migration store
    #[command(
        after_help = "Credentials come from each node's environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, \
AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, ...) or from --credentials-file, which each node reads; they are never part of the record.\n\
While the groups are frozen, writes are refused as read-only; see --freeze-until."
    )]
    Start(Box<StartArgs>),
    /// Show a migration; without an id, the newest
    Status {
        /// Its id
        id: Option<u64>,
    },
    /// Follow a migration until it is over and tidied up; exit code 1 unless it is done
    Watch {
        /// Its id
        id: Option<u64>,
    },
    /// Call off a migration; without an id, the one that is going on
    Cancel {
        /// Its id
        id: Option<u64>,
        /// All that are not over
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Try one that failed or was cancelled again, as a new migration; without an id, the newest
    Retry {
        /// Its id
        id: Option<u64>,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// List the migrations that are remembered
    List,
    /// Remove the record of one that is over and tidied up
    Forget {
        /// Its id
        id: u64,
    },
    /// Look whether a dump is whole; needs no cluster. Exit code 1 if it is not
    Verify(verify::VerifyArgs),
    /// Bring a dump back into an empty cluster, with any number of groups and shards; nothing is served before all of it is there
    Restore(restore::RestoreArgs),
    /// Show what lies at a target and belongs to no dump, or delete it
    Gc(gc::GcArgs),
}

/// Does what was asked.
pub async fn run(common: &Common, command: MigrationCommand) -> Result<()> {
    let asker = Asker::new(common);
    match command {
        MigrationCommand::Preflight(goal) => start::preflight(common, &asker, goal).await,
        MigrationCommand::Start(args) => start::start(common, &asker, *args).await,
        MigrationCommand::Status { id } => status(common, &asker, id.unwrap_or(0)).await,
        MigrationCommand::Watch { id } => watch::follow(common, &asker, id.unwrap_or(0)).await,
        MigrationCommand::Cancel { id, all: _ } => cancel(common, &asker, id.unwrap_or(0)).await,
        MigrationCommand::Retry { id, wait } => retry(common, &asker, id.unwrap_or(0), wait).await,
        MigrationCommand::List => list(common, &asker).await,
        MigrationCommand::Forget { id } => forget(common, &asker, id).await,
        MigrationCommand::Verify(args) => verify::run(common, args).await,
        MigrationCommand::Restore(args) => restore::run(common, &asker, args).await,
        MigrationCommand::Gc(args) => gc::run(common, &asker, args).await,
    }
}

async fn get(asker: &Asker, id: u64) -> Result<GetResponse> {
    let request = GetRequest { id, stale: false };
    asker.ask(|mut grpc| async move { grpc.get(request).await }).await
}

async fn status(common: &Common, asker: &Asker, id: u64) -> Result<()> {
    let GetResponse { record, work, .. } = get(asker, id).await?;
    match record {
        Some(record) if common.json => output::json(&show::json(&record, &work)),
        Some(record) => output::raw(&[show::text(&record, &work).as_bytes()]),
        None if id > 0 => Err(exit::no(format!("there is no migration {id}"))),
        None if common.json => output::json(&json!(null)),
        None => output::line("no migration yet; start one with flotilla migration start s3://bucket/prefix"),
    }
}

async fn cancel(common: &Common, asker: &Asker, id: u64) -> Result<()> {
    let answer = asker.ask(|mut grpc| async move { grpc.cancel(CancelRequest { id }).await }).await?;
    let count = accepted(answer)?.count;
    match count {
        _ if common.json => output::json(&json!({ "cancelled": count })),
        0 => output::line("nothing to cancel"),
        1 => output::line("cancelled 1 migration"),
        count => output::line(format!("cancelled {count} migrations")),
    }
}

async fn retry(common: &Common, asker: &Asker, id: u64, wait: bool) -> Result<()> {
    let request = RetryRequest { request_id: asker.request_id(), id };
    let answer = accepted(asker.ask(|mut grpc| async move { grpc.retry(request).await }).await?)?;
    start::started(common, asker, &answer, wait).await
}

async fn list(common: &Common, asker: &Asker) -> Result<()> {
    let answer = asker.ask(|mut grpc| async move { grpc.list(ListRequest { stale: false }).await }).await?;
    if common.json {
        let all: Vec<_> = answer.records.iter().map(|record| show::json(record, &[])).collect();
        return output::json(&all.into());
    }
    output::raw(&[show::list(&answer.records).as_bytes()])
}

async fn forget(common: &Common, asker: &Asker, id: u64) -> Result<()> {
    accepted(asker.ask(|mut grpc| async move { grpc.forget(ForgetRequest { id }).await }).await?)?;
    if common.json {
        output::json(&json!({ "forgotten": id }))
    } else {
        output::line(format!("migration {id} forgotten"))
    }
}
