//! Taking in answers.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::kv_v1::Hint;

use super::{Place, Target, Trip};
use crate::error::ClientError;
use crate::failure::Failure;

impl Trip<'_> {
    pub(super) fn succeeded(&self, target: &Target) {
        let topology = &self.shared.topology;
        if !self.manner.any_replica {
            topology.leads(target.gid, &target.address);
        }
        if let Place::Shard(shard) = self.manner.place {
            topology.serves(shard, target.gid);
        }
    }

    /// A refusal is definite only if no earlier attempt was lost: that one may still be carried out.
    pub(super) fn refusal(&self, refused: ClientError, operation: String) -> ClientError {
        if !self.uncertain {
            return refused;
        }
        ClientError::Unknown { operation, after: self.started.elapsed(), last: refused.to_string() }
    }

    pub(super) fn heard(&mut self, target: &Target, why: String, useful: bool) {
        self.answered = true;
        self.tried.remove(&target.address);
        self.last = format!("{}: {why}", target.address);
        if let Some(asked) = self.asked.last_mut() {
            asked.useful = useful;
        }
    }

    pub(super) fn wrong_leader(&mut self, target: &Target, hint: &Hint, why: String) {
        self.heard(target, why, false);
        let topology = &self.shared.topology;
        match self.address(hint) {
            Some(leader) if leader != target.address => {
                topology.leads(target.gid, &leader);
                self.preferred = Some(leader);
            }
            _ => topology.leads_not(target.gid, &target.address),
        }
    }

    pub(super) fn wrong_group(&mut self, target: &Target, hint: &Hint, config: u64, why: String) {
        self.heard(target, why, true);
        let Place::Shard(shard) = self.manner.place else { return };
        let topology = &self.shared.topology;
        topology.serves_not(shard, target.gid);
        if hint.gid == 0 || config > topology.view().config.num {
            topology.stale.notify_one();
        }
        self.denied.push(target.gid);
        let next = if hint.gid != 0 { Some(hint.gid) } else { topology.owner(shard) };
        match next.filter(|gid| !self.denied.contains(gid)) {
            Some(gid) => {
                topology.serves(shard, gid);
                self.preferred = self.address(hint);
                self.gid = Some(gid);
            }
            // They name each other, or nobody: something is on its way.
            None => {
                self.end_round(Duration::ZERO);
                self.until_view = hint.gid == 0;
            }
        }
    }

    pub(super) fn failed(&mut self, target: &Target, failure: Failure) {
        self.uncertain |= failure.sent && self.manner.writes;
        self.last = failure.to_string();
        if let Some(asked) = self.asked.last_mut() {
            asked.failed = Some(failure.kind);
        }
        self.tried.insert(target.address.clone(), failure);
        let topology = &self.shared.topology;
        topology.leads_not(target.gid, &target.address);
        // It may live elsewhere by now.
        topology.stale.notify_one();
    }

    fn address(&self, hint: &Hint) -> Option<Arc<str>> {
        if hint.address.is_empty() {
            return self.shared.topology.view().address(hint.node);
        }
        Some(hint.address.as_str().into())
    }
}
