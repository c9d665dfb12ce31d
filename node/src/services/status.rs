//! `GetStatus`: the truth about this node's replicas, each from one moment of its applied state.

use flotilla_proto::kv_v1::{GetDigestResponse, GetStatusResponse, GroupStatus, MemberStatus, ReplicaStatus};
use flotilla_raft_store::{Group, ReplicaId, Role};
use flotilla_shardkv::api::{Answer, Query};
use flotilla_types::{GroupId, Machine};
use tonic::Status;

use crate::hosted::Hosted;
use crate::process;
use crate::replicas::Replicas;

/// Everything about this node; with `gid`, only that group's replica.
pub fn node(replicas: &Replicas, gid: Option<u64>) -> GetStatusResponse {
    GetStatusResponse {
        memory_bytes: process::memory_bytes(),
        storage_bytes: replicas.node().store.directory_bytes(),
        ..report(replicas, gid)
    }
}

/// The same without what the operating system would have to be asked.
pub fn report(replicas: &Replicas, gid: Option<u64>) -> GetStatusResponse {
    let node = replicas.node();
    let known = node.topology.now();
    let mut problems = replicas.problems();
    let all = replicas.openings().into_iter().filter(|(id, ..)| gid.is_none_or(|gid| id.gid.get() == gid));
    let mut statuses: Vec<ReplicaStatus> = all
        .map(|(id, hosted, opening)| {
            let problem = problems.remove(&id.gid).unwrap_or_default();
            ReplicaStatus { opening, ..replica(replicas, id, &hosted, problem) }
        })
        .collect();
    let unopened = problems.into_iter().filter(|(problem, _)| gid.is_none_or(|gid| problem.get() == gid));
    statuses.extend(unopened.map(|(gid, problem)| stopped(gid, problem)));
    GetStatusResponse {
        cluster: node.options.cluster.to_string(),
        node: node.options.node.get(),
        address: node.address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        disk: node.store.identity().disk.get(),
        uptime_ms: process::uptime_ms(node.started),
        replicas: statuses,
        config: known.config.num,
        revision: known.directory.revision,
        ..GetStatusResponse::default()
    }
}

fn stopped(gid: GroupId, problem: String) -> ReplicaStatus {
    ReplicaStatus { gid: gid.get(), role: "stopped".to_owned(), problem, ..ReplicaStatus::default() }
}

fn replica(replicas: &Replicas, id: ReplicaId, hosted: &Hosted, problem: String) -> ReplicaStatus {
    let mut status = match hosted {
        Hosted::Controller(group) => raft(group, id),
        Hosted::Shards(group) => {
            let shards = group.read_local(Query::Status);
            let group_status: Option<GroupStatus> = match shards {
                Ok(Answer::Status(status)) => Some(status),
                _ => None,
            };
            let moves = if group.is_leader() { replicas.node().moves.of(id.gid) } else { Vec::new() };
            ReplicaStatus { group: group_status, moves, ..raft(group, id) }
        }
    };
    if !problem.is_empty() {
        "stopped".clone_into(&mut status.role);
        status.problem = problem;
    }
    status
}

fn raft<M: Machine>(group: &Group<M>, id: ReplicaId) -> ReplicaStatus {
    let raft = group.status();
    let member = |voter: bool| {
        move |(member, peer): (&flotilla_types::MemberId, &flotilla_raft_store::Peer)| MemberStatus {
            member: member.get(),
            node: peer.node.get(),
            address: peer.address.clone(),
            voter,
        }
    };
    let voters = raft.members.voters.iter().map(member(true));
    let learners = raft.members.learners.iter().map(member(false));
    let (leader_member, leader_node) =
        raft.progress.leader.as_ref().map_or((0, 0), |(member, peer)| (member.get(), peer.node.get()));
    ReplicaStatus {
        gid: id.gid.get(),
        incarnation: id.incarnation.get(),
        member: id.member.get(),
        role: role_name(raft.progress.role).to_owned(),
        term: raft.progress.term,
        leader_member,
        leader_node,
        applied: raft.progress.applied.unwrap_or(0),
        committed: raft.progress.committed.unwrap_or(0),
        last_log: raft.last_log.unwrap_or(0),
        snapshot: raft.snapshot.unwrap_or(0),
        purged: raft.purged.unwrap_or(0),
        storage_bytes: raft.data_bytes,
        members: voters.chain(learners).collect(),
        ..ReplicaStatus::default()
    }
}

/// A role, as `GetStatus` names it.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Starting => "starting",
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}

/// A digest of the local replica's rows, with the applied index it belongs to.
pub fn digest(replicas: &Replicas, gid: GroupId) -> Result<GetDigestResponse, Status> {
    let failed = |error: flotilla_raft_store::ReadError| Status::unavailable(error.to_string());
    if let Some(group) = replicas.shards(gid) {
        let (applied, answer) = group.read_local_at(Query::Digest).map_err(failed)?;
        if let Answer::Digest(digest) = answer {
            return Ok(GetDigestResponse { found: true, applied, digest });
        }
    }
    if gid == GroupId::CONTROLLER
        && let Some(group) = replicas.controller()
    {
        let query = flotilla_shardctrler::Query::Digest;
        let (applied, answer) = group.read_local_at(query).map_err(failed)?;
        if let flotilla_shardctrler::Answer::Digest(digest) = answer {
            return Ok(GetDigestResponse { found: true, applied, digest });
        }
    }
    Ok(GetDigestResponse::default())
}
