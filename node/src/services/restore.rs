//! `RestoreService`: takes the rows of a dump into a group, and drives whole restores.

use std::pin::Pin;

use flotilla_cloud_migration::dump::Sums;
use flotilla_proto::kv_v1::{Code, Command, Reply, command};
use flotilla_proto::restore_v1::restore_service_server::RestoreService;
use flotilla_proto::restore_v1::step_request::Step;
use flotilla_proto::restore_v1::{Progress, RunRequest, StepRequest, StepResponse};
use flotilla_raft_store::Group;
use flotilla_shardkv::ShardKv;
use flotilla_shardkv::api::restore::{OpenRestore, PublishRestore, RestoreRows, RestoreState};
use flotilla_shardkv::api::{Answer, Query};
use flotilla_types::{GroupId, ShardId};
use futures::{Stream, StreamExt};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{propose_refusal, read_refusal};
use crate::migration::dumper;
use crate::migration::restore;
use crate::replicas::{Replicas, chain};

/// The service.
pub struct Restores {
    /// The replicas of this node.
    pub replicas: Replicas,
}

#[tonic::async_trait]
impl RestoreService for Restores {
    type RunStream = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<Self::RunStream>, Status> {
        let progress = restore::start(self.replicas.clone(), request.into_inner());
        Ok(Response::new(Box::pin(ReceiverStream::new(progress).map(Ok))))
    }

    async fn step(&self, request: Request<StepRequest>) -> Result<Response<StepResponse>, Status> {
        let request = request.into_inner();
        let Some(group) = self.replicas.shards(GroupId(request.gid)) else {
            let message = "this node hosts no replica of the group: ask another";
            return Ok(Response::new(refused(Reply::refused(Code::WrongLeader, message))));
        };
        Ok(Response::new(take(&group, request).await.unwrap_or_else(refused)))
    }
}

async fn take(group: &Group<ShardKv>, request: StepRequest) -> Result<StepResponse, Reply> {
    let restore = request.restore;
    let Some(step) = request.step else {
        return Err(Reply::refused(Code::Invalid, "a request without a step"));
    };
    let kind = match step {
        Step::Place(place) => return locate(group, restore, place.file, ShardId(place.shard)).await,
        Step::Sum(_) => return sum(group).await,
        Step::Open(config) => command::Kind::OpenRestore(OpenRestore { restore, config }),
        Step::Publish(_) => command::Kind::PublishRestore(PublishRestore { restore }),
        Step::Rows(rows) => {
            if crc32c::crc32c(&rows) != request.crc32c {
                return Err(Reply::refused(
                    Code::Invalid,
                    "rows of a restore arrived damaged: send them again",
                ));
            }
            let rows = RestoreRows::decode(rows);
            let rows = rows.map_err(|error| Reply::refused(Code::Invalid, format!("rows: {error}")))?;
            command::Kind::RestoreRows(RestoreRows { restore, ..rows })
        }
    };
    let reply = match group.propose(Command { kind: Some(kind) }).await {
        Ok(response) => response.reply.unwrap_or_default(),
        Err(error) => propose_refusal(group.id().gid, error),
    };
    if reply.code() == Code::Ok { Ok(StepResponse::default()) } else { Err(reply) }
}

async fn locate(
    group: &Group<ShardKv>,
    restore: u64,
    file: u32,
    shard: ShardId,
) -> Result<StepResponse, Reply> {
    let answer = group.read(Query::Restore { restore, file, shard }).await;
    match answer.map_err(|error| read_refusal(group.id().gid, error))? {
        Answer::Restore(RestoreState::Published) => {
            Ok(StepResponse { published: true, ..StepResponse::default() })
        }
        Answer::Restore(RestoreState::Open { pieces, whole }) => {
            Ok(StepResponse { pieces, whole, ..StepResponse::default() })
        }
        _ => Err(Reply::refused(Code::OutDated, "this restore is not open here")),
    }
}

// A linearizable read first: what is pinned after it holds all that was committed before.
async fn sum(group: &Group<ShardKv>) -> Result<StepResponse, Reply> {
    let gid = group.id().gid;
    group.read(Query::Status).await.map_err(|error| read_refusal(gid, error))?;
    let group = group.clone();
    let sums = dumper::blocking(move || {
        let failed = |error: &dyn std::error::Error| Reply::refused(Code::NotReady, chain(error));
        let pin = group.pin().map_err(|error| failed(&error))?;
        pin.read(|machine, rows| {
            let mut sums = Sums::default();
            for exported in machine.exports() {
                for row in machine.export(rows, exported.shard, b"", b"") {
                    let row = row.map_err(|error| failed(&error))?;
                    sums.add_row(dumper::borrowed(&row));
                }
            }
            Ok::<_, Reply>(sums)
        })
    });
    let sums = bytes::Bytes::copy_from_slice(&sums.await?.to_bytes());
    Ok(StepResponse { sums, ..StepResponse::default() })
}

fn refused(reply: Reply) -> StepResponse {
    StepResponse { code: reply.code, hint: reply.hint, message: reply.message, ..StepResponse::default() }
}
