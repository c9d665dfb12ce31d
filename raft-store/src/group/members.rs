//! Changing who belongs to a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_proto::faults::mark;
use flotilla_types::{Machine, MemberId};
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};

use super::Group;
use super::progress::Role;
use super::propose::leader;
use crate::error::MemberError;
use crate::ids::Peer;
use crate::raft_types::{C, Membership};

/// Who belongs to a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// Those whose votes count. While members change, those of the old and of the new set.
    pub voters: BTreeMap<MemberId, Peer>,
    /// Those that only receive the log.
    pub learners: BTreeMap<MemberId, Peer>,
    /// Whether a change is under way.
    pub changing: bool,
}

impl Members {
    pub(crate) fn of(membership: &Membership) -> Self {
        let voters: BTreeSet<MemberId> = membership.voter_ids().collect();
        let all = membership.nodes().map(|(id, peer)| (*id, peer.clone()));
        let (voting, learning) = all.partition(|(id, _)| voters.contains(id));
        Self { voters: voting, learners: learning, changing: membership.get_joint_config().len() > 1 }
    }
}

impl<M: Machine> Group<M> {
    /// Who belongs to the group, as far as this replica knows. The newest members known count, committed or not.
    pub fn members(&self) -> Members {
        let metrics = self.raft().metrics();
        let membership = metrics.borrow_watched().membership_config.clone();
        Members::of(membership.membership())
    }

    /// Makes a new group of `members`, all of them voters. Exactly once in the group's life, under the controller's
    /// record; a replica whose log is not empty has been initialised and stays as it is.
    pub async fn initialize(&self, members: BTreeMap<MemberId, Peer>) -> Result<(), MemberError> {
        match self.raft().initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(MemberError::Refused(error.to_string())),
            Err(RaftError::Fatal(_)) => Err(MemberError::Stopped),
        }
    }

    /// Whether the replica has ever been part of a group.
    pub fn is_initialized(&self) -> bool {
        self.inner.log.bounds().last.is_some()
    }

    /// Adds a member that receives the log and does not vote. Does not wait until it has caught up: see
    /// [`Group::lag`].
    pub async fn add_learner(&self, member: MemberId, peer: Peer) -> Result<(), MemberError> {
        self.raft().add_learner(member, peer, false).await.map(drop).map_err(member_error)
    }

    /// Makes exactly `voters` the voters. New ones must be learners; those that are left out are removed.
    pub async fn change_members(&self, voters: BTreeSet<MemberId>) -> Result<(), MemberError> {
        let change = ChangeMembers::ReplaceAllVoters(voters);
        let changed = self.raft().change_membership(change, false).await.map(drop).map_err(member_error);
        changed.inspect(|()| self.inner.faults.seen(mark::REPLICA_REPLACED))
    }

    /// Removes members that do not vote.
    pub async fn remove_learners(&self, members: BTreeSet<MemberId>) -> Result<(), MemberError> {
        let change = ChangeMembers::RemoveNodes(members);
        self.raft().change_membership(change, true).await.map(drop).map_err(member_error)
    }

    /// Records another address for members that are there. Ids that are not members are refused: this must never
    /// add anyone.
    pub async fn move_peers(&self, peers: BTreeMap<MemberId, Peer>) -> Result<(), MemberError> {
        let members = self.members();
        let known = |id: &MemberId| members.voters.contains_key(id) || members.learners.contains_key(id);
        if let Some(unknown) = peers.keys().find(|id| !known(id)) {
            return Err(MemberError::Refused(format!("{unknown} is not a member")));
        }
        let change = ChangeMembers::SetNodes(peers);
        self.raft().change_membership(change, true).await.map(drop).map_err(member_error)
    }

    /// How many entries each other member is behind, if this replica leads; none for one that was not heard of.
    pub fn lag(&self) -> BTreeMap<MemberId, Option<u64>> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index.map_or(0, |index| index + 1);
        let Some(replication) = &metrics.replication else { return BTreeMap::new() };
        let behind = |matched: &Option<crate::raft_types::LogId>| {
            matched.as_ref().map(|id| last.saturating_sub(id.index + 1))
        };
        replication.iter().map(|(id, matched)| (*id, behind(matched))).collect()
    }

    /// Asks `member` to lead, and waits until this replica does not, or the time is up. Whether it worked; it has if
    /// `member` is this replica. Only voters can lead.
    pub async fn transfer_leader(&self, member: MemberId) -> Result<bool, MemberError> {
        let mut progress = self.watch();
        if progress.borrow().role != Role::Leader {
            let leader = progress.borrow().leader.clone();
            return Err(MemberError::NotLeader { leader });
        }
        if member == self.id().member {
            return Ok(true);
        }
        if !self.members().voters.contains_key(&member) {
            return Err(MemberError::Refused(format!("{member} is not a voter, it cannot lead")));
        }
        self.raft().trigger().transfer_leader(member).await.map_err(|_| MemberError::Stopped)?;
        let patience = Duration::from_millis(self.inner.timings.handover_ms_max);
        // The new leader is known once its first append has arrived.
        let taken = |now: &super::progress::Progress| {
            now.role != Role::Leader && now.leader.as_ref().is_some_and(|(id, _)| *id != self.id().member)
        };
        let handed_over = tokio::time::timeout(patience, progress.wait_for(taken)).await.is_ok();
        if handed_over {
            self.inner.faults.seen(mark::LEADER_HANDED_OVER);
        }
        Ok(handed_over)
    }

    /// Asks the voter that is least behind to lead, and waits as [`Group::transfer_leader`] does. Whether it worked;
    /// also if there is nobody else to lead.
    pub async fn hand_over(&self) -> Result<bool, MemberError> {
        match self.successor() {
            Some(successor) => self.transfer_leader(successor).await,
            None => Ok(true),
        }
    }

    /// The voter that is least behind, other than this replica.
    fn successor(&self) -> Option<MemberId> {
        let members = self.members();
        let lag = self.lag();
        let other = |id: &&MemberId| **id != self.id().member;
        let behind = |id: &&MemberId| lag.get(id).copied().flatten().unwrap_or(u64::MAX);
        members.voters.keys().filter(other).min_by_key(behind).copied()
    }
}

fn member_error(error: RaftError<C, ClientWriteError<C>>) -> MemberError {
    match error {
        RaftError::Fatal(_) => MemberError::Stopped,
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MemberError::NotLeader { leader: leader(forward) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            error @ ChangeMembershipError::InProgress(_),
        )) => MemberError::InProgress(error.to_string()),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            MemberError::Refused(error.to_string())
        }
        RaftError::APIError(error) => MemberError::Unknown(error.to_string()),
    }
}
