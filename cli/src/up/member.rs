//! One node of the cluster that `up` looks after.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::cluster_dir::{ClusterDir, Stage};
use crate::ports::{self, Ports};
use crate::process::{self, Process};

/// A node with its process.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub node: u32,
    /// Where it serves.
    pub ports: Ports,
    process: Process,
    /// There if this call started it. Reaped when it ends.
    child: Option<Child>,
}

impl Member {
    /// Whether this call started it.
    pub fn is_new(&self) -> bool {
        self.child.is_some()
    }

    /// Its process.
    pub fn process(&self) -> (u32, Process) {
        (self.node, self.process.clone())
    }

    /// How it ended, in words; none: it runs.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Some(words(status)),
            Some(Ok(None)) => None,
            _ => (!self.process.is_alive()).then(|| "is gone".to_owned()),
        }
    }

    /// Somebody else started the node anew.
    pub fn adopt(&mut self, process: Process) {
        self.process = process;
        self.child = None;
    }
}

fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Starts every node that does not run. All ports are looked at before the first one is started.
pub async fn start_all(dir: &ClusterDir) -> Result<Vec<Member>> {
    let base = dir.record.base_port;
    let running: Vec<_> = dir.nodes().map(|node| (node, process::running(&dir.node(node)))).collect();
    for (node, _) in running.iter().filter(|(_, process)| process.is_none()) {
        ports::check_free(base, *node).await?;
    }
    let member = |(node, process): (u32, Option<Process>)| match process {
        Some(process) => Ok(Member { node, ports: ports::of(base, node), process, child: None }),
        None => start(dir, node),
    };
    running.into_iter().map(member).collect()
}

fn start(dir: &ClusterDir, node: u32) -> Result<Member> {
    let node_dir = dir.node(node);
    let ports = ports::of(dir.record.base_port, node);
    fs::create_dir_all(&node_dir).with_context(|| format!("cannot create {}", node_dir.display()))?;
    let data = process::data_dir(&node_dir);
    let child =
        command(dir, node, &ports, &data)?.spawn().with_context(|| format!("cannot start node {node}"))?;
    let process = Process::new(child.id(), data);
    process::remember(&node_dir, child.id())?;
    Ok(Member { node, ports, process, child: Some(child) })
}

fn command(dir: &ClusterDir, node: u32, ports: &Ports, data: &Path) -> Result<Command> {
    let record = &dir.record;
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let log = log_file(&dir.node(node));
    let open = || {
        let file = OpenOptions::new().create(true).append(true).open(&log);
        file.with_context(|| format!("cannot open {}", log.display()))
    };
    let controller = |node| format!("{node}={}", ports::of(record.base_port, node).grpc);
    let controllers: Vec<_> = (1..=record.controllers()).map(controller).collect();
    let mut command = Command::new(program);
    command.arg("node").arg("--detached").arg("--node").arg(node.to_string());
    command.arg("--cluster").arg(record.cluster.to_string()).arg("--dir").arg(data);
    command.arg("--listen").arg(ports.grpc.to_string()).arg("--http").arg(ports.http.to_string());
    command.arg("--controllers").arg(controllers.join(",")).arg("--shards").arg(record.shards.to_string());
    if record.stage == Stage::New && node <= record.controllers() && is_empty(data) {
        command.arg("--bootstrap");
    }
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
    Ok(command)
}

/// Where a node logs.
pub fn log_file(node_dir: &Path) -> PathBuf {
    node_dir.join("log")
}

fn is_empty(data: &Path) -> bool {
    fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none())
}
