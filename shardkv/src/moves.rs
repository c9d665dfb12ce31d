//! The small steps of a move: seal, death, acknowledgement. Each acts only if the shard stands exactly where the
//! command says; where the shard is past that, the step was taken before, and the answer is *done*.

use std::sync::Arc;

use flotilla_types::{ConfigNum, ShardId, Txn};

use crate::api::command::{AtConfig, Reported, Seal};
use crate::api::{Code, Reply, TransferPhase};
use crate::kv::{ShardKv, done};
use crate::rows::RowKey;
use crate::state::{BePulling, GroupRow, Phase};

/// Where a shard stands, as its old owner sees it, relative to a move at some configuration.
pub(crate) enum Stand {
    /// It has not come to that move yet (or the move is not one that takes it from here).
    Before,
    /// In that move.
    Leaving(BePulling),
    /// Past it: the move is over here.
    After,
}

impl ShardKv {
    /// Where a shard stands relative to its move away at `config`.
    pub(crate) fn stand(&self, shard: ShardId, config: ConfigNum) -> Stand {
        let Some(state) = self.shards.get(shard) else { return Stand::Before };
        match (&state.phase, self.at(shard).cmp(&config)) {
            (_, std::cmp::Ordering::Less) => Stand::Before,
            (_, std::cmp::Ordering::Greater) => Stand::After,
            (Some(Phase::BePulling(moving)), _) => Stand::Leaving(*moving),
            (None, _) => Stand::After,
            (Some(Phase::Serving(_) | Phase::Pulling(_)), _) => Stand::Before,
        }
    }

    /// The old owner stops serving. Only in the delta phase: earlier, service would stop for the whole copy. Repeats are
    /// answered again, as the answer may have been lost.
    pub(crate) fn seal(&mut self, rows: &mut Txn<'_>, seal: Seal) -> Reply {
        let shard = ShardId(seal.shard);
        let moving = match self.stand(shard, ConfigNum(seal.config)) {
            Stand::Before => return not_ready(seal.shard, seal.config),
            Stand::After => {
                return Reply::refused(Code::OutDated, format!("move {}: it is over here", seal.config));
            }
            Stand::Leaving(moving) if moving.sealed => return done(),
            Stand::Leaving(moving) => moving,
        };
        if seal.cursor.is_none_or(|cursor| cursor.phase() != TransferPhase::Delta) {
            return Reply::refused(Code::NotReady, "a seal before the delta phase: copy the rows first");
        }
        let mut state = self.state(shard).clone();
        state.time_ms = state.time_ms.max(seal.now_ms);
        state.phase = Some(Phase::BePulling(BePulling { sealed: true, ..moving }));
        self.store(rows, shard, state);
        done()
    }

    /// The new owner has everything: this incarnation dies, in one row. What it leaves is garbage, swept elsewhere.
    pub(crate) fn delete_shards(&mut self, rows: &mut Txn<'_>, at: AtConfig) -> Reply {
        let (shard, config) = (ShardId(at.shard), ConfigNum(at.config));
        match self.stand(shard, config) {
            Stand::Before => not_ready(at.shard, at.config),
            // Done, and not refused: else the new owner would owe for ever when the first answer was lost.
            Stand::After => done(),
            Stand::Leaving(moving) if !moving.sealed => Reply::refused(
                Code::NotReady,
                format!("shard {shard}: not sealed, so nobody can have all of it"),
            ),
            Stand::Leaving(moving) => {
                let mut state = self.state(shard).clone();
                state.die(moving.to);
                self.store(rows, shard, state);
                let deaths = self.group.deaths.saturating_add(1);
                self.store_group(rows, GroupRow { deaths, ..self.group });
                self.advance(rows, shard, config);
                done()
            }
        }
    }

    /// The old owner has deleted: the debt is settled.
    pub(crate) fn acknowledge(&mut self, rows: &mut Txn<'_>, at: AtConfig) -> Reply {
        let (config, shard) = (ConfigNum(at.config), ShardId(at.shard));
        if self.debts.contains_key(&(config, shard)) {
            rows.delete(RowKey::Debt { config, shard }.encode());
            Arc::make_mut(&mut self.debts).remove(&(config, shard));
        }
        done()
    }

    /// The controller knows. Never more than is true.
    pub(crate) fn reported(&mut self, rows: &mut Txn<'_>, reported: Reported) -> Reply {
        let known = reported.settled.min(self.settled().get());
        if known > self.group.reported {
            self.store_group(rows, GroupRow { reported: known, ..self.group });
        }
        done()
    }
}

fn not_ready(shard: u32, config: u64) -> Reply {
    Reply::refused(Code::NotReady, format!("shard {shard}: not leaving here at configuration {config} (yet)"))
}
