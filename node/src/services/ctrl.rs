//! `ShardCtrlerService`: translates. Any node answers; one that does not lead the controller says who does.

use std::pin::Pin;

use flotilla_proto::ctrl_v1::shard_ctrler_service_server::ShardCtrlerService;
use flotilla_proto::ctrl_v1::{
    AdminResponse, Directory, GetStatusRequest, GetStatusResponse, JoinRequest, Leader, LeaveRequest,
    LockRequest, MoveRequest, QueryRequest, QueryResponse, RegisterRequest, ReportRequest, ShardConfig,
    UnlockRequest, WatchConfigRequest, WatchConfigResponse,
};
use flotilla_raft_store::{Group, ProposeError, ReadError};
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardctrler::api::command::Kind;
use flotilla_shardctrler::api::{Answer, Command, ConfigAnswer, ControllerStatus, Query};
use flotilla_types::ConfigNum;
use futures::{Stream, stream};
use tonic::{Request, Response, Status};

use crate::replicas::Replicas;
use crate::services::status::role_name;

/// The service.
pub struct Ctrl {
    /// The node's replicas.
    pub replicas: Replicas,
}

impl Ctrl {
    fn leader(&self) -> Leader {
        let peer = self.replicas.controller().and_then(|group| group.leader()).map(|(_, peer)| peer);
        let (node, address) = peer.map_or((0, String::new()), |peer| (peer.node.get(), peer.address));
        Leader { node, address, controllers: self.replicas.node().controller.addresses() }
    }

    async fn admin(&self, request_id: u64, kind: Option<Kind>) -> Result<Response<AdminResponse>, Status> {
        let elsewhere = || Ok(Response::new(AdminResponse { leader: Some(self.leader()), response: None }));
        let Some(group) = self.replicas.controller() else { return elsewhere() };
        let kind = kind
            .ok_or_else(|| Status::invalid_argument("the request has no body: fill in the message field"))?;
        let now_ms = group.stamp().await;
        match group.propose(Command { request_id, now_ms, kind: Some(kind) }).await {
            Ok(response) => Ok(Response::new(AdminResponse { leader: None, response: Some(response) })),
            Err(ProposeError::NotLeader { .. } | ProposeError::Stopped) => elsewhere(),
            Err(ProposeError::Unknown(why)) => {
                let message = format!("outcome unknown, repeat with the same request id: {why}");
                Err(Status::deadline_exceeded(message))
            }
            Err(error @ ProposeError::Overloaded { .. }) => {
                Err(Status::resource_exhausted(error.to_string()))
            }
            Err(error @ (ProposeError::TooLarge { .. } | ProposeError::Invalid(_))) => {
                Err(Status::invalid_argument(error.to_string()))
            }
        }
    }

    async fn answer(&self, request: &QueryRequest) -> Result<QueryResponse, Status> {
        let Some(group) = self.replicas.controller() else { return Ok(self.answer_from_topology(request)) };
        let num = request.num.map(ConfigNum);
        let mut response = QueryResponse::default();
        match ask(&group, Query::Config(num), request.stale).await {
            Ok(Answer::Config(ConfigAnswer::Found(config))) => response.config = Some(config),
            Ok(_) => {}
            Err(error) => return self.read_failure(error),
        }
        let machine = group.machine();
        (response.latest, response.oldest) = (machine.latest().num, machine.oldest().get());
        if request.directory {
            response.directory = Some((**machine.directory()).clone());
        }
        Ok(response)
    }

    fn read_failure(&self, error: ReadError) -> Result<QueryResponse, Status> {
        match error {
            ReadError::NotLeader { .. } | ReadError::Stopped => {
                Ok(QueryResponse { leader: Some(self.leader()), ..QueryResponse::default() })
            }
            ReadError::NoQuorum => Err(Status::unavailable("no majority of the controller answers")),
            ReadError::Overloaded { .. } => Err(Status::resource_exhausted(error.to_string())),
            ReadError::Failed(_) => Err(Status::internal(error.to_string())),
        }
    }

    // A node without a controller replica answers a stale question for what it knows, and sends all else away.
    fn answer_from_topology(&self, request: &QueryRequest) -> QueryResponse {
        let known = self.replicas.node().topology.now();
        let fits = request.num.is_none_or(|num| num == known.config.num) && known.directory.revision > 0;
        if !request.stale || !fits {
            return QueryResponse { leader: Some(self.leader()), ..QueryResponse::default() };
        }
        let directory = request.directory.then(|| (*known.directory).clone());
        let config = Some((*known.config).clone());
        QueryResponse { leader: None, config, latest: known.config.num, oldest: known.config.num, directory }
    }
}

async fn ask(group: &Group<ShardCtrler>, query: Query, stale: bool) -> Result<Answer, ReadError> {
    if stale { group.read_local(query) } else { group.read(query).await }
}

#[tonic::async_trait]
impl ShardCtrlerService for Ctrl {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<AdminResponse>, Status> {
        let request = request.into_inner();
        self.admin(request.request_id, request.join.map(Kind::Join)).await
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<AdminResponse>, Status> {
        let request = request.into_inner();
        self.admin(request.request_id, request.leave.map(Kind::Leave)).await
    }

    async fn r#move(&self, request: Request<MoveRequest>) -> Result<Response<AdminResponse>, Status> {
        let request = request.into_inner();
        self.admin(request.request_id, request.r#move.map(Kind::Move)).await
    }

    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<AdminResponse>, Status> {
        self.admin(0, request.into_inner().register.map(Kind::Register)).await
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<AdminResponse>, Status> {
        self.admin(0, request.into_inner().report.map(Kind::Report)).await
    }

    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<AdminResponse>, Status> {
        let request = request.into_inner();
        self.admin(request.request_id, request.lock.map(Kind::Lock)).await
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<AdminResponse>, Status> {
        let request = request.into_inner();
        self.admin(request.request_id, request.unlock.map(Kind::Unlock)).await
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryResponse>, Status> {
        self.answer(request.get_ref()).await.map(Response::new)
    }

    type WatchConfigStream = Pin<Box<dyn Stream<Item = Result<WatchConfigResponse, Status>> + Send>>;

    async fn watch_config(
        &self,
        request: Request<WatchConfigRequest>,
    ) -> Result<Response<Self::WatchConfigStream>, Status> {
        let has = request.into_inner();
        let known = self.replicas.node().topology.watch();
        let stop = self.replicas.node().env.spawner.token().clone();
        let updates = stream::unfold((known, has), move |(mut known, has)| {
            let stop = stop.clone();
            async move {
                let news = async {
                    let news = known.wait_for(|known| {
                        known.config.num > has.config || known.directory.revision > has.revision
                    });
                    let news = news.await.ok()?;
                    Some(update(&has, &news.config, &news.directory))
                };
                let (update, has) = tokio::select! {
                    () = stop.cancelled() => return None,
                    news = news => news?,
                };
                Some((Ok(update), (known, has)))
            }
        });
        Ok(Response::new(Box::pin(updates)))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let options = &self.replicas.node().options;
        let mut response = GetStatusResponse {
            cluster: options.cluster.to_string(),
            node: options.node.get(),
            role: "none".to_owned(),
            leader: Some(self.leader()),
            ..GetStatusResponse::default()
        };
        if let Some(group) = self.replicas.controller() {
            let raft = group.status();
            response.role = role_name(raft.progress.role).to_owned();
            (response.term, response.applied) = (raft.progress.term, raft.progress.applied.unwrap_or(0));
            response.committed = raft.progress.committed.unwrap_or(0);
            response.last_log = raft.last_log.unwrap_or(0);
            if let Ok(Answer::Status(numbers)) = group.read_local(Query::Status) {
                let ControllerStatus { config, config_oldest, revision, groups, nodes, locks } = numbers;
                (response.config, response.config_oldest, response.revision) =
                    (config, config_oldest, revision);
                (response.groups, response.nodes, response.locks) = (groups, nodes, locks);
            }
        }
        Ok(Response::new(response))
    }
}

fn update(
    has: &WatchConfigRequest,
    config: &ShardConfig,
    directory: &Directory,
) -> (WatchConfigResponse, WatchConfigRequest) {
    let newer_config = (config.num > has.config || has.revision == 0).then(|| config.clone());
    let newer_directory = (directory.revision > has.revision).then(|| directory.clone());
    let has = WatchConfigRequest {
        config: has.config.max(config.num),
        revision: has.revision.max(directory.revision),
    };
    (WatchConfigResponse { config: newer_config, directory: newer_directory }, has)
}
