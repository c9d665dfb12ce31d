//! `flotilla node`: one node in the foreground, until a signal or its own end.

pub mod log;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use flotilla_node::{Node, NodeError};
use flotilla_proto::env::Environment;
use serde_json::json;

use crate::{exit, output, stop::Signals};

pub use settings::SettingFlags;

const AFTER: &str = "\
Every flag can also come from the environment variable named beside it or from the file that --settings names; a flag wins over
the environment, which wins over the file. In the file:

  node = 1
  cluster = \"0123456789abcdef0123456789abcdef\"
  dir = \"/var/lib/flotilla\"
  listen = \"10.0.0.1:7101\"
  controllers = [\"1=10.0.0.1:7101\", \"2=10.0.0.2:7101\", \"3=10.0.0.3:7101\"]
  # advertise, http, shards and zone likewise

  [settings]
  heartbeat_ms = 100
  # the other flags under \"Settings\" likewise, with _ for -

To create a cluster by hand: choose a cluster id (32 hexadecimal digits, `openssl rand -hex 16`), and start the nodes named in
--controllers once with --bootstrap and the same --shards. All others, and all later starts, go without. SIGTERM and SIGINT stop
politely; a second one, at once. FLOTILLA_LOG filters the log, which goes to stderr: debug, or info,flotilla_node=trace.";

/// What `node` takes.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER)]
pub struct NodeArgs {
    /// This node's id, from 1, unique in the cluster
    #[arg(long, env = "FLOTILLA_NODE", value_name = "N")]
    node: Option<u64>,
    /// The cluster's id: 32 hexadecimal digits, the same for all nodes
    #[arg(long, env = "FLOTILLA_CLUSTER", value_name = "ID")]
    cluster: Option<String>,
    /// The data directory: of this node alone; created if it is not there
    #[arg(long, env = "FLOTILLA_DIR")]
    dir: Option<PathBuf>,
    /// The address to serve gRPC on; port 0 takes any free one
    #[arg(long, env = "FLOTILLA_LISTEN", value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The address by which others reach this node; without one, the listening address
    #[arg(long, env = "FLOTILLA_ADVERTISE", value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// The address to serve HTTP on (health, readiness, metrics); without one, none
    #[arg(long, env = "FLOTILLA_HTTP", value_name = "IP:PORT")]
    http: Option<SocketAddr>,
    /// The nodes that ran the controller when the cluster was created
    #[arg(long, env = "FLOTILLA_CONTROLLERS", value_name = "N=HOST:PORT,...", value_delimiter = ',')]
    controllers: Vec<String>,
    /// Create the cluster: only the first time, only on the nodes of --controllers, only into an empty directory
    #[arg(long, env = "FLOTILLA_BOOTSTRAP")]
    bootstrap: bool,
    /// How many shards the new cluster has, for ever: 1 to 16384; only with --bootstrap [default: 64]
    #[arg(long, env = "FLOTILLA_SHARDS", value_name = "N")]
    shards: Option<u32>,
    /// The failure domain of this node, such as a rack
    #[arg(long, env = "FLOTILLA_ZONE")]
    zone: Option<String>,
    /// A TOML file with any of these
    #[arg(long = "settings", env = "FLOTILLA_SETTINGS", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Log in JSON, a line each
    #[arg(long, env = "FLOTILLA_LOG_JSON")]
    log_json: bool,
    #[command(flatten)]
    settings: SettingFlags,
    /// Leave the terminal: what `up` starts must not end with it
    #[arg(long, hide = true)]
    detached: bool,
}

/// `flotilla node`.
pub async fn run(args: NodeArgs) -> Result<()> {
    let (detached, log_json) = (args.detached, args.log_json);
    let options = settings::options(args)?;
    if detached {
        rustix::process::setsid().context("cannot leave the terminal")?;
    }
    log::start(log_json)?;
    let id = options.node;
    let mut signals = Signals::listen()?;
    let starting = Box::pin(Node::start(options, Environment::real()));
    let node = tokio::select! {
        node = starting => node.map_err(|error| not_started(id.get(), error))?,
        signal = signals.next() => return Err(exit::no(format!("{signal} came while node {id} was starting"))),
    };
    output::line(json!({ "node": id, "address": node.address().to_string(), "pid": std::process::id() }))?;
    let ended = tokio::select! {
        ended = node.stopped() => match ended.with_context(|| format!("node {id} stopped")) {
            Ok(()) => Err(exit::no(format!("node {id} stopped by itself"))),
            Err(error) => Err(error),
        },
        signal = signals.next() => {
            tracing::info!(signal, "stopping politely; a second signal stops at once");
            Ok(())
        }
    };
    // Also after an end of its own: the process must not end with its databases open.
    tokio::select! {
        () = node.stop() => ended,
        signal = signals.next() => Err(exit::no(format!("a second {signal}: node {id} stops at once"))),
    }
}

fn not_started(id: u64, error: NodeError) -> anyhow::Error {
    match error {
        NodeError::Options(error) => exit::misuse(format!("node {id} does not start: {error}")),
        error => anyhow::Error::new(error).context(format!("node {id} does not start")),
    }
}
