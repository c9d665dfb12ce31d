//! `MigrationService`: translates. Any node answers; one that does not lead the controller says who does.

use std::pin::Pin;
use std::time::Duration;

use flotilla_cloud_migration::command::{Create, Empty, Kind};
use flotilla_cloud_migration::{Command, Record};
use flotilla_proto::migration_v1::migration_service_server::MigrationService;
use flotilla_proto::migration_v1::{
    CancelRequest, ChangeResponse, Elsewhere, FilesRequest, FilesResponse, ForgetRequest, GetRequest,
    GetResponse, ListRequest, ListResponse, PartsRequest, PartsResponse, PreflightRequest, PreflightResponse,
    ProposeRequest, RetryRequest, StartRequest, Verdict, WatchRequest, WatchResponse, WorkRequest,
    WorkResponse,
};
use flotilla_raft_store::{Group, ProposeError, ReadError};
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardctrler::api::{self, Answer, Code, Query};
use flotilla_types::Wire;
use futures::{Stream, stream};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::migration::jobs::Known;
use crate::migration::preflight;
use crate::replicas::Replicas;

/// Files in one page.
const PAGE_FILES: u32 = 1000;
/// How often a watcher is told of speeds, when nothing else changes.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// The service.
pub struct Migrations {
    /// The node's replicas.
    pub replicas: Replicas,
}

impl Migrations {
    fn elsewhere(&self) -> Elsewhere {
        let peer = self.replicas.controller().and_then(|group| group.leader()).map(|(_, peer)| peer);
        peer.map_or_else(Elsewhere::default, |peer| Elsewhere {
            node: peer.node.get(),
            address: peer.address,
        })
    }

    fn sent_away(&self) -> ChangeResponse {
        ChangeResponse { elsewhere: Some(self.elsewhere()), ..ChangeResponse::default() }
    }

    /// One command through the controller's log.
    async fn change(&self, request_id: u64, command: Command) -> Result<ChangeResponse, Status> {
        let Some(group) = self.replicas.controller() else { return Ok(self.sent_away()) };
        let now_ms = group.stamp().await;
        let kind = Some(api::command::Kind::Migration(command));
        match group.propose(api::Command { request_id, now_ms, kind }).await {
            Ok(response) => Ok(answer(&group, response)),
            Err(ProposeError::NotLeader { .. } | ProposeError::Stopped) => Ok(self.sent_away()),
            Err(ProposeError::Unknown(why)) => Err(Status::deadline_exceeded(format!(
                "outcome unknown, repeat with the same request id: {why}"
            ))),
            Err(error @ ProposeError::Overloaded { .. }) => {
                Err(Status::resource_exhausted(error.to_string()))
            }
            Err(error) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    /// A read; none: asked the wrong node.
    async fn read(&self, query: Query, stale: bool) -> Result<Option<Answer>, Status> {
        let Some(group) = self.replicas.controller() else { return Ok(None) };
        let answer = if stale { group.read_local(query) } else { group.read(query).await };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(ReadError::NotLeader { .. } | ReadError::Stopped) => Ok(None),
            Err(error @ ReadError::Overloaded { .. }) => Err(Status::resource_exhausted(error.to_string())),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    /// All records.
    async fn known(&self, stale: bool) -> Result<Option<Known>, Status> {
        let Some(Answer::Migrations(records)) = self.read(Query::Migrations, stale).await? else {
            return Ok(None);
        };
        Ok(Some(Known { heard: true, records, ..Known::default() }))
    }

    fn leads(&self) -> bool {
        self.replicas.controller().is_some_and(|group| group.is_leader())
    }
}

/// What became of a command, with the record after it.
fn answer(group: &Group<ShardCtrler>, response: api::Response) -> ChangeResponse {
    let verdict = match response.code() {
        Code::Ok => Verdict::Accepted,
        Code::Invalid | Code::WrongCluster => Verdict::Invalid,
        Code::NotFound => Verdict::NotFound,
        Code::AlreadyExists => Verdict::Conflict,
        Code::Terminal => Verdict::Terminal,
        Code::Fenced => Verdict::Fenced,
        Code::Refused | Code::Paused => Verdict::Refused,
        Code::TooMany => Verdict::TooMany,
    };
    ChangeResponse {
        elsewhere: None,
        verdict: verdict.into(),
        message: response.message,
        id: response.migration,
        token: response.token,
        count: response.count,
        record: group.machine().migrations().get(&response.migration).cloned(),
    }
}

fn pick(known: &Known, id: u64) -> Option<Record> {
    let newest = || known.records.values().next_back();
    if id == 0 { newest().cloned() } else { known.records.get(&id).cloned() }
}

#[tonic::async_trait]
impl MigrationService for Migrations {
    async fn preflight(
        &self,
        request: Request<PreflightRequest>,
    ) -> Result<Response<PreflightResponse>, Status> {
        if !self.leads() {
            let elsewhere = Some(self.elsewhere());
            return Ok(Response::new(PreflightResponse { elsewhere, ..PreflightResponse::default() }));
        }
        let PreflightRequest { target, options } = request.into_inner();
        Ok(Response::new(preflight::look(&self.replicas, target, options).await))
    }

    async fn start(&self, request: Request<StartRequest>) -> Result<Response<ChangeResponse>, Status> {
        let StartRequest { request_id, target, options, skip_preflight } = request.into_inner();
        if !self.leads() {
            return Ok(Response::new(self.sent_away()));
        }
        // While one is going on that is the answer, whatever the target looks like.
        let active = self.known(true).await?.and_then(|known| {
            known.records.values().find(|record| !record.state().is_terminal()).map(|record| record.id)
        });
        if !skip_preflight && active.is_none() {
            let found = preflight::look(&self.replicas, target.clone(), options.clone()).await;
            if let Some(check) = found.checks.into_iter().find(|check| !check.ok) {
                let verdict = if check.name == "options" { Verdict::Invalid } else { Verdict::Refused };
                let message = format!("{}: {}", check.name, check.message);
                return Ok(Response::new(ChangeResponse {
                    verdict: verdict.into(),
                    message,
                    ..ChangeResponse::default()
                }));
            }
        }
        let kind = Some(Kind::Create(Create { target, options }));
        self.change(request_id, Command { id: 0, epoch: 0, kind }).await.map(Response::new)
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<ChangeResponse>, Status> {
        let command = Command { id: request.get_ref().id, epoch: 0, kind: Some(Kind::Cancel(Empty {})) };
        self.change(0, command).await.map(Response::new)
    }

    async fn retry(&self, request: Request<RetryRequest>) -> Result<Response<ChangeResponse>, Status> {
        let RetryRequest { request_id, id } = request.into_inner();
        let id = match id {
            0 => self.known(true).await?.and_then(|known| pick(&known, 0)).map_or(0, |record| record.id),
            id => id,
        };
        let command = Command { id, epoch: 0, kind: Some(Kind::Retry(Empty {})) };
        self.change(request_id, command).await.map(Response::new)
    }

    async fn forget(&self, request: Request<ForgetRequest>) -> Result<Response<ChangeResponse>, Status> {
        let command = Command { id: request.get_ref().id, epoch: 0, kind: Some(Kind::Forget(Empty {})) };
        self.change(0, command).await.map(Response::new)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let GetRequest { id, stale } = request.into_inner();
        let Some(known) = self.known(stale).await? else {
            let elsewhere = Some(self.elsewhere());
            return Ok(Response::new(GetResponse { elsewhere, ..GetResponse::default() }));
        };
        let record = pick(&known, id);
        let work = match &record {
            Some(record) => preflight::gather(&self.replicas, record).await,
            None => Vec::new(),
        };
        Ok(Response::new(GetResponse { elsewhere: None, record, work }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let stale = request.get_ref().stale;
        let machine = self.replicas.controller().map(|group| group.machine());
        if stale && let Some(machine) = machine {
            // Of one moment, number and records.
            let records = machine.migrations().values().cloned().collect();
            let (revision, last) = (machine.migrations_revision(), machine.migration_last());
            return Ok(Response::new(ListResponse { elsewhere: None, records, revision, last }));
        }
        let Some(known) = self.known(stale).await? else {
            let elsewhere = Some(self.elsewhere());
            return Ok(Response::new(ListResponse { elsewhere, ..ListResponse::default() }));
        };
        let records = known.records.values().cloned().collect();
        Ok(Response::new(ListResponse { records, ..ListResponse::default() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.replicas.node().jobs.watch();
        let wanted = request.get_ref().id;
        let id = if wanted > 0 { wanted } else { pick(&known.borrow(), 0).map_or(0, |record| record.id) };
        let (replicas, stop) = (self.replicas.clone(), self.replicas.node().env.spawner.token().clone());
        let updates = stream::unfold((known, true), move |(mut known, first)| {
            let (replicas, stop) = (replicas.clone(), stop.clone());
            async move {
                if !first {
                    let news = timeout(WATCH_INTERVAL, known.changed());
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        news = news => if matches!(news, Ok(Err(_))) { return None },
                    }
                }
                let last = known.borrow_and_update().records.get(&id).cloned()?;
                let work = preflight::gather(&replicas, &last).await;
                Some((Ok(WatchResponse { record: Some(last), work }), (known, false)))
            }
        });
        Ok(Response::new(Box::pin(until_over(updates))))
    }

    async fn files(&self, request: Request<FilesRequest>) -> Result<Response<FilesResponse>, Status> {
        let FilesRequest { id, from, limit, stale } = request.into_inner();
        let most = if limit == 0 { PAGE_FILES } else { limit.min(PAGE_FILES) };
        Ok(Response::new(match self.read(Query::MigrationFiles(id, from, most), stale).await? {
            Some(Answer::MigrationFiles(files)) => FilesResponse { elsewhere: None, files },
            _ => FilesResponse { elsewhere: Some(self.elsewhere()), files: Vec::new() },
        }))
    }

    async fn parts(&self, request: Request<PartsRequest>) -> Result<Response<PartsResponse>, Status> {
        let PartsRequest { id, file } = request.into_inner();
        Ok(Response::new(match self.read(Query::MigrationParts(id, file), false).await? {
            Some(Answer::MigrationParts(parts)) => PartsResponse { elsewhere: None, parts },
            _ => PartsResponse { elsewhere: Some(self.elsewhere()), parts: Vec::new() },
        }))
    }

    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ChangeResponse>, Status> {
        let command = Command::decode_from(request.into_inner().command);
        let command = command.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.change(0, command).await.map(Response::new)
    }

    async fn work(&self, _: Request<WorkRequest>) -> Result<Response<WorkResponse>, Status> {
        Ok(Response::new(preflight::work(&self.replicas)))
    }
}

/// Ends a stream after the first update that nothing can follow.
fn until_over(
    updates: impl Stream<Item = Result<WatchResponse, Status>> + Send,
) -> impl Stream<Item = Result<WatchResponse, Status>> + Send {
    use futures::StreamExt;
    updates.scan(false, |over, update| {
        let item = (!*over).then_some(update);
        if let Some(Ok(WatchResponse { record: Some(record), .. })) = &item {
            *over = !record.is_owed();
        }
        futures::future::ready(item)
    })
}
