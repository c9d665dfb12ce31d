//! What this client knows of the cluster: the newest configuration and directory it has seen, and beliefs about who leads
//! and who still serves a shard. Beliefs only choose whom to ask first; every node checks for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_proto::ctrl_v1::{Directory, ShardConfig};
use flotilla_types::limits::SHARDS_MAX;
use flotilla_types::{ShardId, shard_of_key};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// The newest configuration and directory. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Who owns each shard.
    pub config: Arc<ShardConfig>,
    /// Who is where.
    pub directory: Arc<Directory>,
}

impl View {
    /// The shard of a key; none before anything is known of the cluster.
    pub(crate) fn shard(&self, key: &[u8]) -> Option<ShardId> {
        let shards = self.directory.shards;
        (1..=SHARDS_MAX).contains(&shards).then(|| shard_of_key(key, shards))
    }

    /// The addresses of a group's replicas.
    pub(crate) fn addresses(&self, gid: u64) -> Vec<Arc<str>> {
        let replicas = self.directory.group(gid).map_or(&[][..], |group| &group.replicas);
        replicas.iter().filter_map(|replica| self.address(replica.node)).collect()
    }

    /// A node's address.
    pub(crate) fn address(&self, node: u64) -> Option<Arc<str>> {
        let record = self.directory.node(node)?;
        (!record.address.is_empty()).then(|| record.address.as_str().into())
    }
}

/// How many old configurations are remembered: they are asked for only to find a shard's earlier owners.
const OLD_CONFIGS_MAX: usize = 64;
/// How many addresses of controllers are remembered from answers.
const CONTROLLERS_MAX: usize = 16;

pub(crate) struct Topology {
    /// Where to ask when nothing better is known.
    pub endpoints: Vec<Arc<str>>,
    views: watch::Sender<View>,
    /// Wakes the task that keeps the view fresh.
    pub stale: Notify,
    beliefs: Mutex<Beliefs>,
}

#[derive(Default)]
struct Beliefs {
    /// Who leads each group.
    leaders: BTreeMap<u64, Arc<str>>,
    /// Shards that another group than the configuration's owner serves: they are moving.
    detours: BTreeMap<u32, u64>,
    controllers: Vec<Arc<str>>,
    old_configs: BTreeMap<u64, Arc<ShardConfig>>,
}

impl Topology {
    pub fn new(endpoints: Vec<Arc<str>>) -> Self {
        let views = watch::Sender::new(View::default());
        Self { endpoints, views, stale: Notify::new(), beliefs: Mutex::default() }
    }

    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    pub fn subscribe(&self) -> watch::Receiver<View> {
        self.views.subscribe()
    }

    /// Takes over what is newer. Both numbers only grow.
    pub fn learn(&self, config: Option<ShardConfig>, directory: Option<Directory>) {
        self.views.send_if_modified(|view| {
            let config =
                config.filter(|config| config.num > view.config.num || view.config.shards.is_empty());
            let directory = directory.filter(|directory| {
                directory.revision > view.directory.revision || view.directory.cluster.is_empty()
            });
            let changed = config.is_some() || directory.is_some();
            if let Some(config) = config {
                view.config = Arc::new(config);
            }
            if let Some(directory) = directory {
                view.directory = Arc::new(directory);
            }
            changed
        });
    }

    /// The group to ask for a shard; none if nobody owns it.
    pub fn owner(&self, shard: ShardId) -> Option<u64> {
        let owner = self.views.borrow().config.owner(shard).get();
        let detour = self.beliefs.lock().detours.get(&shard.get()).copied();
        detour.or((owner != 0).then_some(owner))
    }

    /// `gid` serves (or is said to serve) this shard.
    pub fn serves(&self, shard: ShardId, gid: u64) {
        let owner = self.views.borrow().config.owner(shard).get();
        let detours = &mut self.beliefs.lock().detours;
        if owner == gid {
            detours.remove(&shard.get());
        } else {
            detours.insert(shard.get(), gid);
        }
    }

    /// `gid` does not serve this shard.
    pub fn serves_not(&self, shard: ShardId, gid: u64) {
        let detours = &mut self.beliefs.lock().detours;
        if detours.get(&shard.get()) == Some(&gid) {
            detours.remove(&shard.get());
        }
    }

    pub fn leader(&self, gid: u64) -> Option<Arc<str>> {
        self.beliefs.lock().leaders.get(&gid).cloned()
    }

    /// The replica at `address` leads the group.
    pub fn leads(&self, gid: u64, address: &Arc<str>) {
        let leaders = &mut self.beliefs.lock().leaders;
        if leaders.get(&gid) != Some(address) {
            leaders.insert(gid, address.clone());
        }
    }

    /// The replica at `address` does not lead the group, or does not answer.
    pub fn leads_not(&self, gid: u64, address: &Arc<str>) {
        let leaders = &mut self.beliefs.lock().leaders;
        if leaders.get(&gid) == Some(address) {
            leaders.remove(&gid);
        }
    }

    /// Where controllers are said to be.
    pub fn controllers(&self, addresses: &[String]) {
        if addresses.is_empty() {
            return;
        }
        let addresses = addresses.iter().filter(|address| !address.is_empty()).take(CONTROLLERS_MAX);
        self.beliefs.lock().controllers = addresses.map(|address| address.as_str().into()).collect();
    }

    /// Everybody to ask for something of `gid`, without repetition; for the controller (0) any node may know more.
    pub fn candidates(&self, gid: u64) -> Vec<Arc<str>> {
        let mut found = self.views.borrow().addresses(gid);
        if gid == 0 {
            found.extend(self.beliefs.lock().controllers.iter().cloned());
            found.extend(self.endpoints.iter().cloned());
        }
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|address| seen.insert(address.clone()));
        found
    }

    pub fn old_config(&self, num: u64) -> Option<Arc<ShardConfig>> {
        self.beliefs.lock().old_configs.get(&num).cloned()
    }

    pub fn remember_config(&self, config: Arc<ShardConfig>) {
        let old = &mut self.beliefs.lock().old_configs;
        old.insert(config.num, config);
        while old.len() > OLD_CONFIGS_MAX {
            old.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_knowledge_is_taken() {
        let topology = Topology::new(Vec::new());
        let config = |num, gid| Some(ShardConfig { num, shards: vec![gid; 4] });
        topology.learn(config(2, 7), None);
        topology.learn(config(1, 8), None);
        assert_eq!(topology.owner(ShardId(3)), Some(7));
        topology.learn(config(3, 0), None);
        assert_eq!(topology.owner(ShardId(3)), None, "nobody");
        assert_eq!(topology.owner(ShardId(4)), None, "no such shard");
    }

    #[test]
    fn a_detour_lasts_until_it_is_denied_or_needless() {
        let topology = Topology::new(Vec::new());
        topology.learn(Some(ShardConfig { num: 1, shards: vec![7] }), None);
        topology.serves(ShardId(0), 6);
        assert_eq!(topology.owner(ShardId(0)), Some(6));
        topology.serves_not(ShardId(0), 7);
        assert_eq!(topology.owner(ShardId(0)), Some(6));
        topology.serves_not(ShardId(0), 6);
        assert_eq!(topology.owner(ShardId(0)), Some(7));
        topology.serves(ShardId(0), 6);
        topology.serves(ShardId(0), 7);
        assert_eq!(topology.owner(ShardId(0)), Some(7));
    }
}
