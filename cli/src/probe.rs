//! Looks at a cluster from outside, node by node, over plain gRPC.
//!
//! The client library needs a controller that answers; this does not. It takes what each node says of itself, and the
//! newest configuration and directory that any controller replica has applied.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use flotilla_proto::ctrl_v1::shard_ctrler_service_client::ShardCtrlerServiceClient;
use flotilla_proto::ctrl_v1::{Directory, QueryRequest, QueryResponse, ShardConfig};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::kv_v1::{
    GetDigestRequest, GetDigestResponse, GetStatusRequest, GetStatusResponse, ReplicaStatus,
};
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use futures::future::join_all;
use tonic::{Code, Response, Status};

use crate::{duration, exit};

/// The longest that one question to one node may take: a node that is stopped must not hold up the others.
const QUESTION_MAX: Duration = Duration::from_secs(3);
/// Endpoints, then controllers that they name, then nodes of the directory: rounds that share the deadline.
const ROUNDS: u32 = 3;

/// One node, as seen from here.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its id; 0 if only its address is known.
    pub node: u64,
    /// Where it was asked.
    pub address: String,
    /// What it said of itself, or why it said nothing.
    pub status: Result<GetStatusResponse, String>,
}

/// A cluster, as seen from here.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its id, 32 hexadecimal digits.
    pub cluster: String,
    /// The newest configuration that a controller replica showed; none: no controller replica answered.
    pub config: Option<ShardConfig>,
    /// The newest directory that a controller replica showed; empty if none did.
    pub directory: Directory,
    /// Every node of the directory; without a directory, every endpoint.
    pub nodes: Vec<Seen>,
}

impl View {
    /// What the nodes say of a group's replicas, each with its node.
    pub fn replicas(&self, gid: u64) -> impl Iterator<Item = (u64, &ReplicaStatus)> {
        let said = self.nodes.iter().filter_map(|seen| seen.status.as_ref().ok());
        said.flat_map(|status| status.replicas.iter().map(|replica| (status.node, replica)))
            .filter(move |(_, replica)| replica.gid == gid)
    }

    /// The replica that leads a group, with its node. An old leader that does not know yet has a smaller term.
    pub fn leader(&self, gid: u64) -> Option<(u64, &ReplicaStatus)> {
        let leaders = self.replicas(gid).filter(|(_, replica)| replica.role == "leader");
        leaders.max_by_key(|(_, replica)| (replica.incarnation, replica.term))
    }
}

/// Looks at the cluster of these endpoints. Fails if none of them answers.
pub async fn view(endpoints: &[String], timeout: Duration) -> Result<View> {
    let prober = Prober::new(timeout);
    let seen = prober.statuses(endpoints.iter().map(|address| (0, address.clone()))).await;
    let Some(cluster) = seen.iter().find_map(|seen| seen.status.as_ref().ok()).map(|s| s.cluster.clone())
    else {
        return Err(nobody(&seen));
    };
    let known = prober.newest(endpoints).await;
    let nodes = known.1.nodes.iter().map(|record| (record.node, record.address.clone()));
    let nodes = if known.1.nodes.is_empty() { seen } else { prober.statuses(nodes).await };
    let nodes = nodes.into_iter().map(|seen| of_cluster(seen, &cluster)).collect();
    Ok(View { cluster, config: known.0, directory: known.1, nodes })
}

fn nobody(seen: &[Seen]) -> anyhow::Error {
    let reasons = seen.iter().filter_map(|seen| Some((&seen.address, seen.status.as_ref().err()?)));
    let reasons: Vec<_> = reasons.map(|(address, why)| format!("{address}: {why}")).collect();
    exit::unreachable(format!("no node answers ({})", reasons.join("; ")))
}

/// A node of another cluster at this address is as good as none.
fn of_cluster(mut seen: Seen, cluster: &str) -> Seen {
    if let Ok(status) = &seen.status {
        if status.cluster != cluster {
            seen.status = Err(format!("a node of another cluster ({}) answers there", status.cluster));
        } else {
            seen.node = status.node;
        }
    }
    seen
}

/// Asks single questions, each with a deadline.
pub struct Prober {
    environment: Environment,
    question: Duration,
}

impl Prober {
    /// A prober whose rounds of questions fit into `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { environment: Environment::real(), question: (timeout / ROUNDS).min(QUESTION_MAX) }
    }

    /// What a node says of itself.
    pub async fn status(&self, address: &str) -> Result<GetStatusResponse, String> {
        let mut node = self.kv(address)?;
        self.answer(node.get_status(GetStatusRequest { gid: None })).await
    }

    /// The digest of a node's replica of a group.
    pub async fn digest(&self, address: &str, gid: u64) -> Result<GetDigestResponse, String> {
        let mut node = self.kv(address)?;
        self.answer(node.get_digest(GetDigestRequest { gid })).await
    }

    async fn query(&self, address: &str) -> Result<QueryResponse, String> {
        let service = self.service(address)?;
        let mut node = ShardCtrlerServiceClient::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        self.answer(node.query(QueryRequest { num: None, directory: true, stale: true })).await
    }

    async fn statuses(&self, nodes: impl Iterator<Item = (u64, String)>) -> Vec<Seen> {
        let ask = async |(node, address): (u64, String)| {
            let status = self.status(&address).await;
            Seen { node, address, status }
        };
        join_all(nodes.map(ask)).await
    }

    /// The newest configuration and directory, from these nodes and the controllers that they name.
    async fn newest(&self, endpoints: &[String]) -> (Option<ShardConfig>, Directory) {
        let mut asked: BTreeSet<String> = endpoints.iter().cloned().collect();
        let mut answers = self.queries(asked.iter()).await;
        let named = answers.values().filter_map(|answer| answer.leader.as_ref());
        let named = named.flat_map(|leader| leader.controllers.iter().chain([&leader.address]));
        let further: BTreeSet<String> =
            named.filter(|address| !address.is_empty() && !asked.contains(*address)).cloned().collect();
        answers.extend(self.queries(further.iter()).await);
        asked.extend(further);
        let configs = answers.values().filter_map(|answer| answer.config.clone());
        let directories = answers.values().filter_map(|answer| answer.directory.clone());
        let directory = directories.max_by_key(|directory| directory.revision).unwrap_or_default();
        (configs.max_by_key(|config| config.num), directory)
    }

    async fn queries(&self, addresses: impl Iterator<Item = &String>) -> BTreeMap<String, QueryResponse> {
        let ask = async |address: &String| Some((address.clone(), self.query(address).await.ok()?));
        join_all(addresses.map(ask)).await.into_iter().flatten().collect()
    }

    fn kv(&self, address: &str) -> Result<ShardKvServiceClient<GrpcService>, String> {
        Ok(ShardKvServiceClient::new(self.service(address)?).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn service(&self, address: &str) -> Result<GrpcService, String> {
        self.environment.network.connect(address, Lane::Client).map_err(|error| error.to_string())
    }

    async fn answer<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, String> {
        match tokio::time::timeout(self.question, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(reason(&status)),
            Err(_) => Err(format!("no answer within {}", duration::shown(self.question))),
        }
    }
}

/// What a failed call means to people.
fn reason(status: &Status) -> String {
    if status.code() == Code::Unimplemented {
        return "it answers gRPC, but is no Flotilla node".to_owned();
    }
    let mut deepest = None;
    let mut cause = status.source();
    while let Some(error) = cause {
        deepest = Some(error.to_string());
        cause = error.source();
    }
    let text = deepest.unwrap_or_else(|| status.message().to_owned());
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::FailedPrecondition => text,
        _ => format!("{text} (is it a Flotilla node?)"),
    }
}
