//! How a node talks to the controller: asks whom it believes to lead, follows the hint, tries the others.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::shard_ctrler_service_client::ShardCtrlerServiceClient;
use flotilla_proto::ctrl_v1::{
    AdminResponse, Directory, Leader, QueryRequest, QueryResponse, Register, RegisterRequest, Report,
    ReportRequest, Response, ShardConfig, WatchConfigRequest, WatchConfigResponse,
};
use flotilla_proto::env::Environment;
use flotilla_proto::identity::stamp;
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use flotilla_types::{ClusterId, ConfigNum, NodeId};
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::topology::Topology;

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of the controller; cheap to clone.
#[derive(Clone)]
pub struct ControllerClient {
    env: Environment,
    topology: Topology,
    seeds: Arc<Vec<String>>,
    leader: Arc<Mutex<Option<String>>>,
    cluster: ClusterId,
}

type Grpc = ShardCtrlerServiceClient<GrpcService>;

impl ControllerClient {
    /// A client that starts with the addresses it was configured with.
    pub fn new(
        env: Environment,
        topology: Topology,
        controllers: &[(NodeId, String)],
        cluster: ClusterId,
    ) -> Self {
        let seeds = Arc::new(controllers.iter().map(|(_, address)| address.clone()).collect());
        Self { env, topology, seeds, leader: Arc::default(), cluster }
    }

    /// Where controllers may be, most likely first: the last leader, the directory's, the configured ones.
    pub fn addresses(&self) -> Vec<String> {
        let known = self.topology.now();
        let group = known.directory.group(0);
        let replicas = group.into_iter().flat_map(|group| &group.replicas);
        let listed = replicas.filter_map(|replica| known.address(NodeId(replica.node)).map(str::to_owned));
        let mut addresses: Vec<String> = self.leader.lock().clone().into_iter().collect();
        for address in listed.chain(self.seeds.iter().cloned()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Tells the controller that this node is there. `Err` is a passing failure; a refusal is a response.
    pub async fn register(&self, register: &Register) -> Result<Response, Status> {
        self.admin(|mut grpc, cluster| {
            let request = RegisterRequest { register: Some(register.clone()) };
            async move { grpc.register(stamp(request, Some(cluster))).await }
        })
        .await
    }

    /// Tells the controller what a group settled.
    pub async fn report(&self, report: Report) -> Result<Response, Status> {
        self.admin(|mut grpc, cluster| {
            let request = ReportRequest { report: Some(report) };
            async move { grpc.report(stamp(request, Some(cluster))).await }
        })
        .await
    }

    /// A configuration by number, from any controller replica that has it, with a directory that is at least as new.
    /// `None`: nobody has it (yet).
    pub async fn config(&self, num: ConfigNum) -> Result<Option<(ShardConfig, Directory)>, Status> {
        let mut last = Ok(None);
        let request = |directory| QueryRequest { num: Some(num.get()), directory, stale: true };
        for address in self.addresses() {
            // Most polls find nothing yet, and a directory can be large: it is asked for only where there is something.
            let answer = match self.query_at(&address, request(false)).await {
                Ok(QueryResponse { config: Some(_), .. }) => self.query_at(&address, request(true)).await,
                answer => answer,
            };
            match answer {
                Ok(QueryResponse { config: Some(config), directory: Some(directory), .. }) => {
                    return Ok(Some((config, directory)));
                }
                Ok(_) => last = Ok(None),
                Err(status) if last.is_ok() => last = Err(status),
                Err(_) => {}
            }
        }
        last
    }

    /// What one controller replica has applied.
    pub async fn query_at(&self, address: &str, request: QueryRequest) -> Result<QueryResponse, Status> {
        let mut grpc = self.grpc(address)?;
        let response = within(grpc.query(stamp(request, Some(self.cluster)))).await?;
        Ok(response.into_inner())
    }

    /// Opens a watch at one address.
    pub async fn watch_at(
        &self,
        address: &str,
        request: WatchConfigRequest,
    ) -> Result<Streaming<WatchConfigResponse>, Status> {
        let mut grpc = self.grpc(address)?;
        let response = within(grpc.watch_config(stamp(request, Some(self.cluster)))).await?;
        Ok(response.into_inner())
    }

    fn grpc(&self, address: &str) -> Result<Grpc, Status> {
        let service = self.env.network.connect(address, Lane::Client);
        let service = service.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Grpc::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    // Tries each address once, and the leader that one of them names.
    async fn admin<F, Fut>(&self, call: F) -> Result<Response, Status>
    where
        F: Fn(Grpc, ClusterId) -> Fut,
        Fut: Future<Output = Result<tonic::Response<AdminResponse>, Status>>,
    {
        let mut last = Status::unavailable("no controller address is known");
        let mut queue = self.addresses();
        let mut tried: Vec<String> = Vec::new();
        while let Some(address) = take_first(&mut queue) {
            if tried.contains(&address) {
                continue;
            }
            tried.push(address.clone());
            match within(call(self.grpc(&address)?, self.cluster)).await.map(tonic::Response::into_inner) {
                Ok(AdminResponse { response: Some(response), .. }) => {
                    *self.leader.lock() = Some(address);
                    return Ok(response);
                }
                Ok(AdminResponse { leader, .. }) => {
                    last = Status::unavailable("the controller has no leader yet");
                    if let Some(Leader { address, .. }) = leader.filter(|leader| !leader.address.is_empty()) {
                        queue.insert(0, address);
                    }
                }
                // A controller of another cluster says more than one that is down.
                Err(status) if last.code() != tonic::Code::FailedPrecondition => last = status,
                Err(_) => {}
            }
        }
        *self.leader.lock() = None;
        Err(last)
    }
}

fn take_first(queue: &mut Vec<String>) -> Option<String> {
    if queue.is_empty() { None } else { Some(queue.remove(0)) }
}

async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match timeout(ATTEMPT_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(Status::deadline_exceeded("no answer within 2 s")),
    }
}
