//! One node: starts everything in order, and stops it in the reverse one.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::shard_ctrler_service_server::ShardCtrlerServiceServer;
use flotilla_proto::env::Environment;
use flotilla_proto::freeze_v1::freeze_service_server::FreezeServiceServer;
use flotilla_proto::kv_v1::GetStatusResponse;
use flotilla_proto::kv_v1::shard_kv_service_server::ShardKvServiceServer;
use flotilla_proto::migration_v1::migration_service_server::MigrationServiceServer;
use flotilla_proto::net::Listener;
use flotilla_proto::restore_v1::restore_service_server::RestoreServiceServer;
use flotilla_raft_store::{Disk, RaftServer, RocksDisk, RocksOptions, Store, StoreOptions, Writer};
use flotilla_types::GroupId;
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tracing::info;

use crate::bootstrap;
use crate::controller::ControllerClient;
use crate::error::NodeError;
use crate::follow;
use crate::health;
use crate::identity::CheckCluster;
use crate::migration::carrier::Carrier;
use crate::migration::jobs::{self, Jobs};
use crate::migration::metrics::Meters;
use crate::migration::{owner, worker};
use crate::moves::Moves;
use crate::options::NodeOptions;
use crate::peers::Peers;
use crate::register;
use crate::replicas::{Local, Replicas};
use crate::services::commands::Commands;
use crate::services::ctrl::Ctrl;
use crate::services::freeze::Freezes;
use crate::services::kv::Kv;
use crate::services::migration::Migrations;
use crate::services::restore::Restores;
use crate::services::status;
use crate::topology::Topology;

/// How long requests in flight may take to finish when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A running node.
pub struct Node {
    local: Arc<Local>,
    replicas: Replicas,
    listening: std::net::SocketAddr,
    stop_serving: CancellationToken,
    served: tokio::task::JoinHandle<()>,
    fatal: watch::Receiver<Option<Arc<NodeError>>>,
    /// Whoever drops the node, or gives up starting it, ends its tasks.
    _tasks: DropGuard,
}

impl Node {
    /// Starts a node: checks the options, opens the directory, binds the port, opens the replicas, serves, and
    /// announces itself to the controller (in the background, for as long as it takes).
    ///
    /// Boxed so that the code of the whole node is compiled with this crate, once, and not with each user of it.
    pub fn start(options: NodeOptions, env: Environment) -> BoxFuture<'static, Result<Self, NodeError>> {
        let rocks = RocksOptions {
            cache_bytes: options.settings.block_cache_bytes,
            unsafe_no_fsync: options.settings.unsafe_no_fsync,
            ..RocksOptions::default()
        };
        Self::start_on(options, env, Arc::new(RocksDisk::new(&rocks)), Writer::Thread)
    }

    /// The same, on any disk: simulations bring their own.
    pub fn start_on(
        options: NodeOptions,
        env: Environment,
        disk: Arc<dyn Disk>,
        writer: Writer,
    ) -> BoxFuture<'static, Result<Self, NodeError>> {
        Box::pin(Self::start_all(options, env, disk, writer))
    }

    async fn start_all(
        options: NodeOptions,
        env: Environment,
        disk: Arc<dyn Disk>,
        writer: Writer,
    ) -> Result<Self, NodeError> {
        options.validate()?;
        let listener = env.network.listen(options.listen).await?;
        let listening = listener.address();
        let at = StoreOptions {
            disk,
            writer,
            dir: options.dir.clone(),
            cluster: options.cluster,
            node: options.node,
        };
        let store = Store::open(at, &env)?;
        let local = Arc::new(assemble(options, env, store, listening)?);
        let replicas = Replicas::new(local.clone());
        let (fatal_sender, fatal) = watch::channel(None);
        let stop_serving = local.env.spawner.token().child_token();
        // First of all: nodes that start together ask each other, and a port that listens must answer.
        let served = serve(listener, &replicas, &stop_serving, fatal_sender.clone());
        let _tasks = local.env.spawner.token().clone().drop_guard();
        let node = Self { local, replicas, listening, stop_serving, served, fatal, _tasks };
        match node.open(fatal_sender).await {
            Ok(()) => Ok(node),
            Err(error) => {
                // A process must not end with its databases open: their threads would outlive what they use.
                node.stop_all().await;
                Err(error)
            }
        }
    }

    async fn open(&self, fatal: watch::Sender<Option<Arc<NodeError>>>) -> Result<(), NodeError> {
        let (local, replicas) = (&self.local, &self.replicas);
        replicas.open_known().await?;
        if local.options.bootstrap {
            if replicas.controller().is_none() {
                bootstrap::refuse_second_birth(local).await?;
            }
            replicas.bootstrap().await?;
        }
        if let Some(address) = local.options.http {
            crate::http::serve(address, replicas.clone()).await?;
        }
        let spawner = &local.env.spawner;
        spawner.spawn(replicas.clone().follow_directory());
        spawner.spawn(follow::follow_controller(replicas.clone()));
        spawner.spawn(jobs::follow(replicas.clone()));
        spawner.spawn(worker::work(replicas.clone()));
        spawner.spawn(owner::keep(replicas.clone()));
        spawner.spawn(register::announce(local.clone(), fatal));
        info!(node = %local.options.node, address = local.address, cluster = %local.options.cluster, "node started");
        Ok(())
    }

    /// Where it listens, with the port that was really given.
    pub fn address(&self) -> std::net::SocketAddr {
        self.listening
    }

    /// Resolves when the node cannot go on: it was refused by its cluster, its port or its log failed.
    pub async fn stopped(&self) -> Result<(), NodeError> {
        let mut fatal = self.fatal.clone();
        let error = tokio::select! {
            error = fatal.wait_for(Option::is_some) => error.ok().and_then(|error| error.clone()),
            why = self.local.store.poisoned() => Some(Arc::new(NodeError::LogFailed { why })),
            why = self.replicas.all_stopped() => Some(Arc::new(NodeError::ReplicasStopped { why })),
        };
        error.map_or(Ok(()), |error| Err(NodeError::Fatal(error)))
    }

    /// The replicas that it hosts.
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// What `GetStatus` says, but for what the operating system would have to be asked. Cheap, and of one moment.
    pub fn report(&self) -> GetStatusResponse {
        status::report(&self.replicas, None)
    }

    /// The index of the last entry that the replica of `gid` here has applied, and a digest of its rows at that moment;
    /// none if there is no such replica or it cannot read.
    pub fn digest(&self, gid: GroupId) -> Option<(u64, u64)> {
        let answer = status::digest(&self.replicas, gid).ok().filter(|answer| answer.found)?;
        Some((answer.applied, answer.digest))
    }

    /// Ends everything at once, as far as tasks can be ended: nothing is handed over, flushed or waited for. What is
    /// under way fails by the network and the disk, which the caller has cut off before. For simulations.
    pub fn crash(self) -> BoxFuture<'static, ()> {
        self.served.abort();
        self.stop_serving.cancel();
        self.local.env.spawner.token().cancel();
        Box::pin(async move {
            self.replicas.crash().await;
            self.local.env.spawner.stop().await;
            self.local.store.close();
        })
    }

    /// Stops politely: hands over leaderships, lets requests in flight finish, closes the files.
    pub fn stop(self) -> BoxFuture<'static, ()> {
        Box::pin(self.stop_all())
    }

    async fn stop_all(self) {
        info!(node = %self.local.options.node, "node stops");
        self.replicas.stop().await;
        self.stop_serving.cancel();
        // A watcher or a stream may stay for ever; what was acknowledged is safe, so nobody is waited for longer.
        let mut served = self.served;
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut served).await.is_err() {
            info!("connections still open after 3 s are cut");
            served.abort();
        }
        self.local.env.spawner.stop().await;
        self.local.store.close();
    }
}

fn assemble(
    options: NodeOptions,
    env: Environment,
    store: Arc<Store>,
    listening: std::net::SocketAddr,
) -> Result<Local, NodeError> {
    let address = options.advertise.clone().unwrap_or_else(|| listening.to_string());
    let cluster = options.cluster;
    let topology = Topology::open(store.disk().clone(), &options.dir)?;
    let controller = ControllerClient::new(env.clone(), topology.clone(), &options.controllers, cluster);
    let peers = Peers::new(env.clone(), topology.clone(), cluster);
    let moves = Moves::new(options.settings.moves_max, options.settings.move_bytes_per_second);
    let started = Instant::now();
    let raft = RaftServer::new(options.cluster);
    let carrier = Carrier::open(&options.dir).map_err(|source| NodeError::File {
        what: "clean the migrations' folder below",
        path: options.dir.clone(),
        source,
    })?;
    let (jobs, meters) = (Jobs::default(), Meters::default());
    Ok(Local {
        options,
        address,
        started,
        env,
        store,
        raft,
        topology,
        controller,
        peers,
        moves,
        carrier,
        jobs,
        meters,
    })
}

fn serve(
    listener: Box<dyn Listener>,
    replicas: &Replicas,
    stop: &CancellationToken,
    fatal: watch::Sender<Option<Arc<NodeError>>>,
) -> tokio::task::JoinHandle<()> {
    let local = replicas.node();
    let commands = Commands::new(replicas.clone(), local.env.clone());
    let kv = Kv { commands, stream_in_flight_max: local.options.settings.stream_in_flight_max };
    let kv = ShardKvServiceServer::new(kv)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let ctrl = ShardCtrlerServiceServer::new(Ctrl { replicas: replicas.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let freezes = FreezeServiceServer::new(Freezes { replicas: replicas.clone() });
    let restores = RestoreServiceServer::new(Restores { replicas: replicas.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let migrations = MigrationServiceServer::new(Migrations { replicas: replicas.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let check = CheckCluster(local.options.cluster);
    let mut routes = Routes::builder();
    routes
        .add_service(tonic::service::interceptor::InterceptedService::new(kv, check))
        .add_service(tonic::service::interceptor::InterceptedService::new(ctrl, check))
        .add_service(tonic::service::interceptor::InterceptedService::new(freezes, check))
        .add_service(tonic::service::interceptor::InterceptedService::new(restores, check))
        .add_service(tonic::service::interceptor::InterceptedService::new(migrations, check))
        .add_service(local.raft.service());
    health::add_services(&mut routes, replicas);
    let (routes, stop) = (routes.routes(), stop.clone());
    tokio::spawn(async move {
        if let Err(error) = listener.serve(routes, stop).await {
            fatal.send_replace(Some(Arc::new(error.into())));
        }
    })
}
