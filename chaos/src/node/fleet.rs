//! All nodes of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::process::{Plan, Process};
use crate::machine::disk::{Disk, text};
use crate::net::ground::{Ground, Place};
use crate::net::mood::Links;
use crate::net::proxy::Proxy;

/// How long a process may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(60);

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub(crate) struct FleetPlan {
    /// The program.
    pub binary: PathBuf,
    /// The run's folder.
    pub folder: PathBuf,
    /// How many nodes; the first three run the controller.
    pub nodes: u64,
    /// How many shards the cluster has.
    pub shards: u32,
    /// Settings of every node, as TOML lines.
    pub settings: Vec<(String, String)>,
    /// Whether each node has a disk of its own.
    pub disks: bool,
    /// The cluster's id, 32 hexadecimal digits.
    pub cluster: String,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it serves.
    pub place: Place,
    /// Its process.
    pub process: Process,
    /// Its disk, if it has one of its own.
    pub disk: Option<Disk>,
}

/// All nodes, with the proxies before them.
#[derive(Debug)]
pub(crate) struct Fleet {
    nodes: BTreeMap<u64, Node>,
    /// Those that a fault has taken down: they may be down.
    down: Mutex<BTreeSet<u64>>,
    /// Variables in the environment of every node that starts from now on.
    variables: Mutex<Variables>,
    ground: Ground,
    links: Links,
    _proxies: JoinSet<()>,
}

/// Names and values.
pub(crate) type Variables = Vec<(OsString, OsString)>;

/// How many nodes run the controller.
const CONTROLLERS: u64 = 3;

impl Fleet {
    /// Makes and starts all nodes; gives them once they listen.
    pub async fn start(plan: &FleetPlan, ground: Ground) -> Result<Self> {
        let links = Links::default();
        let mut proxies = JoinSet::new();
        let mut places = BTreeMap::new();
        for node in 1..=plan.nodes {
            let (place, listener) = ground.settle(node).await?;
            let proxy = Proxy { node, place: place.clone(), ground: ground.clone(), links: links.clone() };
            proxies.spawn(proxy.run(listener));
            places.insert(node, place);
        }
        let mut nodes = BTreeMap::new();
        for node in 1..=plan.nodes {
            nodes.insert(node, make(plan, node, &places, &ground).await?);
        }
        let fleet = Self {
            nodes,
            down: Mutex::default(),
            variables: Mutex::default(),
            ground,
            links,
            _proxies: proxies,
        };
        for node in fleet.ids() {
            let birth = ["--bootstrap".to_owned(), "--shards".to_owned(), plan.shards.to_string()];
            let birth = if node <= CONTROLLERS { &birth[..] } else { &[] };
            fleet.start_with(node, birth, &[])?;
        }
        for node in fleet.ids() {
            fleet.listening(node).await?;
        }
        Ok(fleet)
    }

    /// Every node's id.
    pub fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// A node.
    pub fn node(&self, node: u64) -> Result<&Node> {
        self.nodes.get(&node).with_context(|| format!("there is no node {node}"))
    }

    /// The links between nodes, and between them and clients.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Where nodes live.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Where clients reach the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.values().map(|node| node.place.proxy.to_string()).collect()
    }

    /// Where nodes are asked how they are: directly.
    pub fn addresses(&self) -> Vec<(u64, String)> {
        self.nodes.iter().map(|(id, node)| (*id, node.place.listen.to_string())).collect()
    }

    /// Kills nodes at once; gives what shows it.
    pub fn kill(&self, nodes: &[u64]) -> Result<String> {
        let mut evidence = Vec::new();
        for node in nodes {
            self.may_be_down(*node);
            let died = self.node(*node)?.process.kill()?;
            evidence.push(format!("node {node}: {died}"));
        }
        Ok(evidence.join(", "))
    }

    /// Starts a node that is down.
    pub fn restart(&self, node: u64) -> Result<()> {
        self.start_with(node, &[], &[])
    }

    /// The same with variables in its environment.
    pub fn restart_with(&self, node: u64, variables: &[(OsString, OsString)]) -> Result<()> {
        self.start_with(node, &[], variables)
    }

    fn start_with(&self, node: u64, more: &[String], variables: &[(OsString, OsString)]) -> Result<()> {
        let process = &self.node(node)?.process;
        process.forget();
        let mut all = self.variables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend_from_slice(variables);
        let pid = process.start(more, &all)?;
        self.ground.note(node, pid);
        self.lock().remove(&node);
        Ok(())
    }

    /// Sets what stands in the environment of every node that starts from now on.
    pub fn set_variables(&self, variables: Variables) {
        *self.variables.lock().unwrap_or_else(PoisonError::into_inner) = variables;
    }

    /// From now until its next start, a node may end.
    pub fn may_be_down(&self, node: u64) {
        self.lock().insert(node);
    }

    /// From now on, a node must not end by itself.
    pub fn must_be_up(&self, node: u64) {
        self.lock().remove(&node);
    }

    /// Nodes that have ended without a fault that takes them down, with how they ended.
    pub fn fallen(&self) -> Vec<(u64, ExitStatus)> {
        let down = self.lock().clone();
        let mine = self.nodes.iter().filter(|(id, _)| !down.contains(id));
        mine.filter_map(|(id, node)| Some((*id, node.process.ended()?))).collect()
    }

    /// Nodes that do not run.
    pub fn down(&self) -> Vec<u64> {
        let down = self.nodes.iter().filter(|(_, node)| node.process.pid().is_none());
        down.map(|(id, _)| *id).collect()
    }

    /// Waits until a node listens; an error, with the end of its log, if it ends instead.
    pub async fn listening(&self, node: u64) -> Result<()> {
        let (until, this) = (Instant::now() + LISTEN_MAX, self.node(node)?);
        while self.ground.connect(node, this.place.listen).await.is_err() {
            let ended = this.process.pid().is_none();
            ensure!(!ended, "node {node} ended instead of listening:\n{}", this.process.tail());
            ensure!(
                Instant::now() < until,
                "node {node} does not listen after {LISTEN_MAX:?}:\n{}",
                this.process.tail()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(plan: &FleetPlan, node: u64, places: &BTreeMap<u64, Place>, ground: &Ground) -> Result<Node> {
    let folder = plan.folder.join(format!("node-{node}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let disk = if plan.disks { Some(Disk::make(&folder).await?) } else { None };
    let data = disk.as_ref().map_or(folder.as_path(), Disk::path).join("data");
    write_settings(&folder, &plan.settings)?;
    let process = Process::new(Plan {
        node,
        binary: plan.binary.clone(),
        arguments: arguments(plan, node, places, &folder, &data),
        space: ground.space(node).map(|space| space.file()),
        folder,
        data,
    });
    Ok(Node { place: places[&node].clone(), process, disk })
}

fn write_settings(folder: &Path, settings: &[(String, String)]) -> Result<()> {
    let lines: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    fs::write(folder.join("settings.toml"), format!("[settings]\n{lines}"))?;
    Ok(())
}

fn arguments(
    plan: &FleetPlan,
    node: u64,
    places: &BTreeMap<u64, Place>,
    folder: &Path,
    data: &Path,
) -> Vec<String> {
    let controllers = places.iter().filter(|(id, _)| **id <= CONTROLLERS);
    let controllers: Vec<_> = controllers.map(|(id, place)| format!("{id}={}", place.proxy)).collect();
    let pairs = [
        ("--node", node.to_string()),
        ("--cluster", plan.cluster.clone()),
        ("--dir", text(data)),
        ("--listen", places[&node].listen.to_string()),
        ("--advertise", places[&node].proxy.to_string()),
        ("--controllers", controllers.join(",")),
        ("--settings", text(&folder.join("settings.toml"))),
    ];
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}
