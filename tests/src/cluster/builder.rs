//! How a cluster is put together.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use flotilla_proto::env::Environment;
use rand::Rng;
use tokio::time::{Instant, sleep};

use super::process::{NodePlan, NodeProcess};
use super::{Cluster, ports, turns};
use crate::proxy::{Proxy, Weather};

/// How often a cluster is tried again on other ports, since another process took one of them in between.
const PORT_TRIES: usize = 5;
/// How long a process may take to listen.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(20);

/// A cluster to be.
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: u64,
    controllers: u64,
    shards: u32,
    settings: BTreeMap<String, String>,
    weather: Option<Weather>,
}

impl Default for Builder {
    fn default() -> Self {
        // Small enough that many processes fit into a small machine.
        let settings = BTreeMap::from([("block_cache_bytes".to_owned(), (8 << 20).to_string())]);
        Self { nodes: 3, controllers: 3, shards: 10, settings, weather: None }
    }
}

impl Builder {
    /// How many nodes; their ids begin with 1.
    pub fn nodes(self, nodes: u64) -> Self {
        Self { nodes, ..self }
    }

    /// How many of them, the first ones, run the controller.
    pub fn controllers(self, controllers: u64) -> Self {
        Self { controllers, ..self }
    }

    /// How many shards.
    pub fn shards(self, shards: u32) -> Self {
        Self { shards, ..self }
    }

    /// A setting of every node, as in its TOML file.
    pub fn setting(mut self, name: &str, value: impl Display) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// Snapshots after every few entries.
    pub fn tiny_snapshots(self) -> Self {
        self.setting("snapshot_log_entries", 20)
    }

    /// Moves slow enough to be caught in the act: chunks of 1 KiB, so many bytes per second.
    pub fn slow_moves(self, bytes_per_second: u64) -> Self {
        self.setting("chunk_bytes", 1024).setting("move_bytes_per_second", bytes_per_second)
    }

    /// Every connection, of clients and between nodes, goes through a proxy with this weather.
    pub fn weather(self, weather: Weather) -> Self {
        Self { weather: Some(weather), ..self }
    }

    /// Starts the processes, waits until the controller leads and knows all nodes. Waits for its turn first.
    pub async fn start(self) -> Cluster {
        let turn = turns::take().await;
        let env = Environment::real();
        for attempt in 1..=PORT_TRIES {
            let dir = tempfile::Builder::new().prefix("flotilla-").disable_cleanup(keeps()).tempdir();
            let dir = dir.expect("a temporary directory");
            let (nodes, proxies) = self.processes(dir.path()).await;
            if let Err(why) = listening(&nodes).await {
                assert!(attempt < PORT_TRIES && why.contains("cannot listen"), "{why}");
                continue;
            }
            let cluster = Cluster { nodes, proxies, dir, env, _turn: turn };
            cluster.wait_born().await;
            return cluster;
        }
        unreachable!("the last attempt asserts or returns")
    }

    async fn processes(&self, dir: &Path) -> (BTreeMap<u64, NodeProcess>, BTreeMap<u64, Proxy>) {
        let cluster = format!("{:032x}", rand::rng().random::<u128>());
        let ids = 1..=self.nodes;
        let listen: BTreeMap<u64, String> =
            ids.clone().map(|node| (node, format!("127.0.0.1:{}", ports::free()))).collect();
        let mut proxies = BTreeMap::new();
        if let Some(weather) = self.weather {
            for (node, address) in &listen {
                proxies.insert(*node, Proxy::start(address.clone(), weather).await);
            }
        }
        let advertise = |node: u64| match proxies.get(&node) {
            Some(proxy) => proxy.address(),
            None => listen[&node].clone(),
        };
        let settings: String =
            self.settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let settings = format!("[settings]\n{settings}");
        let plan = |node| NodePlan {
            node,
            cluster: cluster.clone(),
            listen: listen[&node].clone(),
            advertise: advertise(node),
            controllers: (1..=self.controllers).map(|node| (node, advertise(node))).collect(),
            shards: self.shards,
            settings: settings.clone(),
        };
        let nodes: BTreeMap<_, _> = ids.map(|node| (node, NodeProcess::new(plan(node), dir))).collect();
        for (node, process) in &nodes {
            process.start(*node <= self.controllers);
        }
        (nodes, proxies)
    }
}

/// Whether directories stay after the test, for people who look into one.
fn keeps() -> bool {
    std::env::var_os("KEEP_CLUSTERS").is_some()
}

/// Waits until every process accepts connections; says why one does not.
async fn listening(nodes: &BTreeMap<u64, NodeProcess>) -> Result<(), String> {
    let until = Instant::now() + LISTEN_TIMEOUT;
    for process in nodes.values() {
        let address = &process.plan().listen;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Some(status) = process.ended() {
                return Err(format!("node {} ended ({status}):\n{}", process.plan().node, process.tail()));
            }
            if Instant::now() >= until {
                return Err(format!(
                    "{address} does not listen after {LISTEN_TIMEOUT:?}:\n{}",
                    process.tail()
                ));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
