//! Stopping: which signals ask for it, and how the nodes of a cluster directory are stopped.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cluster_dir::ClusterDir;
use crate::process::{self, Process};
use crate::progress::Progress;

/// How long a node may take to stop politely.
const POLITE_MAX: Duration = Duration::from_secs(20);
/// How long the kernel may take to remove a killed process: a disk that hangs.
const KILLED_MAX: Duration = Duration::from_secs(10);
/// How often to look whether a process is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals do not end the process.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Stops these processes of a cluster: politely, after a while by force. Says which were killed.
pub async fn stop(dir: &ClusterDir, running: &[(u32, Process)]) -> Result<Vec<u32>> {
    let progress = Progress::steps();
    for (node, process) in running {
        process.terminate().with_context(|| format!("cannot stop node {node} (pid {})", process.pid()))?;
    }
    let mut left = wait_until_gone(running.to_vec(), POLITE_MAX, &progress).await;
    for (node, process) in &left {
        let seconds = POLITE_MAX.as_secs();
        progress.note(format_args!(
            "node {node} (pid {}) did not stop within {seconds} s: killed",
            process.pid()
        ));
        process.kill().with_context(|| format!("cannot kill node {node} (pid {})", process.pid()))?;
    }
    let killed = left.iter().map(|(node, _)| *node).collect();
    left = wait_until_gone(left, KILLED_MAX, &progress).await;
    if let Some((node, process)) = left.first() {
        anyhow::bail!(
            "node {node} (pid {}) is still there after SIGKILL: does its disk hang?",
            process.pid()
        );
    }
    for (node, _) in running {
        process::forget(&dir.node(*node))?;
    }
    Ok(killed)
}

async fn wait_until_gone(
    mut left: Vec<(u32, Process)>,
    limit: Duration,
    progress: &Progress,
) -> Vec<(u32, Process)> {
    let started = Instant::now();
    loop {
        left.retain(|(_, process)| process.is_alive());
        if left.is_empty() || started.elapsed() >= limit {
            return left;
        }
        let names: Vec<_> = left.iter().map(|(node, _)| node.to_string()).collect();
        progress.say(format!("waiting for node {} to stop", names.join(", ")));
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
