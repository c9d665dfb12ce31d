//! A cluster of three nodes in this process, over loopback, with real disks.

#![allow(dead_code)] // each test binary uses its own part

pub mod dump;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_cloud_migration::record::{Ack, Freeze, Group as RecordGroup, Record};
use flotilla_node::migration::carrier::Carrier;
use flotilla_node::migration::freeze::{self, FreezeSpec};
use flotilla_node::peers::Peers;
use flotilla_node::services::commands::Commands;
use flotilla_node::{Node, NodeOptions, Settings};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::{Code, CommandRequest, Get, Op, Put, Reply, WriteId, op};
use flotilla_raft_store::Group;
use flotilla_shardctrler::api::command::{Command, Join, Kind, NewGroup};
use flotilla_shardkv::ShardKv;
use flotilla_types::{ClusterId, ConfigNum, GroupId, NodeId, shard_of_key};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

const CLUSTER: ClusterId = ClusterId(0xf107);
/// The longest wait for anything that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub shards: u32,
    pub groups: Vec<GroupId>,
    dirs: Vec<TempDir>,
    /// The nodes' own would be tidied: the controller knows nothing of these tests' migrations.
    carriers: Vec<Carrier>,
    next: AtomicU64,
}

fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("bound")).collect()
}

impl Cluster {
    pub async fn start(groups: u64, shards: u32) -> Self {
        let addresses = free_addresses(3);
        let controllers: Vec<_> =
            addresses.iter().zip(1..).map(|(address, id)| (NodeId(id), address.to_string())).collect();
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
        let nodes = (0..3).map(|index| {
            let options = NodeOptions {
                node: NodeId(index as u64 + 1),
                cluster: CLUSTER,
                dir: dirs[index].path().to_owned(),
                listen: addresses[index],
                advertise: None,
                http: None,
                controllers: controllers.clone(),
                bootstrap: true,
                shards,
                zone: String::new(),
                settings: settings(),
            };
            async { Node::start(options, Environment::real()).await.expect("the node starts") }
        });
        let nodes = join_all(nodes).await;
        let groups: Vec<_> = (1..=groups).map(GroupId).collect();
        let carriers = dirs.iter().map(|dir| Carrier::open(&dir.path().join("test")).expect("opens"));
        let carriers = carriers.collect();
        let cluster = Self { nodes, shards, groups, dirs, carriers, next: AtomicU64::new(1) };
        cluster.join_groups().await;
        cluster
    }

    async fn join_groups(&self) {
        let groups = self.groups.iter().map(|gid| NewGroup { gid: gid.get(), nodes: vec![1, 2, 3] });
        let kind = Kind::Join(Join { groups: groups.collect() });
        until("the groups join", || async {
            for controller in self.nodes.iter().filter_map(|node| node.replicas().controller()) {
                // Refused, and remembered as refused, before every node has registered: so each attempt is a new request.
                let request_id = self.next.fetch_add(1, Ordering::Relaxed);
                let command = Command { request_id, now_ms: now_ms(), kind: Some(kind.clone()) };
                match controller.propose(command).await {
                    Ok(answer) if answer.config == 1 => return true,
                    answer => println!("not joined yet: {answer:?}"),
                }
            }
            false
        })
        .await;
        until("the groups settle", || async {
            self.nodes.iter().all(|node| {
                let settled = |gid| {
                    node.replicas().shards(gid).is_some_and(|group| {
                        let machine = group.machine();
                        machine.config() == ConfigNum(1) && !machine.exports().is_empty()
                    })
                };
                self.groups.iter().all(|gid| settled(*gid))
            })
        })
        .await;
    }

    pub fn owner(&self, key: &[u8]) -> GroupId {
        let config = self.nodes[0].replicas().node().topology.now().config.clone();
        config.owner(shard_of_key(key, self.shards))
    }

    pub fn carrier(&self, node: usize) -> &Carrier {
        &self.carriers[node]
    }

    pub fn peers(&self, node: usize) -> &Peers {
        &self.nodes[node].replicas().node().peers
    }

    pub fn replica(&self, node: usize, gid: GroupId) -> Group<ShardKv> {
        self.nodes[node].replicas().shards(gid).expect("every node has every group")
    }

    /// One operation at one node, as if a client had sent it there.
    pub async fn at(&self, node: usize, key: &str, op: op::Kind) -> Reply {
        let replicas = self.nodes[node].replicas();
        let commands = Commands::new(replicas.clone(), replicas.node().env.clone());
        let client = self.next.fetch_add(1, Ordering::Relaxed);
        let id = WriteId { client, lane: 0, seq: 1, issued_at_ms: now_ms() };
        let gid = self.owner(key.as_bytes()).get();
        let op = Some(Op { kind: Some(op) });
        commands.command(CommandRequest { gid, id: Some(id), op, consistency: 0, timeout_ms: 2000 }).await
    }

    /// One operation at whoever leads.
    pub async fn op(&self, key: &str, op: op::Kind) -> Reply {
        let began = Instant::now();
        loop {
            for node in 0..self.nodes.len() {
                let reply = self.at(node, key, op.clone()).await;
                if !matches!(
                    reply.code(),
                    Code::WrongLeader | Code::Timeout | Code::NotReady | Code::Overloaded
                ) {
                    return reply;
                }
            }
            assert!(began.elapsed() < PATIENCE, "no leader for {key}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn put(&self, key: &str, value: &str) -> Reply {
        self.op(key, put(key, value, 0)).await
    }

    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.op(key, op::Kind::Get(Get { key: copy(key) })).await.value
    }

    /// Freezes every group at once. Answers the acknowledgements and how long it took.
    pub async fn freeze_all(&self, spec: FreezeSpec) -> (Vec<Ack>, Duration) {
        let began = Instant::now();
        let acks = self.groups.iter().map(|gid| async move {
            loop {
                match freeze::freeze(self.peers(0), *gid, ConfigNum(1), spec).await {
                    Ok(ack) => return ack,
                    Err(failure) => assert!(began.elapsed() < PATIENCE, "{failure}"),
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        let acks = join_all(acks).await;
        (acks, began.elapsed())
    }

    pub async fn thaw_all(&self, freeze: u64) {
        let thaws = self.groups.iter().map(|gid| async move {
            freeze::thaw(self.peers(0), *gid, ConfigNum(1), freeze).await.expect("thaws");
        });
        join_all(thaws).await;
    }

    /// What the record of a migration says when every group has acknowledged.
    pub fn record(&self, spec: FreezeSpec, acks: &[Ack]) -> Record {
        let groups = self.groups.iter().zip(acks).map(|(gid, ack)| RecordGroup {
            gid: gid.get(),
            incarnation: 1,
            ack: Some(*ack),
            ..RecordGroup::default()
        });
        Record {
            id: spec.migration,
            attempt: 1,
            cluster: CLUSTER.to_string(),
            shards: self.shards,
            freeze: Some(Freeze { id: spec.freeze, config: 1, ..Freeze::default() }),
            groups: groups.collect(),
            ..Record::default()
        }
    }

    pub async fn stop(self) {
        join_all(self.nodes.into_iter().map(Node::stop)).await;
    }
}

pub fn put(key: &str, value: &str, ttl_ms: u64) -> op::Kind {
    op::Kind::Put(Put { key: copy(key), value: copy(value), ttl_ms })
}

pub fn copy(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("fits")
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not within {} s", PATIENCE.as_secs()));
}

// What is looked at here does not depend on the disk's promises, unless its time is to be measured.
fn settings() -> Settings {
    let unsafe_no_fsync = std::env::var_os("FLOTILLA_TEST_FSYNC").is_none();
    Settings { block_cache_bytes: 8 << 20, unsafe_no_fsync, ..Settings::default() }
}
