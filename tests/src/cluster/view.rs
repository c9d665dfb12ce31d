//! What every node says of itself at one moment, and what the tests want to know from that.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::kv_v1::{
    GetDigestRequest, GetStatusRequest, GetStatusResponse, GroupStatus, ReplicaStatus, ShardPhase,
    ShardStatus,
};
use flotilla_proto::net::Lane;
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use futures::future::join_all;
use tokio::time::timeout;

/// How long one node may take to say how it is: a paused one must not hold up the others.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

/// What the nodes that answered said, and why the others did not.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By node.
    pub nodes: BTreeMap<u64, GetStatusResponse>,
    /// By node.
    pub silent: BTreeMap<u64, String>,
}

/// One replica of a group, on its node.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The node.
    pub node: u64,
    /// The replica.
    pub replica: &'a ReplicaStatus,
}

impl View {
    /// Asks every node.
    pub async fn take(env: &Environment, addresses: &[(u64, String)]) -> Self {
        let asked = addresses.iter().map(async |(node, address)| (*node, ask(env, address).await));
        let mut view = Self::default();
        for (node, answer) in join_all(asked).await {
            match answer {
                Ok(status) => drop(view.nodes.insert(node, status)),
                Err(why) => drop(view.silent.insert(node, why)),
            }
        }
        view
    }

    /// Every replica of a group, on the nodes that answered.
    pub fn replicas(&self, gid: u64) -> impl Iterator<Item = Seen<'_>> {
        let all = self
            .nodes
            .iter()
            .flat_map(|(node, status)| status.replicas.iter().map(|replica| Seen { node: *node, replica }));
        all.filter(move |seen| seen.replica.gid == gid)
    }

    /// The leader of a group: of several that believe to be, the one of the greatest term.
    pub fn leader(&self, gid: u64) -> Option<Seen<'_>> {
        let leaders = self.replicas(gid).filter(|seen| seen.replica.role == "leader");
        leaders.max_by_key(|seen| (seen.replica.incarnation, seen.replica.term))
    }

    /// The nodes with replicas of a group that do not lead it.
    pub fn followers(&self, gid: u64) -> Vec<u64> {
        let leader = self.leader(gid).map(|seen| seen.node);
        self.replicas(gid).map(|seen| seen.node).filter(|node| Some(*node) != leader).collect()
    }

    /// A group as its leader knows it.
    pub fn group(&self, gid: u64) -> Option<&GroupStatus> {
        self.leader(gid)?.replica.group.as_ref()
    }

    /// One shard as a group's leader knows it; none also where it is simply absent.
    pub fn shard(&self, gid: u64, shard: u32) -> Option<&ShardStatus> {
        self.group(gid)?.shards.iter().find(|status| status.shard == shard)
    }

    /// Where a shard stands at a group's leader.
    pub fn phase(&self, gid: u64, shard: u32) -> ShardPhase {
        self.shard(gid, shard).map_or(ShardPhase::Absent, ShardStatus::phase)
    }

    /// A line for each replica, for people who wonder why a test fails.
    pub fn words(&self) -> String {
        let mut lines = Vec::new();
        for (node, status) in &self.nodes {
            lines.push(format!("node {node}: config {}, revision {}", status.config, status.revision));
            lines.extend(status.replicas.iter().map(replica_words));
        }
        lines.extend(self.silent.iter().map(|(node, why)| format!("node {node} is silent: {why}")));
        lines.join("\n")
    }
}

fn replica_words(replica: &ReplicaStatus) -> String {
    let ReplicaStatus { gid, member, role, term, applied, committed, leader_node, .. } = replica;
    let mut line = format!(
        "  group {gid} member {member}: {role} of term {term}, leader n{leader_node}, applied {applied} of {committed}"
    );
    if !replica.problem.is_empty() {
        line += &format!(", problem: {}", replica.problem);
    }
    if let Some(group) = &replica.group {
        line += &format!(", config {} settled {} debts {}:", group.config, group.settled, group.debts);
        for shard in &group.shards {
            line += &format!(" {}={:?}@{}", shard.shard, shard.phase(), shard.config);
        }
    }
    for progress in &replica.moves {
        if !progress.last_error.is_empty() {
            line += &format!("; shard {}: {}", progress.shard, progress.last_error);
        }
    }
    line
}

async fn ask(env: &Environment, address: &str) -> Result<GetStatusResponse, String> {
    let service = env.network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
    let mut node = ShardKvServiceClient::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    match timeout(QUESTION_TIMEOUT, node.get_status(GetStatusRequest { gid: None })).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned()),
        Err(_) => Err(format!("no answer within {QUESTION_TIMEOUT:?}")),
    }
}

/// The digest of one replica, with the index it is of.
pub async fn digest(env: &Environment, address: &str, gid: u64) -> Result<(u64, u64), String> {
    let service = env.network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
    let mut node = ShardKvServiceClient::new(service);
    match timeout(QUESTION_TIMEOUT * 5, node.get_digest(GetDigestRequest { gid })).await {
        Ok(Ok(answer)) if answer.get_ref().found => Ok((answer.get_ref().applied, answer.get_ref().digest)),
        Ok(Ok(_)) => Err(format!("{address} hosts no replica of group {gid}")),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
