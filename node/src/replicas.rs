//! The replicas that this node hosts: opened from disk at the start, created when the directory says so, removed
//! when their group is torn down.
//!
//! A replica is started only if the directory (or this node's own log) names this very disk: after a wipe the node has
//! another disk id, and its old replicas are never started again under their old identity.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flotilla_proto::ctrl_v1::{GroupRecord, GroupState, Replica};
use flotilla_proto::env::Environment;
use flotilla_raft_store::{Group, GroupOptions, Peer, RaftServer, ReplicaId, Store, StoreError};
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardkv::ShardKv;
use flotilla_types::{ConfigNum, DiskId, GroupId, Machine, MemberId, NodeId};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::bootstrap;
use crate::controller::ControllerClient;
use crate::hosted::{Hosted, Running};
use crate::machines;
use crate::members;
use crate::migration::carrier::Carrier;
use crate::migration::jobs::Jobs;
use crate::migration::metrics::Meters;
use crate::moves::Moves;
use crate::options::NodeOptions;
use crate::peers::Peers;
use crate::perform::KvPerformer;
use crate::reconcile::{Performer, reconcile};
use crate::topology::{Knowledge, Topology};

/// How long to wait for news of the directory before looking again at what could not be opened.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Everything a replica needs from its node.
pub struct Local {
    /// What the node was told.
    pub options: NodeOptions,
    /// Where others reach it.
    pub address: String,
    /// When it started.
    pub started: tokio::time::Instant,
    /// Its environment.
    pub env: Environment,
    /// Its log and data.
    pub store: Arc<Store>,
    /// Routes Raft requests to replicas.
    pub raft: RaftServer,
    /// What it knows of the cluster.
    pub topology: Topology,
    /// How it asks the controller.
    pub controller: ControllerClient,
    /// How it asks other groups.
    pub peers: Peers,
    /// Its moves.
    pub moves: Moves,
    /// What it holds of migrations.
    pub carrier: Carrier,
    /// What it knows of them.
    pub jobs: Jobs,
    /// What it counts of its work for them.
    pub meters: Meters,
}

/// The hosted replicas; cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    node: Arc<Local>,
    running: Arc<RwLock<BTreeMap<GroupId, Running>>>,
    problems: Arc<watch::Sender<BTreeMap<GroupId, String>>>,
    stopping: CancellationToken,
    openings: Arc<AtomicU64>,
}

impl Replicas {
    /// None yet.
    pub fn new(node: Arc<Local>) -> Self {
        Self {
            node,
            running: Arc::default(),
            problems: Arc::default(),
            stopping: CancellationToken::new(),
            openings: Arc::default(),
        }
    }

    /// The node they live on.
    pub fn node(&self) -> &Arc<Local> {
        &self.node
    }

    /// The replica of the controller, if this node hosts one.
    pub fn controller(&self) -> Option<Group<ShardCtrler>> {
        match self.running.read().get(&GroupId::CONTROLLER).map(|running| &running.hosted) {
            Some(Hosted::Controller(group)) => Some(group.clone()),
            _ => None,
        }
    }

    /// The replica of a shard group, if this node hosts one.
    pub fn shards(&self, gid: GroupId) -> Option<Group<ShardKv>> {
        match self.running.read().get(&gid).map(|running| &running.hosted) {
            Some(Hosted::Shards(group)) => Some(group.clone()),
            _ => None,
        }
    }

    /// Every hosted replica, by group.
    pub fn all(&self) -> Vec<(ReplicaId, Hosted)> {
        self.running.read().values().map(|running| (running.replica, running.hosted.clone())).collect()
    }

    /// The same, each with the number of its opening.
    pub fn openings(&self) -> Vec<(ReplicaId, Hosted, u64)> {
        let running = self.running.read();
        running.values().map(|running| (running.replica, running.hosted.clone(), running.opening)).collect()
    }

    /// Replicas that could not be opened or have stopped, with the reason.
    pub fn problems(&self) -> BTreeMap<GroupId, String> {
        self.problems.borrow().clone()
    }

    fn problem(&self, gid: GroupId, problem: String) {
        self.problems.send_modify(|problems| drop(problems.insert(gid, problem)));
    }

    /// Resolves when there are replicas and none of them is alive: the node is of no use any more.
    pub async fn all_stopped(&self) -> String {
        let mut problems = self.problems.subscribe();
        let dead = |problems: &BTreeMap<GroupId, String>| {
            let running = self.running.read();
            !running.is_empty() && running.keys().all(|gid| problems.contains_key(gid))
        };
        let why = problems.wait_for(dead).await.map(|problems| problems.values().next_back().cloned());
        why.ok().flatten().unwrap_or_default()
    }

    /// Opens every replica that this disk holds.
    pub async fn open_known(&self) -> Result<(), StoreError> {
        for replica in self.node.store.replicas()? {
            self.open(replica).await;
        }
        Ok(())
    }

    /// Creates the first replica of the controller and the cluster with it.
    pub async fn bootstrap(&self) -> Result<(), StoreError> {
        let options = &self.node.options;
        let member = MemberId(options.node.get());
        let replica = ReplicaId { gid: GroupId::CONTROLLER, incarnation: ConfigNum(0), member };
        if self.controller().is_none() {
            self.try_open(replica).await?;
        }
        let members = options
            .controllers
            .iter()
            .map(|(node, address)| (MemberId(node.get()), Peer { node: *node, address: address.clone() }));
        if let Some(group) = self.controller() {
            initialise(&group, members.collect()).await;
            let duty = bootstrap::found_cluster(group, self.node.clone());
            self.node.env.spawner.spawn(duty);
        }
        Ok(())
    }

    /// Follows the directory until the node stops.
    pub async fn follow_directory(self) {
        let mut known = self.node.topology.watch();
        loop {
            let now = known.borrow_and_update().clone();
            self.sync(&now).await;
            // What could not be opened is tried again now and then.
            if matches!(timeout(RETRY_INTERVAL, known.changed()).await, Ok(Err(_))) {
                return;
            }
        }
    }

    async fn sync(&self, known: &Knowledge) {
        let node = self.node.options.node;
        let disk = self.node.store.identity().disk;
        for (replica, hosted) in self.all() {
            if hosted.has_stopped() && !hosted.is_corrupt() {
                self.revive(replica).await;
            }
        }
        for record in &known.directory.groups {
            let gone = record.state() == GroupState::TornDown;
            for replica in own_replicas(record, node, disk) {
                if gone {
                    self.remove(replica).await;
                } else if !self.is_destroyed(replica) {
                    self.host(replica, record, known).await;
                }
            }
        }
    }

    // The directory that this node knows may be older than a removal, after a power cut, say.
    fn is_destroyed(&self, replica: ReplicaId) -> bool {
        let destroyed = self.node.store.is_destroyed(replica);
        destroyed.unwrap_or_else(|error| {
            self.problem(replica.gid, chain(&error));
            true
        })
    }

    async fn host(&self, replica: ReplicaId, record: &GroupRecord, known: &Knowledge) {
        let present = self.running.read().get(&replica.gid).map(|running| running.replica);
        match present {
            Some(present) if present == replica => {}
            Some(present)
                if is_superseded(present, replica)
                    && (record.is_void(present.member.get()) || self.is_led_elsewhere(present)) =>
            {
                info!(%present, %replica, "this disk has a newer member id");
                self.remove(present).await;
                self.open(replica).await;
            }
            // An earlier life of the group: its record says torn down, and it goes first.
            Some(_) => return,
            None => self.open(replica).await,
        }
        // Whoever replaces a founder is added by the others.
        let founds = record.founders.iter().any(|founder| founder.member == replica.member.get());
        if record.initialised || !founds {
            return;
        }
        let founders = peers(&record.founders, known);
        if let Some(group) = self.shards(replica.gid)
            && founders.len() == record.founders.len()
        {
            initialise(&group, founders).await;
        }
    }

    // A failure of its disk stops a replica until it is opened again, from what it had made durable. A failure of the log
    // stops all of them, and then the node is to be started again.
    async fn revive(&self, replica: ReplicaId) {
        if self.node.store.is_poisoned() {
            return;
        }
        let Some(running) = self.running.write().remove(&replica.gid) else { return };
        warn!(%replica, "replica is opened again");
        running.stop(&self.node.raft).await;
        self.open(replica).await;
    }

    // The old member may still count in the group until its leader has changed the members: not before there is one.
    fn is_led_elsewhere(&self, replica: ReplicaId) -> bool {
        let leader = match self.running.read().get(&replica.gid).map(|running| running.hosted.clone()) {
            Some(Hosted::Controller(group)) => group.leader(),
            Some(Hosted::Shards(group)) => group.leader(),
            None => None,
        };
        leader.is_some_and(|(member, _)| member != replica.member)
    }

    async fn open(&self, replica: ReplicaId) {
        if self.stopping.is_cancelled() {
            return;
        }
        if let Err(error) = self.try_open(replica).await {
            error!(%replica, error = %chain(&error), "replica not opened");
            self.problem(replica.gid, chain(&error));
        }
    }

    async fn try_open(&self, replica: ReplicaId) -> Result<(), StoreError> {
        let node = self.node.clone();
        let hosted = if replica.gid == GroupId::CONTROLLER {
            let options = machines::controller_options(&node);
            let group = self.start::<ShardCtrler>(replica, options).await?;
            self.duties(replica, &group, Arc::new(machines::Idle), Hosted::Controller)
        } else {
            let Some(options) = machines::shard_options(&node, replica) else {
                warn!(%replica, "replica waits: the number of shards is not known yet");
                return Ok(());
            };
            let group = self.start::<ShardKv>(replica, options).await?;
            let performer = KvPerformer::new(
                group.clone(),
                node.env.clone(),
                node.topology.clone(),
                node.controller.clone(),
                node.peers.clone(),
                node.moves.clone(),
                node.options.settings.chunk_bytes,
            );
            self.duties(replica, &group, Arc::new(performer), Hosted::Shards)
        };
        info!(%replica, "replica opened");
        self.problems.send_if_modified(|problems| problems.remove(&replica.gid).is_some());
        self.running.write().insert(replica.gid, hosted);
        Ok(())
    }

    async fn start<M: Machine>(
        &self,
        replica: ReplicaId,
        machine: M::Options,
    ) -> Result<Group<M>, StoreError> {
        let options: GroupOptions<M> = machines::group_options(&self.node.options.settings, replica, machine);
        let group = Group::open(options, &self.node.store, &self.node.env).await?;
        self.node.raft.register(&group);
        Ok(group)
    }

    fn duties<M: Machine>(
        &self,
        replica: ReplicaId,
        group: &Group<M>,
        performer: Arc<dyn Performer<M>>,
        wrap: fn(Group<M>) -> Hosted,
    ) -> Running {
        let duties = self.node.env.spawner.child();
        duties.spawn(reconcile(group.clone(), performer, self.node.env.clone()));
        duties.spawn(members::keep(group.clone(), self.node.clone()));
        let (all, watched) = (self.clone(), group.clone());
        duties.spawn(async move {
            let reason = watched.stopped().await;
            error!(%replica, reason, "replica stopped");
            all.problem(replica.gid, reason);
        });
        let opening = self.openings.fetch_add(1, Ordering::Relaxed) + 1;
        Running { replica, hosted: wrap(group.clone()), opening, duties }
    }

    // Nobody needs this replica any more.
    async fn remove(&self, replica: ReplicaId) {
        let running = {
            let mut all = self.running.write();
            match all.get(&replica.gid) {
                Some(running) if running.replica == replica => all.remove(&replica.gid),
                _ => None,
            }
        };
        if let Some(running) = running {
            running.stop(&self.node.raft).await;
        }
        if !self.node.store.replicas().is_ok_and(|all| all.contains(&replica)) {
            return;
        }
        match self.node.store.destroy_replica(replica).await {
            Ok(()) => {
                info!(%replica, "replica removed");
                self.problems.send_if_modified(|problems| problems.remove(&replica.gid).is_some());
            }
            Err(error) => warn!(%replica, error = %chain(&error), "replica not removed"),
        }
    }

    /// Hands leaderships over, where there is somebody to take them, and closes every replica.
    pub async fn stop(&self) {
        self.stopping.cancel();
        let all = std::mem::take(&mut *self.running.write());
        futures::future::join_all(all.into_values().map(|running| running.stop(&self.node.raft))).await;
    }

    /// Ends every replica at once, without a word to anybody.
    pub async fn crash(&self) {
        self.stopping.cancel();
        let all = std::mem::take(&mut *self.running.write());
        futures::future::join_all(all.into_values().map(|running| running.crash(&self.node.raft))).await;
    }
}

// Member ids only grow: of two for one life of a group on one disk the greater one counts.
fn is_superseded(present: ReplicaId, replica: ReplicaId) -> bool {
    (present.gid, present.incarnation) == (replica.gid, replica.incarnation)
        && present.member < replica.member
}

async fn initialise<M: Machine>(group: &Group<M>, members: BTreeMap<MemberId, Peer>) {
    if let Err(error) = group.initialize(members).await {
        warn!(replica = %group.id(), %error, "group not initialised");
    }
}

fn own_replicas(record: &GroupRecord, node: NodeId, disk: DiskId) -> Vec<ReplicaId> {
    let own =
        record.replicas.iter().filter(|replica| replica.node == node.get() && replica.disk == disk.get());
    own.map(|replica| ReplicaId {
        gid: GroupId(record.gid),
        incarnation: ConfigNum(record.incarnation),
        member: MemberId(replica.member),
    })
    .collect()
}

/// The members of a group as Raft should know them. A node without an address is left out.
pub fn peers_of(record: &GroupRecord, known: &Knowledge) -> BTreeMap<MemberId, Peer> {
    peers(&record.replicas, known)
}

fn peers(replicas: &[Replica], known: &Knowledge) -> BTreeMap<MemberId, Peer> {
    let peer = |node: u64| {
        let address = known.address(NodeId(node))?.to_owned();
        Some(Peer { node: NodeId(node), address })
    };
    let members = replicas.iter();
    members.filter_map(|replica| Some((MemberId(replica.member), peer(replica.node)?))).collect()
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
