//! `FreezeService`: makes a group read-only for the owner of a cloud migration, and lets it go again.

use flotilla_proto::freeze_v1::freeze_request::Step;
use flotilla_proto::freeze_v1::freeze_service_server::FreezeService;
use flotilla_proto::freeze_v1::{FreezeRequest, FreezeResponse};
use flotilla_proto::kv_v1::{Code, Command, Reply, command};
use flotilla_raft_store::Group;
use flotilla_shardkv::ShardKv;
use flotilla_shardkv::api::freeze::Freeze;
use flotilla_shardkv::api::{Answer, Query};
use flotilla_types::GroupId;
use tonic::{Request, Response, Status};

use super::{propose_refusal, read_refusal};
use crate::replicas::Replicas;

/// The service.
pub struct Freezes {
    /// The replicas of this node.
    pub replicas: Replicas,
}

#[tonic::async_trait]
impl FreezeService for Freezes {
    async fn step(&self, request: Request<FreezeRequest>) -> Result<Response<FreezeResponse>, Status> {
        let FreezeRequest { gid, step } = request.into_inner();
        let Some(group) = self.replicas.shards(GroupId(gid)) else {
            let message = "this node hosts no replica of the group: ask another";
            return Ok(Response::new(refused(Reply::refused(Code::WrongLeader, message))));
        };
        let Some(step) = step else {
            return Ok(Response::new(refused(Reply::refused(Code::Invalid, "a request without a step"))));
        };
        Ok(Response::new(self.take(&group, step).await.unwrap_or_else(refused)))
    }
}

impl Freezes {
    async fn take(&self, group: &Group<ShardKv>, step: Step) -> Result<FreezeResponse, Reply> {
        let (freeze, kind) = match step {
            Step::Freeze(freeze) => {
                let now_ms = group.stamp().await;
                (freeze.freeze, Some(command::Kind::Freeze(Freeze { now_ms, ..freeze })))
            }
            Step::Thaw(thaw) => (thaw.freeze, Some(command::Kind::Thaw(thaw))),
            Step::Renew(renew) => (renew.freeze, Some(command::Kind::RenewFreeze(renew))),
            Step::Prove(freeze) => (freeze, None),
        };
        if let Some(kind) = kind {
            commit(group, kind).await?;
        }
        prove(group, freeze).await
    }
}

async fn commit(group: &Group<ShardKv>, kind: command::Kind) -> Result<(), Reply> {
    let reply = match group.propose(Command { kind: Some(kind) }).await {
        Ok(response) => response.reply.unwrap_or_default(),
        Err(error) => propose_refusal(group.id().gid, error),
    };
    if reply.code() == Code::Ok { Ok(()) } else { Err(reply) }
}

// What is true now, and at which index: what this replica has applied when it is asked is at least as new.
async fn prove(group: &Group<ShardKv>, freeze: u64) -> Result<FreezeResponse, Reply> {
    let refusal = |error| read_refusal(group.id().gid, error);
    group.read(Query::Freeze(freeze)).await.map_err(refusal)?;
    let (index, answer) = group.read_local_at(Query::Freeze(freeze)).map_err(refusal)?;
    let Answer::Freeze(proof) = answer else {
        return Err(Reply::refused(Code::NotReady, "the replica does not say: ask again"));
    };
    let term = group.watch().borrow().term;
    Ok(FreezeResponse { proof, index, term, ..FreezeResponse::default() })
}

fn refused(reply: Reply) -> FreezeResponse {
    FreezeResponse { code: reply.code, hint: reply.hint, message: reply.message, ..FreezeResponse::default() }
}
