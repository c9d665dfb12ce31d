//! The truth about a group's shards.

use flotilla_types::ShardId;

use crate::api::{GroupStatus, MoveStatus, ShardStatus, TransferPhase};
use crate::kv::ShardKv;
use crate::state::{Phase, Pulling, ShardState};

impl ShardKv {
    pub(crate) fn status(&self) -> GroupStatus {
        let present = self.shards.iter().filter(|(_, state)| state.phase.is_some());
        GroupStatus {
            config: self.config().get(),
            settled: self.settled().get(),
            shards: present.map(|(shard, state)| self.shard_status(shard, state)).collect(),
            debts: self.debts.len() as u64,
            freezes: self.frozen(),
        }
    }

    fn shard_status(&self, shard: ShardId, state: &ShardState) -> ShardStatus {
        ShardStatus {
            shard: shard.get(),
            phase: self.phase(shard).into(),
            config: self.at(shard).get(),
            keys: state.keys,
            bytes: state.bytes,
            sessions: state.sessions,
            version: state.counter,
            moving: move_status(state),
        }
    }
}

fn move_status(state: &ShardState) -> Option<MoveStatus> {
    match &state.phase {
        Some(Phase::Pulling(moving)) => Some(MoveStatus {
            peer: moving.from,
            config: state.acquired,
            bytes_done: moving.bytes_done,
            bytes_remaining: moving.bytes_remaining,
            step: step(moving).to_owned(),
        }),
        Some(Phase::BePulling(moving)) => Some(MoveStatus {
            peer: moving.to,
            config: moving.config,
            step: if moving.sealed { "sealed" } else { "copying" }.to_owned(),
            ..MoveStatus::default()
        }),
        Some(Phase::Serving(_)) | None => None,
    }
}

fn step(moving: &Pulling) -> &'static str {
    match moving.cursor.as_ref().map(|cursor| cursor.phase()) {
        None | Some(TransferPhase::Rows) => "rows",
        Some(TransferPhase::Sessions) => "sessions",
        Some(TransferPhase::Delta) => "delta",
    }
}
