//! `flotilla migration-store`: hands out presigned URLs, so that clusters need no keys of the bucket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_backup::{Credentials, MigrationStore, ServerOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::reach;
use crate::args::Common;
use crate::node::log;
use crate::stop::Signals;
use crate::{duration, output};

/// Arguments of `flotilla migration-store`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Keys of the bucket come from the environment (AWS_*) or --credentials-file. With FLOTILLA_STORE_TOKEN set in either, \
clients must show the same token: nodes have it in their environment or credentials file under the same name. The store has \
no state of its own; put TLS in front of it where the network is not trusted."
)]
pub struct StoreArgs {
    /// The bucket that migrations are kept in
    #[arg(value_name = "s3://bucket/prefix")]
    bucket: String,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7900", value_name = "ADDR")]
    listen: SocketAddr,
    /// How long a URL that is handed out may be used
    #[arg(long, default_value = "15m", value_parser = duration::parse)]
    url_life: Duration,
    /// A file with the credentials (mode 0600, lines of NAME=value)
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    /// Write the log in JSON
    #[arg(long)]
    log_json: bool,
}

/// Serves until asked to stop.
pub async fn run(common: &Common, args: StoreArgs) -> Result<()> {
    log::start(args.log_json)?;
    let credentials =
        Credentials::load(args.credentials_file.as_deref()).map_err(|error| reach::failed(&error))?;
    let options = ServerOptions { url_life: args.url_life, ..ServerOptions::new(args.bucket) };
    let store = MigrationStore::new(&options, &credentials).map_err(|error| reach::failed(&error))?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    if common.json {
        output::json(&serde_json::json!({ "url": format!("http://{address}") }))?;
    } else {
        output::line(format!(
            "migration store on http://{address}; flotilla migration start http://{address}"
        ))?;
    }
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        stopping.cancel();
    });
    store.serve(listener, stop).await.context("the migration store stopped")
}
