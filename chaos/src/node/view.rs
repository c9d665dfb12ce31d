//! What a node says of itself.

use std::time::Duration;

use flotilla_checker::record::{ReplicaView, ShardView};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::kv_v1::{
    GetDigestRequest, GetStatusRequest, GetStatusResponse, ReplicaStatus, ShardPhase, ShardStatus,
};
use flotilla_proto::net::Lane;
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use tokio::time::timeout;

/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// A digest reads every row.
const DIGEST_MAX: Duration = Duration::from_secs(20);

/// Asks a node how it is.
pub(crate) async fn ask(env: &Environment, address: &str) -> Result<GetStatusResponse, String> {
    let service = env.network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
    let mut node = ShardKvServiceClient::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    match timeout(ANSWER_MAX, node.get_status(GetStatusRequest { gid: None })).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err(format!("no answer within {ANSWER_MAX:?}")),
    }
}

/// Asks a node for the digest of its replica of a group: the applied index and the digest.
pub(crate) async fn digest(env: &Environment, address: &str, gid: u64) -> Result<(u64, u64), String> {
    let service = env.network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
    let mut node = ShardKvServiceClient::new(service);
    match timeout(DIGEST_MAX, node.get_digest(GetDigestRequest { gid })).await {
        Ok(Ok(answer)) => {
            let answer = answer.into_inner();
            let none = || format!("{address} has no replica of group {gid}");
            answer.found.then_some((answer.applied, answer.digest)).ok_or_else(none)
        }
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err(format!("no answer within {DIGEST_MAX:?}")),
    }
}

/// Whether a replica is only being opened: it does not know its own term and members yet, and its numbers are none.
pub(crate) fn is_opening(status: &ReplicaStatus) -> bool {
    status.role == "learner" && status.term == 0 && status.members.is_empty() && status.applied == 0
}

/// As it is written down. `config` is the newest configuration that the node has heard of.
pub(crate) fn replica(status: &ReplicaStatus, config: u64) -> ReplicaView {
    let group = status.group.as_ref();
    ReplicaView {
        gid: status.gid,
        incarnation: status.incarnation,
        member: status.member,
        role: status.role.clone(),
        term: status.term,
        applied: status.applied,
        committed: status.committed,
        opening: status.opening,
        snapshot: status.snapshot,
        voters: status.members.iter().filter(|member| member.voter).map(|member| member.member).collect(),
        digest: None,
        config: group.map_or(config, |group| group.config),
        shards: group.map(|group| group.shards.iter().map(shard).collect()).unwrap_or_default(),
        debts: group.map_or(0, |group| group.debts),
        problem: status.problem.clone(),
    }
}

fn shard(status: &ShardStatus) -> ShardView {
    let phase = match status.phase() {
        ShardPhase::Absent => "absent",
        ShardPhase::Serving => "serving",
        ShardPhase::Pulling => "pulling",
        ShardPhase::BePulling => "be_pulling",
        ShardPhase::Sealed => "sealed",
        ShardPhase::Gcing => "gcing",
    };
    ShardView {
        shard: status.shard,
        phase: phase.to_owned(),
        config: status.config,
        version: status.version,
        keys: status.keys,
        bytes: status.bytes,
    }
}
