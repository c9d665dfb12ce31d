//! The controller's side of a fake node.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flotilla_proto::ctrl_v1::shard_ctrler_service_server::ShardCtrlerService;
use flotilla_proto::ctrl_v1::{
    AdminResponse, GetStatusRequest, GetStatusResponse, JoinRequest, LeaveRequest, LockRequest, MoveRequest,
    QueryRequest, QueryResponse, RegisterRequest, ReportRequest, UnlockRequest, WatchConfigRequest,
    WatchConfigResponse,
};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Service, State};

impl State {
    fn admin(&self, request_id: u64) -> Result<Response<AdminResponse>, Status> {
        let mut request_ids = self.request_ids.lock();
        request_ids.push(request_id);
        (self.admin.lock())(request_ids.len() - 1, request_id).map(Response::new)
    }
}

#[tonic::async_trait]
impl ShardCtrlerService for Service {
    type WatchConfigStream = Pin<Box<dyn Stream<Item = Result<WatchConfigResponse, Status>> + Send>>;

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryResponse>, Status> {
        self.0.admit(&request)?;
        self.0.queries.fetch_add(1, Ordering::SeqCst);
        let QueryRequest { num, directory, .. } = request.into_inner();
        let (latest, newest) = self.0.world.facts.borrow().clone();
        let config = match num {
            Some(num) if num != latest.num => self.0.world.old.lock().get(&num).cloned(),
            _ => Some(latest.clone()),
        };
        let directory = directory.then_some(newest);
        Ok(Response::new(QueryResponse { leader: None, config, latest: latest.num, oldest: 0, directory }))
    }

    async fn watch_config(
        &self,
        request: Request<WatchConfigRequest>,
    ) -> Result<Response<Self::WatchConfigStream>, Status> {
        self.0.admit(&request)?;
        if !self.0.world.pushes.load(Ordering::SeqCst) {
            return Err(Status::unavailable("not pushing"));
        }
        let counted = Counted::new(&self.0.watchers);
        let facts = WatchStream::new(self.0.world.facts.subscribe());
        Ok(Response::new(Box::pin(facts.map(move |(config, directory)| {
            let _ = &counted;
            Ok(WatchConfigResponse { config: Some(config), directory: Some(directory) })
        }))))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<AdminResponse>, Status> {
        self.0.admin(request.into_inner().request_id)
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<AdminResponse>, Status> {
        self.0.admin(request.into_inner().request_id)
    }

    async fn r#move(&self, request: Request<MoveRequest>) -> Result<Response<AdminResponse>, Status> {
        self.0.admin(request.into_inner().request_id)
    }

    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<AdminResponse>, Status> {
        self.0.admin(request.into_inner().request_id)
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<AdminResponse>, Status> {
        self.0.admin(request.into_inner().request_id)
    }

    async fn register(&self, _: Request<RegisterRequest>) -> Result<Response<AdminResponse>, Status> {
        Err(Status::internal("not a client's business"))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<AdminResponse>, Status> {
        Err(Status::internal("not a client's business"))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        Ok(Response::new(GetStatusResponse::default()))
    }
}

/// Counts the streams that are open.
struct Counted(Arc<std::sync::atomic::AtomicUsize>);

impl Counted {
    fn new(count: &Arc<std::sync::atomic::AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
