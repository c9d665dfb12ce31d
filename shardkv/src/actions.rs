//! What the present state calls for, and what to record once it is done. Nothing is remembered from one look to the
//! next: what a performer needs is in committed state, so any leader goes on where the last one stopped.

use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId};

use crate::api::command::{AtConfig, Kind, Reported, Tick};
use crate::api::freeze::LapseFreeze;
use crate::api::{TransferAnswer, TransferCursor, TransferPhase};
use crate::kv::ShardKv;
use crate::state::{Phase, Pulling};

/// One piece of I/O.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Ask the controller for this configuration (also the poll: always wanted, always the last).
    FetchConfig {
        /// Its number.
        num: ConfigNum,
    },
    /// Ask the old owner for the next piece of a shard (`GetShardsData`).
    Pull {
        /// The shard.
        shard: ShardId,
        /// The configuration of the move.
        config: ConfigNum,
        /// The old owner.
        from: GroupId,
        /// Where the copy stands.
        cursor: TransferCursor,
        /// Little remains: ask for the seal and the last piece.
        seal: bool,
    },
    /// Tell the old owner to delete (`DeleteShardsData`).
    DeleteAtSource {
        /// The shard.
        shard: ShardId,
        /// The configuration of the move.
        config: ConfigNum,
        /// The old owner.
        from: GroupId,
    },
    /// Tell the controller how far this group is settled.
    Report {
        /// Up to here.
        settled: ConfigNum,
    },
    /// Look at the clock: some key's time may have come.
    Expire {
        /// The key's shard.
        shard: ShardId,
    },
    /// Wait as long as a freeze lasts without a renewal.
    AwaitFreeze {
        /// The freeze.
        freeze: u64,
        /// How often it has been renewed.
        beat: u64,
        /// How long to wait.
        lease_ms: u64,
    },
}

/// What performing an action gave.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// `FetchConfig`: that configuration, if there is one.
    Config(Option<ShardConfig>),
    /// `Pull`.
    Transfer(TransferAnswer),
    /// `DeleteAtSource`: it has deleted (now or before), or it is torn down.
    SourceDeleted,
    /// `Report`: the controller has committed it.
    Reported,
    /// `Expire`: the leader's clock, in milliseconds since 1970 UTC.
    Now(u64),
    /// `AwaitFreeze`: the time is over.
    Lapsed,
    /// It failed, or there is nothing to record.
    Nothing,
}

impl ShardKv {
    pub(crate) fn wanted(&self) -> Vec<Action> {
        if self.is_restoring() {
            return Vec::new();
        }
        if self.is_frozen() {
            // All else would be refused, and is found again after the thaw.
            let freezes = self.freezes.iter();
            return freezes
                .map(|(&freeze, row)| Action::AwaitFreeze { freeze, beat: row.beat, lease_ms: row.lease_ms })
                .collect();
        }
        let pulls = self.moving.iter().filter_map(|shard| self.pull(*shard));
        let debts =
            self.debts.iter().map(|(&(config, shard), &from)| Action::DeleteAtSource { shard, config, from });
        let expiring = self.expiring.iter().filter(|shard| self.state(**shard).serves());
        let mut actions: Vec<Action> = pulls.chain(debts).collect();
        actions.extend(expiring.map(|shard| Action::Expire { shard: *shard }));
        let settled = self.settled();
        if settled.get() > self.group.reported {
            actions.push(Action::Report { settled });
        }
        actions.push(Action::FetchConfig { num: self.next_config() });
        actions
    }

    fn pull(&self, shard: ShardId) -> Option<Action> {
        let state = self.state(shard);
        let Some(Phase::Pulling(pulling)) = &state.phase else { return None };
        Some(Action::Pull {
            shard,
            config: ConfigNum(state.acquired),
            from: GroupId(pulling.from),
            cursor: pulling.cursor.clone().unwrap_or_default(),
            seal: self.wants_seal(pulling),
        })
    }

    /// Whether so little remains that the old owner should stop, or it has been chased long enough.
    pub(crate) fn wants_seal(&self, pulling: &Pulling) -> bool {
        let limits = &self.options.limits;
        pulling.cursor.as_ref().is_some_and(|cursor| {
            cursor.phase() == TransferPhase::Delta
                && (pulling.bytes_remaining <= limits.seal_when_bytes
                    || cursor.rounds >= limits.delta_rounds_max)
        })
    }

    pub(crate) fn resolved(&self, action: &Action, outcome: Outcome) -> Option<Kind> {
        match (action, outcome) {
            (Action::FetchConfig { num }, Outcome::Config(Some(config))) => {
                (config.number() == *num).then_some(Kind::Adopt(config))
            }
            (Action::Pull { shard, config, .. }, Outcome::Transfer(TransferAnswer::Chunk(chunk))) => {
                let fits = chunk.shard == shard.get() && chunk.config == config.get();
                fits.then_some(Kind::InsertShards(chunk))
            }
            (Action::DeleteAtSource { shard, config, .. }, Outcome::SourceDeleted) => {
                Some(Kind::Acknowledge(AtConfig { shard: shard.get(), config: config.get() }))
            }
            (Action::Report { settled }, Outcome::Reported) => {
                Some(Kind::Reported(Reported { settled: settled.get() }))
            }
            (Action::Expire { shard }, Outcome::Now(now_ms)) => {
                let next = self.shards.get(*shard)?.next_expiry_ms;
                let due = next != 0 && next <= now_ms;
                due.then_some(Kind::Expire(Tick { shard: shard.get(), now_ms }))
            }
            (Action::AwaitFreeze { freeze, beat, .. }, Outcome::Lapsed) => {
                let due = self.freezes.get(freeze).is_some_and(|row| row.beat == *beat);
                due.then_some(Kind::LapseFreeze(LapseFreeze { freeze: *freeze, beat: *beat }))
            }
            _ => None,
        }
    }
}
