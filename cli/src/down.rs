//! `flotilla down`: stops the nodes of a cluster directory; their data stays.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::args::Common;
use crate::cluster_dir::ClusterDir;
use crate::{output, process, stop};

/// What `down` takes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Nodes are asked politely (SIGTERM) and killed only if they have not stopped after 20 s."
)]
pub struct DownArgs {
    /// The cluster's directory
    #[arg(long, default_value = ".flotilla")]
    dir: PathBuf,
}

/// `flotilla down`.
pub async fn run(common: &Common, args: &DownArgs) -> Result<()> {
    let name = args.dir.display();
    if ClusterDir::open(&args.dir)?.is_none() {
        return say(common, &[], &[], format!("nothing is running: there is no cluster in {name}"));
    }
    let _lock = ClusterDir::lock(&args.dir)?;
    let Some(dir) = ClusterDir::open(&args.dir)? else {
        return say(common, &[], &[], format!("nothing is running: there is no cluster in {name}"));
    };
    let running: Vec<_> =
        dir.nodes().filter_map(|node| Some((node, process::running(&dir.node(node))?))).collect();
    if running.is_empty() {
        return say(common, &[], &[], format!("nothing is running in {name}"));
    }
    let killed = stop::stop(&dir, &running).await?;
    let stopped: Vec<u32> = running.iter().map(|(node, _)| *node).collect();
    let count = stopped.len();
    say(common, &stopped, &killed, format!("stopped {count} nodes; their data stays in {name}"))
}

fn say(common: &Common, stopped: &[u32], killed: &[u32], text: String) -> Result<()> {
    if common.json {
        output::json(&json!({ "stopped": stopped, "killed": killed }))
    } else {
        output::line(text)
    }
}
