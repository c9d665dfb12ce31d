//! Connections to nodes, one of each kind per address, shared by all callers.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flotilla_proto::ctrl_v1::shard_ctrler_service_client::ShardCtrlerServiceClient;
use flotilla_proto::env::{Environment, Spawner};
use flotilla_proto::identity::stamp;
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::net::{GrpcService, Lane, Network};
use flotilla_types::ClusterId;
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use parking_lot::Mutex;

use crate::failure::{Failure, FailureKind};
use crate::pipe::Pipe;

/// A generated client for shard groups.
pub(crate) type KvClient = ShardKvServiceClient<GrpcService>;
/// A generated client for the controller.
pub(crate) type CtrlClient = ShardCtrlerServiceClient<GrpcService>;

pub(crate) struct Links {
    network: Arc<dyn Network>,
    spawner: Spawner,
    cluster: Arc<OnceLock<ClusterId>>,
    pipes: Mutex<BTreeMap<Arc<str>, Pipe>>,
}

impl Links {
    pub fn new(env: &Environment, cluster: Option<ClusterId>) -> Self {
        Self {
            network: env.network.clone(),
            spawner: env.spawner.clone(),
            cluster: Arc::new(cluster.map(OnceLock::from).unwrap_or_default()),
            pipes: Mutex::default(),
        }
    }

    /// The cluster, once known.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster.get().copied()
    }

    /// The cluster turns out to be this one; `false` if it is known to be another.
    pub fn is_cluster(&self, cluster: ClusterId) -> bool {
        *self.cluster.get_or_init(|| cluster) == cluster
    }

    /// The shard groups' service at an address.
    pub fn kv(&self, address: &str) -> Result<KvClient, Failure> {
        let client = ShardKvServiceClient::new(self.service(address)?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// The controller's service at an address.
    pub fn ctrl(&self, address: &str) -> Result<CtrlClient, Failure> {
        let client = ShardCtrlerServiceClient::new(self.service(address)?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// The shared stream of operations to an address.
    pub fn pipe(&self, address: &Arc<str>) -> Result<Pipe, Failure> {
        let mut pipes = self.pipes.lock();
        if let Some(pipe) = pipes.get(address) {
            return Ok(pipe.clone());
        }
        let pipe = Pipe::open(address.clone(), self.kv(address)?, self.cluster.clone(), &self.spawner);
        pipes.insert(address.clone(), pipe.clone());
        Ok(pipe)
    }

    /// A request that says which cluster it is meant for, and how long the caller waits.
    pub fn request<T>(&self, message: T, budget: Duration) -> tonic::Request<T> {
        let mut request = stamp(message, self.cluster.get().copied());
        request.set_timeout(budget);
        request
    }

    /// A request without an end.
    pub fn endless<T>(&self, message: T) -> tonic::Request<T> {
        stamp(message, self.cluster.get().copied())
    }

    fn service(&self, address: &str) -> Result<GrpcService, Failure> {
        let failed = |error| Failure::unsent(address, FailureKind::Unreachable, format!("{error}"));
        self.network.connect(address, Lane::Client).map_err(failed)
    }
}
