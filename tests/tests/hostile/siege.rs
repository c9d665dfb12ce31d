//! A cluster under siege: attacks one after the other, an honest client all the while, and what must hold in the end.

use std::cell::Cell;
use std::time::{Duration, Instant};

use flotilla_tests::cluster::{Cluster, eventually};
use flotilla_tests::hostile::honest::Honest;
use tokio::time::{sleep, timeout};

/// How long one attack may take: nothing an attacker does may depend on the node for ever.
const ATTACK_MAX: Duration = Duration::from_secs(60);
/// How long an honest write and read may take at worst, and in 95 of 100 cases, on a machine that is busy attacking.
const WAIT_MAX: Duration = Duration::from_secs(10);
const WAIT_USUAL: Duration = Duration::from_secs(2);
/// How soon after an attack every node must answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often the nodes are asked for their memory.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// How much a node's memory may grow: its caches fill as well.
const GROWTH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A cluster that is being attacked.
pub struct Siege {
    pub cluster: Cluster,
    /// The node that leads group 1: the one that attacks are aimed at.
    pub target: String,
    honest: Honest,
    memory: u64,
}

impl Siege {
    /// Three nodes, one group, one honest client.
    pub async fn begin() -> Self {
        let cluster = Cluster::builder().shards(8).start().await;
        let client = cluster.client().await;
        cluster.join(&client, &[(1, &[1, 2, 3])]).await;
        cluster.wait_settled(&client).await;
        let leader = cluster.wait_leader(1).await;
        let target = cluster.node(leader).plan().listen.clone();
        let memory = memory(&cluster).await;
        Self { cluster, target, honest: Honest::start(client), memory }
    }

    /// Lets an attack run, looking all the while at what memory the nodes take; then every node must still answer.
    pub async fn attack(&self, name: &str, attack: impl Future<Output = ()>) {
        let began = Instant::now();
        let peak = Cell::new(0);
        let watch = async {
            loop {
                let seen = self.cluster.view().await;
                let memory = seen.nodes.values().map(|status| status.memory_bytes).max().unwrap_or_default();
                peak.set(memory.max(peak.get()));
                sleep(WATCH_INTERVAL).await;
            }
        };
        let done = timeout(ATTACK_MAX, async {
            tokio::select! { () = attack => (), () = watch => () }
        })
        .await;
        assert!(done.is_ok(), "{name} is not over after {ATTACK_MAX:?}");
        self.cluster.check_logs();
        let peak = memory(&self.cluster).await.max(peak.get());
        println!("{name}: {:?}, at most {} MiB", began.elapsed(), peak >> 20);
        let limit = self.memory + GROWTH_BYTES_MAX;
        assert!(peak <= limit, "{name}: a node took {peak} bytes of memory, it had {} before", self.memory);
    }

    /// The honest client has been served well, replicas are alike, no node panicked.
    pub async fn end(self) {
        let waits = self.honest.stop().await;
        assert!(waits.len() > 10, "only {} honest operations: this shows nothing", waits.len());
        let (usual, worst) = (waits[waits.len() * 95 / 100], waits[waits.len() - 1]);
        println!("{} honest pairs of operations: p95 {usual:?}, worst {worst:?}", waits.len());
        assert!(
            usual <= WAIT_USUAL && worst <= WAIT_MAX,
            "an honest client waited: p95 {usual:?}, worst {worst:?}"
        );
        self.cluster.finish().await;
    }
}

/// The most memory that a node has, by its own word; every node must give it.
async fn memory(cluster: &Cluster) -> u64 {
    eventually("every node answers", ANSWER_MAX, async || {
        let view = cluster.view().await;
        let (found, wanted) = (view.nodes.len(), cluster.nodes().len());
        let most = view.nodes.values().map(|status| status.memory_bytes).max().unwrap_or_default();
        if found == wanted { Ok(most) } else { Err(format!("{found} of {wanted} do")) }
    })
    .await
}
