//! What a group does for clients: writes, and the passing of replicated time.
//!
//! A handler looks first and copies the state only if it acts; `None` is a message without effect.

use super::data::KEYS;
use super::moves::Moves;
use super::omission::Omission;
use super::promise::token;
use super::schedule::Gid;
use super::shard::{Shard, bit};
use super::state::State;

impl Moves {
    /// A client's write at a group that serves: session row first, then the operation.
    pub(super) fn write(&self, state: &State, client: usize, seq: u8, gid: Gid) -> Option<State> {
        let op = self.schedule.scripts[client][usize::from(seq) - 1];
        let shard = state.shard(gid, op.shard);
        let lane = shard.data.lanes[client];
        if !self.takes_writes(shard) || seq <= lane || lane == 0 && self.is_expired(state, client, seq, gid) {
            return None;
        }
        let fails = shard.data.fails(op);
        let unrecorded = fails && self.omits(Omission::FailureUnrecorded);
        let records = shard.is_source()
            && !unrecorded
            && (!self.omits(Omission::LateChangeRows) || copy_reached_delta(state, op.shard, shard.at));
        let mut next = state.clone();
        let shard = next.shard_mut(gid, op.shard);
        shard.data.counter += u8::from(!fails || !self.omits(Omission::FailureAtOldCounter));
        shard.data.lanes[client] = seq;
        shard.data.write(op, token(client, seq));
        if records {
            if !fails {
                self.record_change(shard, op.key);
            }
            self.record_change(shard, KEYS + client);
        }
        let version = shard.data.counter;
        next.promises[op.shard].write(op, client, seq, version);
        Some(next)
    }

    fn takes_writes(&self, shard: &Shard) -> bool {
        shard.serves() || shard.is_source() && self.omits(Omission::SealedWrites)
    }

    fn record_change(&self, shard: &mut Shard, item: usize) {
        if shard.changes[item] == 0 || !self.omits(Omission::FirstChangeRow) {
            shard.changes[item] = shard.data.counter;
        }
    }

    fn is_expired(&self, state: &State, client: usize, seq: u8, gid: Gid) -> bool {
        let op = self.schedule.scripts[client][usize::from(seq) - 1];
        op.issued_at <= state.shard(gid, op.shard).data.floor
    }

    /// The client hears the answer to the write that it waits for.
    pub(super) fn hear(&self, state: &State, client: usize) -> Option<State> {
        let seq = state.heard[client] + 1;
        let op = self.schedule.scripts[client].get(usize::from(seq) - 1)?;
        if !state.promises[op.shard].is_applied(client, seq) {
            return None;
        }
        let mut next = state.clone();
        next.heard[client] = seq;
        Some(next)
    }

    /// The client hears that the write it waits for is too old to be told from a retry.
    pub(super) fn hear_expired(&self, state: &State, client: usize, gid: Gid) -> Option<State> {
        let seq = state.heard[client] + 1;
        let op = self.schedule.scripts[client].get(usize::from(seq) - 1)?;
        let shard = state.shard(gid, op.shard);
        if !shard.serves() || shard.data.lanes[client] != 0 || !self.is_expired(state, client, seq, gid) {
            return None;
        }
        let mut next = state.clone();
        next.heard[client] = seq;
        Some(next)
    }

    /// Replicated time passes at a group that serves; the floor rises with it, and session rows leave.
    pub(super) fn tick(&self, state: &State, gid: Gid, number: usize) -> Option<State> {
        let shard = state.shard(gid, number);
        if !shard.serves() || state.promises[number].data.time > 0 {
            return None;
        }
        let mut next = state.clone();
        next.promises[number].data.time = 1;
        let shard = next.shard_mut(gid, number);
        shard.data.time = 1;
        shard.data.floor = 1;
        shard.data.counter += 1;
        for (client, script) in self.schedule.scripts.iter().enumerate() {
            let lane = shard.data.lanes[client];
            if lane != 0 && script[usize::from(lane) - 1].issued_at <= shard.data.floor {
                shard.data.lanes[client] = 0;
                if shard.is_source() {
                    self.record_change(shard, KEYS + client);
                }
            }
        }
        Some(next)
    }
}

/// Whether the copy of the move at `num` has come to its delta phase, so that Seal may be under way.
fn copy_reached_delta(state: &State, number: usize, num: u8) -> bool {
    state.seals[number] & bit(num) != 0
}
