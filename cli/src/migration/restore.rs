//! `flotilla migration restore`: a dump comes back into a cluster that is empty.

use std::time::Duration;

use anyhow::Result;
use flotilla_proto::net::Lane;
use flotilla_proto::restore_v1::restore_service_client::RestoreServiceClient;
use flotilla_proto::restore_v1::{Progress as Step, RunRequest};
use serde_json::json;
use tonic::Status;

use super::ask::Asker;
use crate::args::Common;
use crate::progress::Progress;
use crate::{exit, output, table};

/// How long a node may take to answer at all.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Arguments of `flotilla migration restore`.
#[derive(clap::Args, Debug)]
pub struct RestoreArgs {
    /// s3://bucket/prefix, or the http address of a migration store
    url: String,
    /// A file with the credentials, on the node that is asked; without it, that node's environment
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<String>,
    /// What the migration store calls the dump
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

/// Restores, and says how far it is. After a failure the same command goes on where it was.
pub async fn run(common: &Common, asker: &Asker, args: RestoreArgs) -> Result<()> {
    let request = RunRequest {
        url: args.url,
        credentials_file: args.credentials_file.unwrap_or_default(),
        external_id: args.external_id.unwrap_or_default(),
    };
    let mut last = "no endpoint is known".to_owned();
    for address in &common.endpoints.0 {
        match at(common, asker, address, request.clone()).await {
            Ok(ended) => return ended,
            Err(why) => last = format!("{address}: {why}"),
        }
    }
    Err(exit::unreachable(last))
}

// At one node. The outer error: it did not begin there, another may be asked.
async fn at(
    common: &Common,
    asker: &Asker,
    address: &str,
    request: RunRequest,
) -> Result<Result<()>, String> {
    let service =
        asker.environment().network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
    let mut grpc = RestoreServiceClient::new(service);
    let opened = tokio::time::timeout(ANSWER_MAX, grpc.run(request)).await;
    let opened = opened.map_err(|_| format!("no answer within {} s", ANSWER_MAX.as_secs()))?;
    let mut stream = opened.map_err(|status: Status| status.message().to_owned())?.into_inner();
    let bar = Progress::steps();
    let mut last = Step::default();
    loop {
        match stream.message().await {
            Ok(Some(step)) => {
                bar.say(line(&step));
                last = step;
            }
            Ok(None) => break,
            Err(status) => {
                let why = format!(
                    "{address} broke off: {}; the same command goes on where it was",
                    status.message()
                );
                return Ok(Err(exit::unreachable(why)));
            }
        }
    }
    drop(bar);
    Ok(ended(common, &last))
}

fn line(step: &Step) -> String {
    let (bytes, total) = (table::size(step.bytes), table::size(step.bytes_total));
    format!("{}  {}/{} files  {bytes}/{total}", step.phase, step.files, step.files_total)
}

fn ended(common: &Common, last: &Step) -> Result<()> {
    if !last.failure.is_empty() {
        return Err(exit::no(format!("{} ({})", last.failure, last.failure_code)));
    }
    if !last.done {
        return Err(exit::no("the node stopped before the restore was done: run the same command again"));
    }
    if common.json {
        return output::json(
            &json!({ "done": true, "files": last.files, "bytes": last.bytes, "keys": last.keys }),
        );
    }
    output::line(format!("restored: {} keys from {} files; the cluster serves", last.keys, last.files))
}
