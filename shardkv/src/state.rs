//! The state of the group and of each shard, as stored and as mirrored in memory (they are one type).

use flotilla_types::planted::{self, Bug};
use flotilla_types::{ConfigNum, GroupId, ShardId};

use crate::api::{ShardPhase, TransferCursor};
use crate::rows::Home;

/// The group's own row.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct GroupRow {
    /// The newest configuration adopted.
    #[prost(uint64, tag = "1")]
    pub config: u64,
    /// The controller has been told that everything up to this one is settled.
    #[prost(uint64, tag = "2")]
    pub reported: u64,
    /// How many incarnations of shards have died here; moves the garbage mark.
    #[prost(uint64, tag = "3")]
    pub deaths: u64,
    /// No freeze with an id up to this one can begin any more.
    #[prost(uint64, tag = "4")]
    pub thawed: u64,
    /// How many freezes have ended here, ever.
    #[prost(uint64, tag = "5")]
    pub thaws: u64,
    /// The restore that is open; 0: none.
    #[prost(fixed64, tag = "6")]
    pub restoring: u64,
    /// The restore that was published here; 0: none.
    #[prost(fixed64, tag = "7")]
    pub restored: u64,
}

/// A freeze in force.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FreezeRow {
    /// The migration it is for.
    #[prost(uint64, tag = "1")]
    pub migration: u64,
    /// The configuration at which the group froze.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// How long it lasts without being renewed.
    #[prost(uint64, tag = "3")]
    pub lease_ms: u64,
    /// The leader's clock when it began.
    #[prost(uint64, tag = "4")]
    pub at_ms: u64,
    /// How often it has been renewed.
    #[prost(uint64, tag = "5")]
    pub beat: u64,
}

/// One shard of the group. All zero: absent, and never here.
///
/// Invariants: while not moving, the shard has processed every adopted configuration; `keys`, `bytes` and `sessions`
/// count the rows of [`ShardState::home`] exactly; `counter`, `time_ms` and `floor_ms` only grow.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ShardState {
    /// Where it stands; none: absent.
    #[prost(oneof = "Phase", tags = "1, 2, 3")]
    pub phase: Option<Phase>,
    /// The configuration at which the present rows were acquired.
    #[prost(uint64, tag = "4")]
    pub acquired: u64,
    /// The write counter: one step for each mutating operation.
    #[prost(uint64, tag = "5")]
    pub counter: u64,
    /// Replicated time, in milliseconds since 1970 UTC.
    #[prost(uint64, tag = "6")]
    pub time_ms: u64,
    /// The session floor: a session issued at or before it is gone.
    #[prost(uint64, tag = "7")]
    pub floor_ms: u64,
    /// Data rows.
    #[prost(uint64, tag = "8")]
    pub keys: u64,
    /// Bytes of their keys and values.
    #[prost(uint64, tag = "9")]
    pub bytes: u64,
    /// Session rows.
    #[prost(uint64, tag = "10")]
    pub sessions: u64,
    /// No session row has a lower age bucket: where eviction starts to look.
    #[prost(uint64, tag = "11")]
    pub oldest_bucket: u64,
    /// No key expires earlier; 0: none expires.
    #[prost(uint64, tag = "12")]
    pub next_expiry_ms: u64,
    /// Whom the shard was given to when it last left; 0: it has not, or it is back.
    #[prost(uint64, tag = "13")]
    pub handed_to: u64,
    /// While a dump is restored: what the replicated time becomes when that is published; else 0.
    #[prost(uint64, tag = "14")]
    pub restored_time_ms: u64,
}

/// Where a shard that is not absent stands.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Phase {
    /// Complete and serving. (Gcing is Serving with a debt at the configuration of acquisition.)
    #[prost(message, tag = "1")]
    Serving(Serving),
    /// On its way here.
    #[prost(message, tag = "2")]
    Pulling(Pulling),
    /// On its way to another group.
    #[prost(message, tag = "3")]
    BePulling(BePulling),
}

/// Complete and serving.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Serving {}

/// On its way here. (Its configuration is the one at which it is acquired.)
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Pulling {
    /// The old owner.
    #[prost(uint64, tag = "1")]
    pub from: u64,
    /// Where the copy stands; none: at the beginning.
    #[prost(message, optional, tag = "2")]
    pub cursor: Option<TransferCursor>,
    /// Bytes installed.
    #[prost(uint64, tag = "3")]
    pub bytes_done: u64,
    /// What the old owner said is still to come. In committed state, as the seal is decided from it.
    #[prost(uint64, tag = "4")]
    pub bytes_remaining: u64,
}

/// On its way to another group; serves until sealed.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BePulling {
    /// The configuration of the move.
    #[prost(uint64, tag = "1")]
    pub config: u64,
    /// The new owner.
    #[prost(uint64, tag = "2")]
    pub to: u64,
    /// Whether it has stopped serving. Nothing undoes it but the end of the move.
    #[prost(bool, tag = "3")]
    pub sealed: bool,
    /// The number of the last change row.
    #[prost(uint64, tag = "4")]
    pub changes: u64,
}

impl ShardState {
    /// Where its rows are.
    pub fn home(&self, shard: ShardId) -> Home {
        Home { shard, acquired: ConfigNum(self.acquired) }
    }

    /// Whether it takes reads and writes.
    pub fn serves(&self) -> bool {
        match &self.phase {
            Some(Phase::Serving(_)) => true,
            Some(Phase::BePulling(moving)) => !moving.sealed || planted::is(Bug::ServesAfterSeal),
            Some(Phase::Pulling(_)) | None => false,
        }
    }

    /// The configuration of its move, if it moves. A shard that does not has processed all there are.
    pub fn moving_at(&self) -> Option<ConfigNum> {
        match &self.phase {
            Some(Phase::Pulling(_)) => Some(ConfigNum(self.acquired)),
            Some(Phase::BePulling(moving)) => Some(ConfigNum(moving.config)),
            Some(Phase::Serving(_)) | None => None,
        }
    }

    /// The phase's name; a debt at the configuration of acquisition makes Serving Gcing.
    pub fn shard_phase(&self, owes: bool) -> ShardPhase {
        match &self.phase {
            None => ShardPhase::Absent,
            Some(Phase::Serving(_)) if owes => ShardPhase::Gcing,
            Some(Phase::Serving(_)) => ShardPhase::Serving,
            Some(Phase::Pulling(_)) => ShardPhase::Pulling,
            Some(Phase::BePulling(moving)) if moving.sealed => ShardPhase::Sealed,
            Some(Phase::BePulling(_)) => ShardPhase::BePulling,
        }
    }

    /// Absent or Serving -> BePulling.
    pub(crate) fn start_leaving(&mut self, config: ConfigNum, to: GroupId) {
        let moving = BePulling { config: config.get(), to: to.get(), sealed: false, changes: 0 };
        self.phase = Some(Phase::BePulling(moving));
    }

    /// Absent -> Pulling, under a new home without rows.
    pub(crate) fn start_coming(&mut self, config: ConfigNum, from: GroupId) {
        self.forget_rows();
        self.acquired = config.get();
        self.phase = Some(Phase::Pulling(Pulling { from: from.get(), ..Pulling::default() }));
    }

    /// Absent -> Serving, empty: nobody had it before.
    pub(crate) fn start_empty(&mut self, config: ConfigNum) {
        self.forget_rows();
        self.acquired = config.get();
        self.phase = Some(Phase::Serving(Serving {}));
    }

    /// BePulling -> Absent. The rows stay behind as garbage. Counter, time and floor stay, as they only grow.
    pub(crate) fn die(&mut self, to: u64) {
        self.forget_rows();
        self.phase = None;
        self.handed_to = to;
    }

    fn forget_rows(&mut self) {
        (self.keys, self.bytes, self.sessions) = (0, 0, 0);
        (self.oldest_bucket, self.next_expiry_ms) = (0, 0);
    }
}
