//! Keeps a group's Raft membership what the directory says: the leader adds missing members as learners, lets them
//! catch up, and changes the voters in one joint step. And tells the controller, once, that the group exists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{Code, GroupRecord, Report};
use flotilla_proto::faults::site;
use flotilla_raft_store::{Group, MemberError, Members, Peer};
use flotilla_types::{GroupId, Machine, MemberId};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::replicas::{Local, peers_of};

/// How long to wait for news before looking again: a failed change is tried again after this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How many entries a learner may be behind when it is made a voter.
const LAG_MAX: u64 = 1000;

/// Runs until the group stops.
pub async fn keep<M: Machine>(group: Group<M>, node: Arc<Local>) {
    let mut known = node.topology.watch();
    let mut progress = group.watch();
    let mut role = None;
    loop {
        if group.is_leader() {
            look(&group, &node).await;
            if node.env.faults.fires(site::FORCED_HAND_OVER) {
                report(&group, group.hand_over().await.map(drop));
            }
        }
        // Only a change of role or of the directory matters here; applies do not.
        let news = async {
            loop {
                tokio::select! {
                    changed = known.changed() => return changed.is_ok(),
                    changed = progress.changed() => {
                        let now = Some(progress.borrow_and_update().role);
                        if changed.is_err() || role != now {
                            role = now;
                            return changed.is_ok();
                        }
                    }
                }
            }
        };
        if matches!(timeout(LOOK_INTERVAL, news).await, Ok(false)) {
            return;
        }
    }
}

async fn look<M: Machine>(group: &Group<M>, node: &Local) {
    let known = node.topology.now();
    let id = group.id();
    let same =
        |record: &&GroupRecord| (record.gid, record.incarnation) == (id.gid.get(), id.incarnation.get());
    let record = known.directory.groups.iter().find(same);
    let Some(record) = record else { return };
    if !record.initialised && id.gid != GroupId::CONTROLLER {
        announce(record, id.member, node).await;
    }
    let wanted = peers_of(record, &known);
    let whole = wanted.len() == record.replicas.len();
    let members = group.members();
    let voters: BTreeSet<MemberId> = members.voters.keys().copied().collect();
    if whole && voters != wanted.keys().copied().collect() {
        change(group, &wanted, &members).await;
    } else if whole && !members.changing {
        let left: BTreeSet<MemberId> = members.learners.keys().copied().collect();
        if !left.is_empty() {
            info!(replica = %group.id(), ?left, "learners that nobody wants are removed");
            report(group, group.remove_learners(left).await);
        }
        let moved = wanted.into_iter().filter(|(member, peer)| members.voters.get(member) != Some(peer));
        let moved: BTreeMap<MemberId, Peer> = moved.collect();
        if !moved.is_empty() {
            info!(replica = %group.id(), ?moved, "addresses change");
            report(group, group.move_peers(moved).await);
        }
    }
}

async fn change<M: Machine>(group: &Group<M>, wanted: &BTreeMap<MemberId, Peer>, present: &Members) {
    let known = |member| present.voters.contains_key(member) || present.learners.contains_key(member);
    let missing: Vec<_> = wanted.iter().filter(|(member, _)| !known(member)).collect();
    for (member, peer) in &missing {
        info!(replica = %group.id(), %member, %peer, "learner added");
        report(group, group.add_learner(**member, (*peer).clone()).await);
    }
    // Looked at again on the next round: a learner votes only once it has nearly caught up.
    let lag = group.lag();
    let fit = |member: &MemberId| {
        present.voters.contains_key(member)
            || lag.get(member).copied().flatten().is_some_and(|lag| lag <= LAG_MAX)
    };
    if missing.is_empty() && wanted.keys().all(fit) {
        info!(replica = %group.id(), ?wanted, "members change");
        report(group, group.change_members(wanted.keys().copied().collect()).await);
    }
}

fn report<M: Machine>(group: &Group<M>, result: Result<(), MemberError>) {
    match result {
        Ok(()) => {}
        Err(MemberError::NotLeader { .. } | MemberError::InProgress(_)) => {}
        Err(error) => warn!(replica = %group.id(), %error, "members not changed"),
    }
}

async fn announce(record: &GroupRecord, member: MemberId, node: &Local) {
    let report = Report {
        gid: record.gid,
        incarnation: record.incarnation,
        initialised: true,
        settled: record.settled,
        member: member.get(),
    };
    match node.controller.report(report).await {
        Ok(response) if response.code() == Code::Ok => {}
        Ok(response) => warn!(gid = record.gid, message = response.message, "report refused"),
        Err(status) => warn!(gid = record.gid, message = status.message(), "report not delivered"),
    }
}
