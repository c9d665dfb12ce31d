//! Whole clusters of real processes, for tests.
//!
//! ```text
//!   Cluster::builder() --start--> processes, each: a directory, a port, a log     (process, ports, builder)
//!        |                               ^
//!        |  kill9, stop, pause, wipe ... |  proxies before them, if the network is to be bad (crate::proxy)
//!        v                               |
//!   wait_* : look at GetStatus of all nodes until it is so, or say why it is not  (view, eventually, wait)
//!   client(), join(), leave(), move_shard(): through the client library          (admin)
//!   finish(): replicas have equal digests, no node panicked, none died unasked   (verify)
//! ```
//!
//! * Real RocksDB, real fsync, real gRPC on loopback. Two clusters run at a time (turns).
//! * Dropping a cluster kills its processes, by their ids; a failing test prints the end of each log.
//!   `KEEP_CLUSTERS=1` leaves the directories where they are.
//! * A fault is proved to have fired where it is made: a killed process has died, a paused one is stopped.
//!
//! Absent: time travel. These tests wait in real time, so each keeps its waits short and its deadlines generous.

mod admin;
pub mod binary;
mod builder;
mod eventually;
mod grpc;
pub mod ports;
mod process;
pub mod turns;
pub mod verify;
mod view;
pub mod wait;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotilla_client::{Client, ClientOptions};
use flotilla_proto::env::Environment;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

pub use admin::{Groups, key_of, new_groups, shards_of};
pub use builder::Builder;
pub use eventually::eventually;
pub use grpc::Wish;
pub use process::{NodePlan, NodeProcess};
pub use view::{Seen, View};

use crate::proxy::Proxy;
use binary::Run;

/// How long one call of a test's client may take, retries included: longer than any pause that a test makes.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A cluster of real processes. Dropping it kills them.
pub struct Cluster {
    nodes: BTreeMap<u64, NodeProcess>,
    proxies: BTreeMap<u64, Proxy>,
    // After the processes: they must be gone before their directory goes.
    dir: TempDir,
    env: Environment,
    _turn: SemaphorePermit<'static>,
}

impl Cluster {
    /// A cluster to be.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A node's process.
    pub fn node(&self, node: u64) -> &NodeProcess {
        self.nodes.get(&node).unwrap_or_else(|| panic!("this cluster has no node {node}"))
    }

    /// Every node's id.
    pub fn nodes(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// A directory for whatever a test wants to write.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The world that the tests' own clients live in.
    pub fn env(&self) -> &Environment {
        &self.env
    }

    /// The proxy before a node, in a cluster with weather.
    pub fn proxy(&self, node: u64) -> &Proxy {
        self.proxies.get(&node).unwrap_or_else(|| panic!("there is no proxy before node {node}"))
    }

    /// Where clients reach the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.values().map(|process| process.plan().advertise.clone()).collect()
    }

    /// A new client, with a session of its own.
    pub async fn client(&self) -> Client {
        self.client_with(CLIENT_TIMEOUT).await
    }

    /// A new client whose calls have so much time.
    pub async fn client_with(&self, timeout: Duration) -> Client {
        let options = ClientOptions::new(self.endpoints()).timeout(timeout);
        // A world of its own: it shares no connection with other clients.
        let connected = Box::pin(Client::connect(options, &Environment::real())).await;
        connected.unwrap_or_else(|error| panic!("no client could connect: {error}"))
    }

    /// Runs `flotilla` with this cluster's endpoints and a generous timeout.
    pub async fn flotilla(&self, arguments: &[&str]) -> Run {
        self.flotilla_within("60s", arguments).await
    }

    /// Runs `flotilla` with this cluster's endpoints and this timeout.
    pub async fn flotilla_within(&self, timeout: &str, arguments: &[&str]) -> Run {
        let endpoints = self.endpoints().join(",");
        let mut all = vec!["--endpoints", &endpoints, "--timeout", timeout];
        all.extend(arguments);
        binary::run(&all).await
    }

    /// What every running node says of itself now. Asked directly, also where proxies stand before the nodes.
    pub async fn view(&self) -> View {
        let running = self.nodes.iter().filter(|(_, process)| process.is_running());
        let addresses: Vec<_> =
            running.map(|(node, process)| (*node, process.plan().listen.clone())).collect();
        View::take(&self.env, &addresses).await
    }

    /// Kills these nodes at once.
    pub fn kill9(&self, nodes: &[u64]) {
        nodes.iter().for_each(|node| self.node(*node).kill9());
    }

    /// Starts these nodes again.
    pub fn restart(&self, nodes: &[u64]) {
        nodes.iter().for_each(|node| self.node(*node).restart());
    }

    /// Stops these nodes politely, one after the other.
    pub async fn stop(&self, nodes: &[u64]) {
        for node in nodes {
            self.node(*node).stop().await;
        }
    }
}
