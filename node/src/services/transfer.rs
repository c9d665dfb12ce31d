//! What the new owner of a shard asks the old one: the next piece of its rows, and to delete them in the end.

use flotilla_proto::faults::mark;
use flotilla_proto::kv_v1::{
    Code, Command, DeleteShardsDataRequest, DeleteShardsDataResponse, GetShardsDataRequest,
    GetShardsDataResponse, Reply, TransferAnswer, command,
};
use flotilla_raft_store::Group;
use flotilla_shardkv::ShardKv;
use flotilla_shardkv::api::{Answer, Query};
use flotilla_types::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use flotilla_types::{ConfigNum, GroupId, ShardId, Wire};

use super::commands::Commands;
use super::{leader_hint, propose_refusal};

impl Commands {
    /// The next piece. Any replica that has applied the adoption answers from what it has applied; the seal is the leader's.
    pub async fn get_shards_data(&self, request: &GetShardsDataRequest) -> GetShardsDataResponse {
        let gid = GroupId(request.gid);
        let Some(group) = self.replicas().shards(gid) else {
            return refused(Code::NotReady, "this node hosts no replica of the group");
        };
        let first = transfer(&group, request);
        let answer = match first {
            Some(TransferAnswer::SealFirst) => match self.seal(&group, request).await {
                Ok(()) => transfer(&group, request),
                Err(reply) => return from_reply(reply),
            },
            answer => answer,
        };
        match answer {
            Some(TransferAnswer::Chunk(chunk)) => {
                let chunk = chunk.to_bytes();
                let crc32c = crc32c::crc32c(&chunk);
                GetShardsDataResponse { chunk, crc32c, ..GetShardsDataResponse::default() }
            }
            Some(TransferAnswer::OutDated) => {
                self.seen(mark::STALE_CONFIG_REFUSED);
                refused(Code::OutDated, "the move is over here")
            }
            Some(TransferAnswer::NotReady) => refused(Code::NotReady, "not at that configuration yet"),
            Some(TransferAnswer::SealFirst) => refused(Code::NotReady, "the seal is not applied here yet"),
            None => refused(Code::NotReady, "the replica cannot read"),
        }
    }

    async fn seal(&self, group: &Group<ShardKv>, request: &GetShardsDataRequest) -> Result<(), Reply> {
        let seal = command::Seal {
            shard: request.shard,
            config: request.config,
            cursor: request.cursor.clone(),
            now_ms: group.stamp().await,
        };
        self.commit(group, command::Kind::Seal(seal)).await.inspect(|()| self.seen(mark::MOVE_SEALED))
    }

    /// The old owner deletes; repeats answer as the first time.
    pub async fn delete_shards_data(&self, request: &DeleteShardsDataRequest) -> DeleteShardsDataResponse {
        let Some(group) = self.replicas().shards(GroupId(request.gid)) else {
            let message = "this node hosts no replica of the group".to_owned();
            return DeleteShardsDataResponse { code: Code::NotReady.into(), hint: None, message };
        };
        let at = command::AtConfig { shard: request.shard, config: request.config };
        match self.commit(&group, command::Kind::DeleteShards(at)).await {
            Ok(()) => {
                self.seen(mark::MOVE_DELETED);
                DeleteShardsDataResponse::default()
            }
            Err(reply) => {
                DeleteShardsDataResponse { code: reply.code, hint: reply.hint, message: reply.message }
            }
        }
    }

    async fn commit(&self, group: &Group<ShardKv>, kind: command::Kind) -> Result<(), Reply> {
        let response = group.propose(Command { kind: Some(kind) }).await;
        let reply = match response {
            Ok(response) => response.reply.unwrap_or_default(),
            Err(error) => propose_refusal(group.id().gid, error),
        };
        if reply.code() == Code::Ok { Ok(()) } else { Err(reply) }
    }
}

fn transfer(group: &Group<ShardKv>, request: &GetShardsDataRequest) -> Option<TransferAnswer> {
    let asked = usize::try_from(request.bytes_max).unwrap_or(usize::MAX);
    let query = Query::Transfer {
        shard: ShardId(request.shard),
        config: ConfigNum(request.config),
        cursor: request.cursor.clone(),
        seal: request.seal,
        bytes_max: if asked == 0 { CHUNK_BYTES } else { asked.min(MESSAGE_BYTES_MAX / 4) },
    };
    match group.read_local(query) {
        Ok(Answer::Transfer(answer)) => Some(answer),
        _ => None,
    }
}

fn refused(code: Code, message: &str) -> GetShardsDataResponse {
    GetShardsDataResponse {
        code: code.into(),
        message: message.to_owned(),
        ..GetShardsDataResponse::default()
    }
}

fn from_reply(reply: Reply) -> GetShardsDataResponse {
    let hint = reply.hint.or_else(|| Some(leader_hint(GroupId(reply.gid), None)));
    GetShardsDataResponse {
        code: reply.code,
        hint,
        message: reply.message,
        ..GetShardsDataResponse::default()
    }
}
