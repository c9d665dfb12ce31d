//! A cluster of fakes: nodes that serve over real TCP on free ports and answer as the test says.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a fake that fails is a test that fails")]

mod controller;
mod groups;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_client::{Client, ClientError, ClientOptions};
use flotilla_proto::ctrl_v1::{
    AdminResponse, Directory, GroupRecord, NodeRecord, Replica, ShardConfig,
    shard_ctrler_service_server::ShardCtrlerServiceServer,
};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::shard_kv_service_server::ShardKvServiceServer;
use flotilla_proto::kv_v1::{Code, CommandRequest, Hint, Reply};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use flotilla_types::{Bytes, ClusterId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Status;
use tonic::service::Routes;

pub const CLUSTER: ClusterId = ClusterId(0xf107);
pub const SHARDS: u32 = 8;
/// What the fakes believe the time is, in milliseconds since 1970.
pub const TIME_MS: u64 = 1_900_000_000_000;

/// What a fake does with an operation.
pub enum Act {
    Reply(Reply),
    /// Replies after a while.
    After(Duration, Reply),
    /// Breaks the stream.
    Cut,
    /// Never answers.
    Never,
}

/// Decides what to do with a node's how-manieth operation, from 0.
pub type Handler = Box<dyn Fn(usize, &CommandRequest) -> Act + Send + Sync>;
/// Decides on a node's how-manieth admin request, from 0, with its request id.
pub type AdminHandler = Box<dyn Fn(usize, u64) -> Result<AdminResponse, Status> + Send + Sync>;

/// What all fakes know.
pub struct World {
    pub cluster: ClusterId,
    pub facts: watch::Sender<(ShardConfig, Directory)>,
    pub old: Mutex<BTreeMap<u64, ShardConfig>>,
    /// What scans read.
    pub rows: Mutex<BTreeMap<Bytes, Bytes>>,
    /// Who pushes configurations, rather than being asked.
    pub pushes: AtomicBool,
}

/// One fake node.
pub struct Node {
    pub id: u64,
    pub address: String,
    pub state: Arc<State>,
}

/// What a fake node serves.
pub struct Service(pub Arc<State>);

/// What a fake node remembers.
pub struct State {
    pub world: Arc<World>,
    pub handler: Mutex<Handler>,
    pub admin: Mutex<AdminHandler>,
    pub seen: Mutex<Vec<CommandRequest>>,
    pub request_ids: Mutex<Vec<u64>>,
    /// How many stream messages came.
    pub messages: AtomicUsize,
    pub in_flight: AtomicUsize,
    pub in_flight_max: AtomicUsize,
    /// So many streams are opened and then neither read nor answered.
    pub hanging_streams: AtomicUsize,
    pub scans: AtomicUsize,
    pub refuses_scans: AtomicBool,
    pub queries: AtomicUsize,
    /// Watch streams that are open.
    pub watchers: Arc<AtomicUsize>,
}

impl World {
    pub fn new() -> Arc<Self> {
        Self::of(CLUSTER)
    }

    pub fn of(cluster: ClusterId) -> Arc<Self> {
        let directory =
            Directory { revision: 1, cluster: cluster.to_string(), shards: SHARDS, ..Directory::default() };
        let config = ShardConfig { num: 0, shards: vec![0; SHARDS as usize] };
        Arc::new(Self {
            cluster,
            facts: watch::Sender::new((config, directory)),
            old: Mutex::default(),
            rows: Mutex::default(),
            pushes: AtomicBool::new(true),
        })
    }

    /// The next configuration: all shards to one group.
    pub fn give_all_to(&self, gid: u64) {
        self.facts.send_modify(|(config, _)| {
            self.old.lock().insert(config.num, config.clone());
            *config = ShardConfig { num: config.num + 1, shards: vec![gid; SHARDS as usize] };
        });
    }

    /// A group on these nodes.
    pub fn group(&self, gid: u64, nodes: &[&Node]) {
        self.facts.send_modify(|(config, directory)| {
            let replicas = nodes.iter().map(|node| Replica { node: node.id, member: node.id, disk: node.id });
            directory.groups.push(GroupRecord {
                gid,
                incarnation: config.num,
                replicas: replicas.collect(),
                initialised: true,
                ..GroupRecord::default()
            });
            directory.revision += 1;
        });
    }

    /// Registers a node that nobody serves.
    pub fn node(&self, id: u64, address: &str) {
        self.facts.send_modify(|(_, directory)| {
            let record = NodeRecord { node: id, address: address.to_owned(), zone: String::new(), disk: id };
            directory.nodes.push(record);
            directory.revision += 1;
        });
    }

    /// Starts a node that answers every operation with success.
    pub async fn start(self: &Arc<Self>, id: u64) -> Node {
        let state = Arc::new(State {
            world: self.clone(),
            handler: Mutex::new(Box::new(|_, command| Act::Reply(ok(command)))),
            admin: Mutex::new(Box::new(|_, _| Ok(AdminResponse::default()))),
            seen: Mutex::default(),
            request_ids: Mutex::default(),
            messages: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            in_flight_max: AtomicUsize::new(0),
            hanging_streams: AtomicUsize::new(0),
            scans: AtomicUsize::new(0),
            refuses_scans: AtomicBool::new(false),
            queries: AtomicUsize::new(0),
            watchers: Arc::default(),
        });
        let env = Environment::real();
        let listener = env.network.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().to_string();
        let kv = ShardKvServiceServer::new(Service(state.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let routes = Routes::new(kv).add_service(ShardCtrlerServiceServer::new(Service(state.clone())));
        let stop = env.spawner.token().clone();
        env.spawner.spawn(async move { listener.serve(routes, stop).await.unwrap() });
        self.node(id, &address);
        Node { id, address, state }
    }

    /// One node with one group that owns everything.
    pub async fn single() -> (Arc<Self>, Node) {
        let world = Self::new();
        let node = world.start(1).await;
        world.group(1, &[&node]);
        world.give_all_to(1);
        (world, node)
    }
}

impl Node {
    pub fn on(&self, handler: impl Fn(usize, &CommandRequest) -> Act + Send + Sync + 'static) {
        *self.state.handler.lock() = Box::new(handler);
    }

    pub fn on_admin(
        &self,
        handler: impl Fn(usize, u64) -> Result<AdminResponse, Status> + Send + Sync + 'static,
    ) {
        *self.state.admin.lock() = Box::new(handler);
    }

    pub fn seen(&self) -> Vec<CommandRequest> {
        self.state.seen.lock().clone()
    }

    pub fn hint(&self, gid: u64) -> Hint {
        Hint { gid, node: self.id, address: self.address.clone() }
    }
}

impl State {
    /// Whether this request may be served: it names no other cluster.
    pub fn admit<T>(&self, request: &tonic::Request<T>) -> Result<(), Status> {
        let ours = self.world.cluster.to_string();
        match request.metadata().get("flotilla-cluster-id") {
            Some(theirs) if theirs.to_str().is_ok_and(|theirs| theirs != ours) => {
                Err(Status::failed_precondition(format!("wrong cluster: this is {ours}")))
            }
            _ => Ok(()),
        }
    }

    pub fn enter(&self) {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.in_flight_max.fetch_max(now, Ordering::SeqCst);
    }

    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Success.
pub fn ok(command: &CommandRequest) -> Reply {
    Reply { version: 7, config: 1, gid: command.gid, time_ms: now_ms(), ..Reply::default() }
}

pub fn refuse(code: Code, gid: u64) -> Reply {
    Reply { gid, ..Reply::refused(code, format!("the test says {code:?}")) }
}

pub fn hinted(code: Code, gid: u64, hint: Hint) -> Reply {
    Reply { hint: Some(hint), ..refuse(code, gid) }
}

/// The real time: clients must not think that they are wrong.
pub fn now_ms() -> u64 {
    Environment::real().clock.now_ms()
}

pub async fn connect(nodes: &[&Node]) -> Client {
    try_connect(options(nodes)).await.unwrap()
}

pub fn options(nodes: &[&Node]) -> ClientOptions {
    ClientOptions::new(nodes.iter().map(|node| node.address.clone())).timeout(Duration::from_secs(5))
}

pub async fn try_connect(options: ClientOptions) -> Result<Client, ClientError> {
    Client::connect(options, &Environment::real()).await
}

/// An address where nobody listens.
pub async fn closed_port() -> String {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap().to_string()
}
