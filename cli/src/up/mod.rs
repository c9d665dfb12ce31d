//! `flotilla up`: a whole cluster on this machine, as real processes.
//!
//! ```text
//!   cluster.toml --> spawn the nodes that do not run --> wait: controller, groups, shards --> say what to try
//!                                                                                              |
//!                                                   without --detach: watch, until Ctrl-C  <---'
//! ```
//!
//! Every step looks at what is there and does what is missing, so an interrupted `up` is finished by the next one.

mod create;
mod log_tail;
mod member;
mod ready;
mod watch;
mod welcome;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::args::Common;
use crate::cluster_dir::{ClusterDir, Stage};
use crate::duration;
use crate::stop;

use member::Member;

/// What `up` takes. What is left out is as recorded when the cluster was created, or the default for a new one.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Node i serves gRPC on the base port + i, HTTP on + 100 + i, all on 127.0.0.1. DIR/node-<i>/ holds pid, log and data. \
On a DIR that has a cluster already, the nodes that are not running are started. Nodes inherit the environment, so \
FLOTILLA_HEARTBEAT_MS and the like (see `flotilla node --help`) work here too."
)]
pub struct UpArgs {
    /// The cluster's directory
    #[arg(long, default_value = ".flotilla")]
    dir: PathBuf,
    /// How many nodes: 1 to 99 [default: 3]
    #[arg(long, value_name = "N")]
    nodes: Option<u32>,
    /// How many groups join a new cluster: 1 to 1024 [default: 2]
    #[arg(long, value_name = "N")]
    groups: Option<u32>,
    /// How many shards a new cluster has, for ever: 1 to 16384 [default: 64]
    #[arg(long, value_name = "N")]
    shards: Option<u32>,
    /// Where the nodes' ports begin [default: 7100]
    #[arg(long, value_name = "PORT")]
    base_port: Option<u16>,
    /// Return when the cluster serves, instead of staying until Ctrl-C
    #[arg(long)]
    detach: bool,
    /// How long the cluster may take until it serves
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration::parse)]
    ready_timeout: Duration,
}

/// `flotilla up`.
pub async fn run(common: &Common, args: UpArgs) -> Result<()> {
    let mut signals = stop::Signals::listen()?;
    let (mut dir, lock) = create::open(&args).await?;
    let mut members = member::start_all(&dir).await?;
    let waiting = Box::pin(ready::wait(&mut dir, &mut members, args.ready_timeout));
    let interrupted = tokio::select! {
        ready = waiting => ready.map(|()| None),
        signal = signals.next() => Ok(Some(signal)),
    };
    match interrupted {
        Ok(None) => {}
        Ok(Some(signal)) => {
            give_up(&dir, &members).await?;
            return Err(crate::exit::no(format!("{signal}: what was started is stopped again")));
        }
        Err(error) => {
            // A cluster that never served is not left half there; one that did keeps the nodes that can run.
            if dir.record.stage != Stage::Complete {
                give_up(&dir, &members).await?;
            }
            return Err(error);
        }
    }
    drop(lock);
    welcome::say(common, &dir, &members, args.detach)?;
    if args.detach { Ok(()) } else { watch::run(&dir, members, signals).await }
}

/// Stops what this call started.
async fn give_up(dir: &ClusterDir, members: &[Member]) -> Result<()> {
    let started: Vec<_> = members.iter().filter(|member| member.is_new()).map(Member::process).collect();
    stop::stop(dir, &started).await.map(drop)
}
