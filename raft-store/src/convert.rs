//! openraft's types and their protobuf form, on disk and on the wire.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_proto::raft_v1 as pb;
use flotilla_types::{ClusterId, MemberId};
use openraft::raft::{StreamAppendError, StreamAppendResult};

use crate::ids::{Peer, ReplicaId};
use crate::raft_types::{
    C, Commands, Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, Vote,
};

type LeaderId = openraft::alias::LeaderIdOf<C>;
type CommittedLeaderId = openraft::alias::CommittedLeaderIdOf<C>;

/// A message that lacks a field or contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("malformed raft message: {0}")]
pub(crate) struct Malformed(pub String);

pub(crate) fn need<T>(field: Option<T>, name: &str) -> Result<T, Malformed> {
    field.ok_or_else(|| Malformed(format!("{name} is missing")))
}

/// Who speaks to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub cluster: ClusterId,
    pub to: ReplicaId,
    pub from: MemberId,
}

impl From<Route> for pb::Route {
    fn from(route: Route) -> Self {
        Self {
            cluster_high: (route.cluster.0 >> 64) as u64,
            cluster_low: route.cluster.0 as u64,
            gid: route.to.gid.get(),
            incarnation: route.to.incarnation.get(),
            from_member: route.from.get(),
            to_member: route.to.member.get(),
        }
    }
}

impl From<pb::Route> for Route {
    fn from(route: pb::Route) -> Self {
        Self {
            cluster: ClusterId(u128::from(route.cluster_high) << 64 | u128::from(route.cluster_low)),
            to: ReplicaId {
                gid: route.gid.into(),
                incarnation: route.incarnation.into(),
                member: route.to_member.into(),
            },
            from: route.from_member.into(),
        }
    }
}

pub(crate) fn log_id(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn log_id_from(id: &pb::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term), id.index)
}

pub(crate) fn vote(vote: &Vote) -> pb::Vote {
    pb::Vote { term: vote.leader_id.term, member: vote.leader_id.voted_for.get(), committed: vote.committed }
}

pub(crate) fn vote_from(vote: &pb::Vote) -> Vote {
    let leader_id = LeaderId { term: vote.term, voted_for: MemberId(vote.member) };
    Vote { leader_id, committed: vote.committed }
}

fn membership(membership: &Membership) -> pb::Membership {
    let ids = |set: &BTreeSet<MemberId>| pb::MemberSet { members: set.iter().map(|id| id.get()).collect() };
    let member = |(id, peer): (&MemberId, &Peer)| pb::Member {
        member: id.get(),
        peer: Some(pb::Peer { node: peer.node.get(), address: peer.address.clone() }),
    };
    pb::Membership {
        configs: membership.get_joint_config().iter().map(ids).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

fn membership_from(membership: pb::Membership) -> Result<Membership, Malformed> {
    if membership.configs.is_empty() && membership.members.is_empty() {
        return Ok(Membership::default());
    }
    let ids = |set: pb::MemberSet| set.members.into_iter().map(MemberId).collect::<BTreeSet<_>>();
    let mut nodes = BTreeMap::new();
    for member in membership.members {
        let peer = need(member.peer, "a member's peer")?;
        nodes.insert(MemberId(member.member), Peer { node: peer.node.into(), address: peer.address });
    }
    Membership::new(membership.configs.into_iter().map(ids).collect(), nodes)
        .map_err(|error| Malformed(error.to_string()))
}

pub(crate) fn stored_membership(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

pub(crate) fn stored_membership_from(stored: pb::StoredMembership) -> Result<StoredMembership, Malformed> {
    let members = membership_from(stored.membership.unwrap_or_default())?;
    Ok(StoredMembership::new(stored.log_id.as_ref().map(log_id_from), members))
}

pub(crate) fn entry(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        Payload::Blank => pb::entry::Payload::Blank(pb::Blank {}),
        Payload::Normal(commands) => pb::entry::Payload::Commands(commands.0.clone()),
        Payload::Membership(members) => pb::entry::Payload::Membership(membership(members)),
    };
    pb::Entry { log_id: Some(log_id(&entry.log_id)), payload: Some(payload) }
}

pub(crate) fn entry_from(entry: pb::Entry) -> Result<Entry, Malformed> {
    let log_id = log_id_from(&need(entry.log_id, "an entry's log id")?);
    let payload = match need(entry.payload, "an entry's payload")? {
        pb::entry::Payload::Blank(_) => Payload::Blank,
        pb::entry::Payload::Commands(commands) => Payload::Normal(Commands(commands)),
        pb::entry::Payload::Membership(members) => Payload::Membership(membership_from(members)?),
    };
    Ok(Entry { log_id, payload })
}

pub(crate) fn append_from(
    request: pb::AppendRequest,
) -> Result<openraft::raft::AppendEntriesRequest<C>, Malformed> {
    let entries = request.entries.into_iter().map(entry_from).collect::<Result<Vec<Entry>, _>>()?;
    // After the greatest index there is, nothing can follow.
    let first = request.previous.as_ref().map_or(Some(0), |previous| previous.index.checked_add(1));
    let place = |nth: u64| first.and_then(|first| first.checked_add(nth));
    if let Some((_, entry)) = (0..).zip(&entries).find(|(nth, entry)| place(*nth) != Some(entry.log_id.index))
    {
        return Err(Malformed(format!("entry {} does not follow the one before it", entry.log_id.index)));
    }
    Ok(openraft::raft::AppendEntriesRequest {
        vote: vote_from(&need(request.vote, "the leader's vote")?),
        prev_log_id: request.previous.as_ref().map(log_id_from),
        entries,
        leader_commit: request.committed.as_ref().map(log_id_from),
    })
}

pub(crate) fn append(
    request: &openraft::raft::AppendEntriesRequest<C>,
    route: Option<Route>,
) -> pb::AppendRequest {
    pb::AppendRequest {
        route: route.map(pb::Route::from),
        vote: Some(vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.iter().map(entry).collect(),
        committed: request.leader_commit.as_ref().map(log_id),
    }
}

pub(crate) fn append_reply(result: &StreamAppendResult<C>, clock_ms: u64) -> pb::AppendReply {
    let result = match result {
        Ok(matched) => {
            pb::append_reply::Result::Matched(pb::Matched { log_id: matched.as_ref().map(log_id) })
        }
        Err(StreamAppendError::Conflict(id)) => pb::append_reply::Result::Conflict(log_id(id)),
        Err(StreamAppendError::HigherVote(higher)) => pb::append_reply::Result::HigherVote(vote(higher)),
    };
    pb::AppendReply { result: Some(result), clock_ms }
}

pub(crate) fn append_reply_from(reply: pb::AppendReply) -> Result<StreamAppendResult<C>, Malformed> {
    Ok(match need(reply.result, "an append's result")? {
        pb::append_reply::Result::Matched(matched) => Ok(matched.log_id.as_ref().map(log_id_from)),
        pb::append_reply::Result::Conflict(id) => Err(StreamAppendError::Conflict(log_id_from(&id))),
        pb::append_reply::Result::HigherVote(higher) => {
            Err(StreamAppendError::HigherVote(vote_from(&higher)))
        }
    })
}

pub(crate) fn snapshot_meta(meta: &SnapshotMeta) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last: meta.last_log_id.as_ref().map(log_id),
        membership: Some(stored_membership(&meta.last_membership)),
    }
}

pub(crate) fn snapshot_meta_from(meta: pb::SnapshotMeta) -> Result<SnapshotMeta, Malformed> {
    Ok(SnapshotMeta {
        last_log_id: meta.last.as_ref().map(log_id_from),
        last_membership: stored_membership_from(meta.membership.unwrap_or_default())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_entries_follow_one_another() {
        let request = |previous: Option<u64>, indexes: &[u64]| {
            let id = |index: u64| pb::LogId { term: 1, index };
            let blank = Some(pb::entry::Payload::Blank(pb::Blank {}));
            let entry = |index: &u64| pb::Entry { log_id: Some(id(*index)), payload: blank.clone() };
            append_from(pb::AppendRequest {
                vote: Some(pb::Vote::default()),
                previous: previous.map(id),
                entries: indexes.iter().map(entry).collect(),
                ..pb::AppendRequest::default()
            })
        };
        for (previous, indexes) in [(None, &[0, 1][..]), (Some(4), &[5, 6, 7]), (Some(4), &[])] {
            assert_eq!(request(previous, indexes).expect("no gap").entries.len(), indexes.len());
        }
        let last = u64::MAX;
        for (previous, indexes) in [
            (None, &[1][..]),
            (Some(4), &[6]),
            (Some(4), &[5, 7]),
            (Some(4), &[5, 5]),
            (Some(last), &[last]),
            (Some(last - 1), &[last, last]),
        ] {
            assert!(request(previous, indexes).is_err(), "{previous:?} {indexes:?}");
        }
    }
}
