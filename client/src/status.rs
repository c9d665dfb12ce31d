//! Asking every node how it is.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{Directory, ShardConfig};
use flotilla_proto::kv_v1::{GetDigestRequest, GetStatusRequest, GetStatusResponse};
use flotilla_types::ClusterId;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::client::Client;
use crate::controller;
use crate::drive::rpc;
use crate::failure::Failure;
use crate::shared::Shared;
use crate::trip::Target;

/// How many nodes are asked at once.
const NODES_AT_ONCE: usize = 64;
/// How long one node may take; the client's timeout, if that is less.
const NODE: Duration = Duration::from_secs(3);

/// The whole cluster, as its nodes describe it.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: ClusterId,
    /// The newest configuration.
    pub config: Arc<ShardConfig>,
    /// The newest directory.
    pub directory: Arc<Directory>,
    /// Every node of the directory, by id.
    pub nodes: Vec<NodeStatus>,
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its id.
    pub node: u64,
    /// Where it is asked.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// What it said, or why it did not.
    pub answer: Result<GetStatusResponse, Failure>,
}

/// The digest of one replica.
#[derive(Clone, Debug)]
pub struct ReplicaDigest {
    /// The replica's node.
    pub node: u64,
    /// What it said, or why it did not.
    pub answer: Result<Digest, Failure>,
}

/// A digest of a replica's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// Whether the node has a replica of the group at all.
    pub found: bool,
    /// How far the replica had applied its log. At equal numbers, digests are equal.
    pub applied: u64,
    /// The digest.
    pub digest: u64,
}

pub(crate) async fn of_cluster(client: &Client) -> ClusterStatus {
    let shared = client.shared();
    let until = Instant::now() + client.timeout().min(NODE);
    // Without a leader the last known directory has to do.
    if controller::learn(shared, false, until).await.is_err() {
        drop(controller::learn(shared, true, Instant::now() + client.timeout().min(NODE)).await);
    }
    let view = shared.topology.view();
    let until = Instant::now() + client.timeout().min(NODE);
    let nodes = view.directory.nodes.clone().into_iter().map(|record| async move {
        let target = Target { gid: 0, address: record.address.as_str().into(), until };
        let answer = node(shared, &target).await;
        NodeStatus { node: record.node, address: record.address, zone: record.zone, answer }
    });
    let nodes = stream::iter(nodes).buffered(NODES_AT_ONCE).collect().await;
    ClusterStatus { cluster: client.cluster(), config: view.config, directory: view.directory, nodes }
}

async fn node(shared: &Shared, target: &Target) -> Result<GetStatusResponse, Failure> {
    let request = shared.links.request(GetStatusRequest { gid: None }, target.budget());
    rpc(target, shared.links.kv(&target.address)?.get_status(request)).await
}

pub(crate) async fn digests(client: &Client, gid: u64) -> Vec<ReplicaDigest> {
    let shared = client.shared();
    let view = shared.topology.view();
    let until = client.deadline();
    let replicas = view.directory.group(gid).map(|group| group.replicas.clone()).unwrap_or_default();
    let asked = replicas.into_iter().map(|replica| {
        let address = view.address(replica.node).unwrap_or_default();
        async move {
            let answer = digest(shared, &Target { gid, address, until }).await;
            ReplicaDigest { node: replica.node, answer }
        }
    });
    stream::iter(asked).buffered(NODES_AT_ONCE).collect().await
}

async fn digest(shared: &Shared, target: &Target) -> Result<Digest, Failure> {
    let request = shared.links.request(GetDigestRequest { gid: target.gid }, target.budget());
    let answer = rpc(target, shared.links.kv(&target.address)?.get_digest(request)).await?;
    Ok(Digest { found: answer.found, applied: answer.applied, digest: answer.digest })
}
