//! What faults act on: the fleet, what it said last, and who is being acted on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use flotilla_client::Client;
use flotilla_proto::env::Environment;
use flotilla_types::{GroupId, ShardId};
use flotilla_workload::{Dice, Site, Stopwatch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::recorder::Recorder;
use crate::machine::sweep::Tag;
use crate::node::fleet::{Fleet, Variables};
use crate::node::view;
use crate::node::watch::Picture;

/// How much longer a fault is held that nothing has met yet.
const HOLD_MORE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(250);

/// What faults act on.
pub(crate) struct Arena {
    pub tag: Tag,
    pub fleet: Fleet,
    pub stopwatch: Stopwatch,
    /// Whether links are cut by packet filters.
    pub filters: bool,
    pub pictures: watch::Receiver<Picture>,
    pub recorder: Arc<Recorder>,
    pub env: Environment,
    pub client: Client,
    /// For more load.
    pub site: Site,
    /// How long the healed cluster may take for each step: all replicas there, settled, keys read, digests equal.
    pub patience: Duration,
    pub claimed: Arc<Mutex<BTreeSet<u64>>>,
    /// Keys that faults have used.
    pub keys: Mutex<Vec<String>>,
}

/// Nodes that one fault acts on; others leave them alone until it is dropped.
pub(crate) struct Claim {
    nodes: Vec<u64>,
    claimed: Arc<Mutex<BTreeSet<u64>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        for node in &self.nodes {
            claimed.remove(node);
        }
    }
}

impl Arena {
    /// Remembers keys that a fault has used, to be read at the end.
    pub fn keep_keys(&self, mut keys: Vec<String>) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).append(&mut keys);
    }

    /// All of them; they are gone from here.
    pub fn take_keys(&self) -> Vec<String> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the nodes said last.
    pub fn picture(&self) -> Picture {
        self.pictures.borrow().clone()
    }

    /// A node, mostly one that leads something.
    pub fn some_node(&self, dice: &mut Dice) -> u64 {
        let picture = self.picture();
        let mut groups = picture.groups();
        groups.push(0);
        let led = dice.pick(&groups).and_then(|gid| picture.leader(*gid)).filter(|_| dice.per_mille(600));
        led.or_else(|| dice.pick(&self.fleet.ids()).copied()).unwrap_or(1)
    }

    /// Claims nodes, all of them; none if a fault acts on one of them, or one does not run.
    pub fn claim(&self, nodes: &[u64]) -> Option<Claim> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.is_empty() || nodes.iter().any(|node| claimed.contains(node) || !self.runs(*node)) {
            return None;
        }
        claimed.extend(nodes);
        Some(Claim { nodes: nodes.to_vec(), claimed: self.claimed.clone() })
    }

    /// Whether a node's process is there.
    pub fn runs(&self, node: u64) -> bool {
        self.fleet.node(node).is_ok_and(|node| node.process.pid().is_some())
    }

    /// Starts a node that is down.
    pub fn start(&self, node: u64) -> Result<()> {
        self.recorder.event("restarted", Some(node), "");
        self.fleet.restart(node)
    }

    /// The same with variables in its environment.
    pub fn start_with(&self, node: u64, variables: &Variables) -> Result<()> {
        self.recorder.event("restarted", Some(node), "");
        self.fleet.restart_with(node, variables)
    }

    /// Starts every node that does not run, whatever became of it.
    pub fn revive(&self) {
        for node in self.fleet.down() {
            if let Err(error) = self.start(node) {
                self.recorder.violation("I13", &format!("node {node} cannot be started: {error:#}"));
            }
        }
    }

    /// Kills a node if it still runs, and starts it again: as an operator does with one that has stopped serving.
    pub async fn start_anew(&self, node: u64) -> Result<()> {
        if self.runs(node) {
            self.fleet.kill(&[node])?;
        }
        self.start(node)?;
        self.fleet.listening(node).await
    }

    /// Holds a fault for so long, and somewhat longer if nothing shows by then that it fired; gives how often that shows.
    pub async fn held(&self, hold: Duration, shows: impl AsyncFn() -> Result<u64>) -> Result<u64> {
        sleep(hold).await;
        let until = Instant::now() + HOLD_MORE;
        loop {
            let shown = shows().await?;
            if shown > 0 || Instant::now() >= until {
                return Ok(shown);
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until all replicas of all groups are there and have caught up; says whether that came about.
    pub async fn wait_healthy(&self, within: Duration) -> bool {
        let (mut pictures, nodes) = (self.pictures.clone(), self.fleet.ids());
        // The last picture may be from before what was just done.
        pictures.mark_unchanged();
        let fresh = async {
            for _ in 0..2 {
                if pictures.changed().await.is_err() {
                    return;
                }
            }
            drop(pictures.wait_for(|picture| picture.healthy(&nodes).is_ok()).await);
        };
        timeout(within, fresh).await.is_ok()
    }

    /// The same, where it must come about.
    pub async fn expect_healthy(&self, within: Duration, after: &str) {
        if !self.wait_healthy(within).await {
            let missing = self.picture().healthy(&self.fleet.ids()).err().unwrap_or_default();
            let what = format!("{after}, and not all replicas were back within {within:?}: {missing}");
            self.recorder.violation("I9", &what);
        }
    }

    /// Whether a node can tell the digests of all its replicas, which takes reading every row.
    pub async fn digests_of(&self, node: u64) -> bool {
        let Ok(there) = self.fleet.node(node) else { return false };
        let address = there.place.listen.to_string();
        for replica in self.picture().nodes.get(&node).into_iter().flatten() {
            if view::digest(&self.env, &address, replica.gid).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Asks for a shard of one group to move to another, without waiting for it.
    pub fn ask_move(&self, source: u64, target: u64) {
        let config = self.client.config();
        let Some(shard) = config.shards.iter().position(|gid| *gid == source) else { return };
        let Ok(shard) = u32::try_from(shard) else { return };
        let client = self.client.clone();
        tokio::spawn(async move {
            // Refused, or not heard of: then there is no move, and the links are cut all the same.
            drop(client.admin().move_shard(ShardId(shard), GroupId(target)).await);
        });
    }
}
