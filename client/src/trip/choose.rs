//! Choosing whom to ask.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Place, Trip};
use crate::controller;
use crate::error::ClientError;
use crate::failure::FailureKind;

/// How long any attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(8);
/// How long finding out about a shard's earlier owner may take.
const WALK: Duration = Duration::from_secs(1);

impl Trip<'_> {
    /// Sleeps as long as the last verdict asked for; none: out of time.
    pub(super) async fn wait(&mut self) -> Option<()> {
        let pause = std::mem::take(&mut self.pause);
        let stopping = self.shared.env.spawner.token();
        if !pause.is_zero() {
            let pause = pause.min(self.manner.deadline.saturating_duration_since(Instant::now()));
            if std::mem::take(&mut self.until_view) {
                let mut views = self.shared.topology.subscribe();
                // Over at the pause's end, or when there is something new to go by.
                let _ = timeout(pause, views.changed()).await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
        (Instant::now() < self.manner.deadline && !stopping.is_cancelled()).then_some(())
    }

    pub(super) fn gid(&self) -> Option<u64> {
        match self.manner.place {
            Place::Controller => Some(0),
            Place::Shard(shard) => self.gid.or_else(|| self.shared.topology.owner(shard)),
        }
    }

    /// Nobody owns the shard, as far as is known: before the first Join.
    pub(super) fn nobody(&mut self) {
        self.answered = true;
        self.last = match self.manner.place {
            Place::Shard(shard) => format!("shard {shard} belongs to no group yet: join a group first"),
            Place::Controller => String::new(),
        };
        self.shared.topology.stale.notify_one();
        self.end_round(Duration::ZERO);
        self.until_view = true;
    }

    /// Somebody of the group who was not asked in this round.
    pub(super) fn pick(&mut self, gid: u64) -> Option<Arc<str>> {
        let fresh = |address: &Arc<str>| !self.asked.iter().any(|it| it.gid == gid && it.address == *address);
        if let Some(address) = self.preferred.take().filter(fresh) {
            return Some(address);
        }
        let topology = &self.shared.topology;
        if let Some(leader) = topology.leader(gid).filter(fresh)
            && !self.manner.any_replica
        {
            return Some(leader);
        }
        let mut candidates = topology.candidates(gid);
        if candidates.is_empty() {
            self.last = format!("group {gid} is not in the directory yet");
            topology.stale.notify_one();
            return None;
        }
        let count = candidates.len();
        candidates.rotate_left(self.rotation % count);
        candidates.into_iter().find(fresh)
    }

    pub(super) fn attempt_until(&self) -> Instant {
        let attempt = self.manner.attempt * 2u32.saturating_pow(self.rounds.min(8));
        self.manner.deadline.min(Instant::now() + attempt.min(ATTEMPT_MAX))
    }

    pub(super) fn end_round(&mut self, at_least: Duration) {
        self.pause = self.backoff.next(&*self.shared.env.random, at_least).max(Duration::from_micros(1));
        self.rounds += 1;
        self.rotation += 1;
        self.gid = None;
        self.preferred = None;
        self.asked.clear();
        self.denied.clear();
    }

    /// Nobody of `gid` had anything to say about the shard. If the configuration gives it to another group, then that one
    /// is asked from now on: `gid` may have left for good.
    pub(super) fn forget_detour(&self, gid: u64) {
        let useful = self.asked.iter().any(|asked| asked.gid == gid && asked.useful);
        if let Place::Shard(shard) = self.manner.place
            && !useful
        {
            self.shared.topology.serves_not(shard, gid);
        }
    }

    /// Who owned the shard before `gid` did, if `gid` has nothing to say: unless that owner has sealed the shard, it serves
    /// on. Tried only after a pause or two, so that an ordinary election does not set everybody walking.
    pub(super) async fn earlier_owner(&mut self, gid: u64) -> Option<u64> {
        let Place::Shard(shard) = self.manner.place else { return None };
        let of_gid = || self.asked.iter().filter(|asked| asked.gid == gid);
        let silent = of_gid().all(|asked| asked.failed.is_some());
        let patience = if silent { 1 } else { 3 };
        if self.rounds < patience || of_gid().any(|asked| asked.useful) {
            return None;
        }
        let below = self.walked_to.unwrap_or_else(|| self.shared.topology.view().config.num);
        let deadline = self.manner.deadline.min(Instant::now() + WALK);
        let not = |gid: u64| self.asked.iter().any(|asked| asked.gid == gid) || self.denied.contains(&gid);
        // Boxed: asking the controller is a call like this one.
        let walk = controller::earlier_owner(self.shared, shard, below, deadline);
        let found = Box::pin(walk).await;
        self.walked_to = found.map(|(num, _)| num);
        found.map(|(_, owner)| owner).filter(|owner| !not(*owner))
    }

    /// Everybody asked is of another cluster or no node at all: time will not help. Asked once more to be sure; replicas
    /// a few times, since a newer directory may know where they are.
    pub(super) fn is_hopeless(&self) -> bool {
        let patience = if self.manner.place == Place::Controller { 1 } else { 5 };
        let hopeless = |kind| matches!(kind, FailureKind::WrongCluster | FailureKind::NotFlotilla);
        self.rounds >= patience
            && !self.asked.is_empty()
            && self.asked.iter().all(|asked| asked.failed.is_some_and(hopeless))
    }

    pub(super) fn hopeless(self) -> ClientError {
        let Some(failure) = self.asked.first().and_then(|asked| self.tried.get(&asked.address)) else {
            return ClientError::Stopped;
        };
        let (endpoint, said) = (failure.endpoint.to_string(), failure.detail.clone());
        match failure.kind {
            FailureKind::WrongCluster => ClientError::WrongCluster { endpoint, said },
            _ => ClientError::NotFlotilla { endpoint, said },
        }
    }
}
