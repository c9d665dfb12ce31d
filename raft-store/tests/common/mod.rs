//! A cluster of replicas of one group in one process, over real gRPC and real RocksDB.
#![allow(dead_code)]

pub mod machine;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::Environment;
use flotilla_raft_store::{
    Group, GroupLimits, GroupOptions, Peer, ProposeError, RaftServer, RaftTimings, ReplicaId, Store,
    StoreOptions,
};
use flotilla_types::{ClusterId, ConfigNum, GroupId, MemberId, NodeId};
use machine::{Answer, Command, Kv, Query, Response};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

pub const CLUSTER: ClusterId = ClusterId(42);
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The replica of member `n` of group 1.
pub fn replica(n: u64) -> ReplicaId {
    ReplicaId { gid: GroupId(1), incarnation: ConfigNum(1), member: MemberId(n) }
}

/// One node: a store, a server, one replica.
pub struct Node {
    pub n: u64,
    pub group: Group<Kv>,
    pub store: Arc<Store>,
    pub address: String,
    server: RaftServer,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    env: Environment,
}

impl Node {
    /// Starts node `n` in `dir`; at a free port unless `address` says which.
    pub async fn start(n: u64, dir: &Path, address: Option<String>, limits: &GroupLimits) -> Self {
        let env = Environment::real();
        let store = Store::open(StoreOptions::new(dir, CLUSTER, NodeId(n)), &env).expect("store");
        let address = address.unwrap_or_else(|| "127.0.0.1:0".to_owned());
        let listener = env.network.listen(address.parse().expect("address")).await.expect("listen");
        let address = listener.address().to_string();
        let server = RaftServer::new(CLUSTER);
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (routes, stop) = (Routes::new(server.service()), stop.clone());
            async move { listener.serve(routes, stop).await.expect("serve") }
        });
        let options = GroupOptions {
            limits: limits.clone(),
            timings: RaftTimings::default(),
            ..GroupOptions::new(replica(n), ())
        };
        let group = Group::open(options, &store, &env).await.expect("group");
        server.register(&group);
        Self { n, group, store, address, server, stop, serving, env }
    }

    pub fn peer(&self) -> Peer {
        Peer { node: NodeId(self.n), address: self.address.clone() }
    }

    /// Stops politely.
    pub async fn stop(self) {
        self.group.shutdown().await;
        self.close().await;
    }

    /// Stops without handing over, like a process that is killed (but for what the databases do when they close).
    pub async fn kill(self) {
        self.serving.abort();
        self.env.spawner.stop().await;
        self.close().await;
    }

    async fn close(self) {
        self.server.unregister(self.group.id());
        self.stop.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.serving).await.expect("the server stops");
        if self.group.watch().borrow().role != flotilla_raft_store::Role::Stopped {
            self.group.shutdown().await;
        }
        self.env.spawner.stop().await;
        self.store.close();
        let waiting = Arc::downgrade(&self.store);
        drop((self.group, self.store, self.server));
        tokio::time::timeout(PATIENCE, async {
            while waiting.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("everything of the node is dropped");
    }
}

/// Nodes 1, 2, ... of one group.
pub struct Cluster {
    pub nodes: BTreeMap<u64, Node>,
    pub addresses: BTreeMap<u64, String>,
    pub limits: GroupLimits,
    dir: TempDir,
}

impl Cluster {
    /// Starts `count` nodes and makes a group of them.
    pub async fn start(count: u64, limits: GroupLimits) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut cluster = Self { nodes: BTreeMap::new(), addresses: BTreeMap::new(), limits, dir };
        for n in 1..=count {
            cluster.start_node(n).await;
        }
        let members = cluster.nodes.values().map(|node| (MemberId(node.n), node.peer())).collect();
        cluster.nodes[&1].group.initialize(members).await.expect("initialize");
        cluster
    }

    pub fn dir(&self, n: u64) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    /// Starts a node, at the address it had.
    pub async fn start_node(&mut self, n: u64) {
        let address = self.addresses.get(&n).cloned();
        let node = Node::start(n, &self.dir(n), address, &self.limits).await;
        self.addresses.insert(n, node.address.clone());
        self.nodes.insert(n, node);
    }

    pub async fn kill(&mut self, n: u64) {
        self.nodes.remove(&n).expect("a running node").kill().await;
    }

    /// The node that leads, once there is one.
    pub async fn leader(&self) -> &Node {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(node) = self.nodes.values().find(|node| node.group.is_leader()) {
                return node;
            }
            assert!(tokio::time::Instant::now() < deadline, "no leader in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Proposes until somebody applies it. Retries only what is known not to have been submitted.
    pub async fn propose(&self, command: Command) -> Response {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.leader().await.group.propose(command.clone()).await {
                Ok(response) => return response,
                Err(error @ (ProposeError::NotLeader { .. } | ProposeError::Overloaded { .. })) => {
                    assert!(tokio::time::Instant::now() < deadline, "{error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads at whoever leads.
    pub async fn read(&self, query: Query) -> Answer {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.leader().await.group.read(query.clone()).await {
                Ok(answer) => return answer,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until node `n` has applied as many commands as the machine of `other` has now.
    pub async fn caught_up(&self, n: u64, other: u64) {
        let goal = self.nodes[&other].group.machine().applied();
        eventually("the node catches up", || self.nodes[&n].group.machine().applied() >= goal).await;
    }

    pub async fn stop(self) {
        for node in self.nodes.into_values() {
            node.stop().await;
        }
    }
}

/// Waits until something holds.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Copies a running node's directory: what a crash of the machine would leave, had everything written been synced.
/// What only the data database's memory held is not in it.
pub fn crash_image(from: &Path) -> TempDir {
    loop {
        let image = tempfile::tempdir().expect("temporary directory");
        let before = listing(from);
        // The mark must not lead the log, nor the log's start the data.
        let mut parts =
            ["mark", "log"].iter().try_for_each(|name| copy(&from.join(name), &image.path().join(name)));
        parts = parts.and_then(|()| copy(from, image.path()));
        match parts {
            // A copy takes time; a crash does not: nothing may have changed meanwhile.
            Ok(()) if listing(from) == before => return image,
            Ok(()) => {}
            // A snapshot went away meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The files below a directory with their sizes.
fn listing(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(listing(&entry.path())),
            _ => drop(files.insert(entry.path(), entry.metadata().map_or(0, |metadata| metadata.len()))),
        }
    }
    files
}

/// Copies what is not there yet.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        if !to.join(&name).exists() {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// A group of one, with a few commands applied.
pub async fn single(dir: &Path, limits: &GroupLimits) -> Node {
    let node = Node::start(1, dir, None, limits).await;
    node.group.initialize([(MemberId(1), node.peer())].into()).await.expect("initialize");
    node.group.wait_for_leader(PATIENCE).await.expect("a leader");
    eventually("it leads", || node.group.is_leader()).await;
    node
}
