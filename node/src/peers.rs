//! How the leader of one group asks another group: the replica that answered last, else each in turn, and whoever is
//! named in a hint. A replica that does not answer costs one deadline and then stands last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::env::Environment;
use flotilla_proto::faults::site;
use flotilla_proto::freeze_v1::freeze_service_client::FreezeServiceClient;
use flotilla_proto::freeze_v1::{FreezeRequest, FreezeResponse};
use flotilla_proto::identity::stamp;
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::kv_v1::{
    Code, DeleteShardsDataRequest, DeleteShardsDataResponse, GetShardsDataRequest, GetShardsDataResponse,
    Hint,
};
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_proto::restore_v1;
use flotilla_proto::restore_v1::restore_service_client::RestoreServiceClient;
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use flotilla_types::{ClusterId, ConfigNum, GroupId, NodeId};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::reconcile::Failure;
use crate::topology::Topology;

/// How long one replica may take: a seal is a commit, a chunk a megabyte.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// The same on a simulation's bad days.
const EARLY_TIMEOUT: Duration = Duration::from_millis(8);

/// An answer that may say "ask somebody else".
pub trait Asked {
    /// Its code, its hint, and its words for people.
    fn parts(&self) -> (Code, Option<&Hint>, &str);

    /// Whether another replica may answer: one that lags is not ready, one that follows cannot commit.
    fn wrong_place(&self) -> bool {
        matches!(self.parts().0, Code::WrongLeader | Code::NotReady)
    }

    /// Whom to ask instead.
    fn leader_address(&self) -> Option<String> {
        let (code, hint, _) = self.parts();
        let hint = hint.filter(|hint| code == Code::WrongLeader && !hint.address.is_empty());
        hint.map(|hint| hint.address.clone())
    }
}

/// The other groups; cheap to clone.
#[derive(Clone)]
pub struct Peers {
    env: Environment,
    topology: Topology,
    cluster: ClusterId,
    favourites: Arc<Mutex<BTreeMap<GroupId, String>>>,
    silent: Arc<Mutex<BTreeMap<GroupId, Silence>>>,
}

/// A group none of whose replicas answered in time.
#[derive(Clone, Copy)]
struct Silence {
    times: u32,
    until: Instant,
}

/// One replica to ask.
pub struct Peer {
    grpc: ShardKvServiceClient<GrpcService>,
    freezes: FreezeServiceClient<GrpcService>,
    restores: RestoreServiceClient<GrpcService>,
    cluster: ClusterId,
}

impl Peer {
    /// One piece of a moving shard.
    pub async fn get_shards_data(
        mut self,
        request: GetShardsDataRequest,
    ) -> Result<GetShardsDataResponse, Status> {
        let mut stream = self.grpc.get_shards_data(stamp(request, Some(self.cluster))).await?.into_inner();
        stream.message().await?.ok_or_else(|| Status::unavailable("the stream ended without an answer"))
    }

    /// Tells the old owner to delete.
    pub async fn delete_shards_data(
        mut self,
        request: DeleteShardsDataRequest,
    ) -> Result<DeleteShardsDataResponse, Status> {
        self.grpc
            .delete_shards_data(stamp(request, Some(self.cluster)))
            .await
            .map(tonic::Response::into_inner)
    }
}

impl Peer {
    /// One step of a freeze.
    pub async fn freeze(mut self, request: FreezeRequest) -> Result<FreezeResponse, Status> {
        self.freezes.step(stamp(request, Some(self.cluster))).await.map(tonic::Response::into_inner)
    }

    /// One step of a restore.
    pub async fn restore(
        mut self,
        request: restore_v1::StepRequest,
    ) -> Result<restore_v1::StepResponse, Status> {
        self.restores.step(stamp(request, Some(self.cluster))).await.map(tonic::Response::into_inner)
    }
}

impl Peers {
    /// Peers found through `topology`.
    pub fn new(env: Environment, topology: Topology, cluster: ClusterId) -> Self {
        Self { env, topology, cluster, favourites: Arc::default(), silent: Arc::default() }
    }

    fn addresses(&self, gid: GroupId, config: ConfigNum) -> Vec<String> {
        let known = self.topology.now();
        let replicas =
            known.directory.group_at(gid.get(), config.get()).into_iter().flat_map(|group| &group.replicas);
        let mut addresses: Vec<String> =
            replicas.filter_map(|replica| known.address(NodeId(replica.node)).map(str::to_owned)).collect();
        if let Some(favourite) = self.favourites.lock().get(&gid) {
            addresses.retain(|address| address != favourite);
            addresses.insert(0, favourite.clone());
        }
        addresses
    }

    fn peer(&self, address: &str) -> Result<Peer, Failure> {
        let service = self.env.network.connect(address, Lane::Bulk);
        let service = service.map_err(|error| Failure(error.to_string()))?;
        let freezes = FreezeServiceClient::new(service.clone());
        let restores = RestoreServiceClient::new(service.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let grpc = ShardKvServiceClient::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Peer { grpc, freezes, restores, cluster: self.cluster })
    }

    /// Whether no replica of `gid` answered in time a moment ago.
    pub fn is_silent(&self, gid: GroupId) -> bool {
        self.silent.lock().get(&gid).is_some_and(|silence| silence.until > Instant::now())
    }

    // A large row over a slow link needs longer than the first attempt was given.
    fn patience(&self, gid: GroupId) -> Duration {
        let times = self.silent.lock().get(&gid).map_or(0, |silence| silence.times);
        ATTEMPT_TIMEOUT.saturating_mul(1 << times.min(4))
    }

    fn note(&self, gid: GroupId, timed_out: bool) {
        let mut silent = self.silent.lock();
        if !timed_out {
            silent.remove(&gid);
            return;
        }
        let times = silent.get(&gid).map_or(0, |silence| silence.times).saturating_add(1);
        silent.insert(gid, Silence { times, until: Instant::now() + ATTEMPT_TIMEOUT });
    }

    /// Asks replicas of `gid` (the life of it that owned shards at `config`) until one answers in its own name.
    pub async fn ask<T, F, Fut>(&self, gid: GroupId, config: ConfigNum, call: F) -> Result<T, Failure>
    where
        T: Asked,
        F: Fn(Peer) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let mut queue = self.addresses(gid, config);
        let mut tried: Vec<String> = Vec::new();
        let mut last = Failure(format!("no replica of group {gid} is known"));
        let (patience, mut timed_out) = (self.patience(gid), false);
        while !queue.is_empty() {
            let address = queue.remove(0);
            if tried.contains(&address) {
                continue;
            }
            tried.push(address.clone());
            let patience = self.env.faults.choose(site::EARLY_PEER_TIMEOUT, patience, EARLY_TIMEOUT);
            match timeout(patience, call(self.peer(&address)?)).await {
                Ok(Ok(answer)) if !answer.wrong_place() => {
                    self.favourites.lock().insert(gid, address);
                    self.note(gid, false);
                    return Ok(answer);
                }
                Ok(Ok(answer)) => {
                    last = Failure(format!("group {gid} at {address} is not ready: {}", answer.parts().2));
                    queue.splice(0..0, answer.leader_address());
                }
                Ok(Err(status)) => last = Failure(format!("group {gid} at {address}: {}", status.message())),
                Err(_) => {
                    timed_out = true;
                    last = Failure(format!(
                        "group {gid} at {address}: no answer within {} s",
                        patience.as_secs()
                    ));
                }
            }
            self.favourites.lock().remove(&gid);
        }
        self.note(gid, timed_out);
        Err(last)
    }
}
