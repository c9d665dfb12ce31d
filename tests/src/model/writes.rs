//! What a group does for clients: writes, and the passing of replicated time.
//!
//! A handler looks first and copies the state only if it acts; `None` is a message without effect.

use super::data::{Data, KEYS, LATER};
use super::moves::Moves;
use super::omission::Omission;
use super::promise::token;
use super::schedule::Gid;
use super::shard::{Shard, bit};
use super::state::State;

impl Moves {
    /// A client's write at a group that serves: session row first, then the operation. Whatever becomes of it, the
    /// floor may rise.
    pub(super) fn write(&self, state: &State, client: usize, seq: u8, gid: Gid) -> Option<State> {
        let op = self.schedule.scripts[client][usize::from(seq) - 1];
        let shard = state.shard(gid, op.shard);
        let floor = shard.data.floor_after(op.issued_at);
        if !self.takes_writes(shard) {
            return None;
        }
        let live = self.live_lane(&shard.data, client, floor);
        let is_new = seq > live && (live != 0 || op.issued_at > floor);
        if !is_new && floor == shard.data.floor {
            return None;
        }
        let mut next = state.clone();
        next.shard_mut(gid, op.shard).data.floor = floor;
        if is_new {
            self.apply(&mut next, client, seq, gid);
        }
        Some(next)
    }

    fn apply(&self, state: &mut State, client: usize, seq: u8, gid: Gid) {
        let op = self.schedule.scripts[client][usize::from(seq) - 1];
        let reached_delta = copy_reached_delta(state, op.shard, state.shard(gid, op.shard).at);
        let shard = state.shard_mut(gid, op.shard);
        let changes = shard.data.changes(op);
        let unrecorded = !changes && self.omits(Omission::FailureUnrecorded);
        let too_early = self.omits(Omission::LateChangeRows) && !reached_delta;
        shard.data.counter += u8::from(changes);
        shard.data.lanes[client] = seq;
        shard.data.write(op, token(client, seq));
        if shard.is_source() && !unrecorded && !too_early {
            if changes {
                self.record_change(shard, op.key);
            }
            self.record_change(shard, KEYS + client);
        }
        self.evict_sessions(shard);
        let version = shard.data.counter;
        state.promises[op.shard].write(op, client, seq, version);
    }

    fn takes_writes(&self, shard: &Shard) -> bool {
        shard.serves() || shard.is_source() && self.omits(Omission::SealedWrites)
    }

    fn record_change(&self, shard: &mut Shard, item: usize) {
        shard.changed += 1;
        let by_counter = self.omission.is_some_and(Omission::numbers_by_counter);
        if shard.changes[item] == 0 || !self.omits(Omission::FirstChangeRow) {
            shard.changes[item] = if by_counter { shard.data.counter } else { shard.changed };
        }
    }

    /// Removes session rows at or below the floor. They are gone already, so nothing is noted for the new owner.
    fn evict_sessions(&self, shard: &mut Shard) {
        for client in 0..self.schedule.scripts.len() {
            let seq = shard.data.lanes[client];
            if seq != 0 && self.issued_at(client, seq) <= shard.data.floor {
                (shard.data.lanes[client], shard.changes[KEYS + client]) = (0, 0);
            }
        }
    }

    /// The sequence number in a client's session row; 0 if there is none, or it is gone.
    pub(super) fn live_lane(&self, data: &Data, client: usize, floor: u8) -> u8 {
        let seq = data.lanes[client];
        let is_live = |seq| self.issued_at(client, seq) > floor || self.omits(Omission::GoneRowsObeyed);
        if seq != 0 && is_live(seq) { seq } else { 0 }
    }

    fn issued_at(&self, client: usize, seq: u8) -> u8 {
        self.schedule.scripts[client][usize::from(seq) - 1].issued_at
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
        let floor = shard.data.floor_after(op.issued_at);
        if !shard.serves() || self.live_lane(&shard.data, client, floor) != 0 || op.issued_at > floor {
            return None;
        }
        let mut next = state.clone();
        next.shard_mut(gid, op.shard).data.floor = floor;
        next.heard[client] = seq;
        Some(next)
    }

    /// Replicated time passes at a group that serves.
    pub(super) fn tick(&self, state: &State, gid: Gid, number: usize) -> Option<State> {
        let shard = state.shard(gid, number);
        if !shard.serves() || state.promises[number].data.time == LATER {
            return None;
        }
        let mut next = state.clone();
        next.promises[number].data.time = LATER;
        next.shard_mut(gid, number).data.time = LATER;
        Some(next)
    }

    /// The same, and expired rows are removed. The counter stands still, as nobody sees a difference.
    pub(super) fn expire(&self, state: &State, gid: Gid, number: usize) -> Option<State> {
        let mut next = self.tick(state, gid, number)?;
        let shard = next.shard_mut(gid, number);
        for key in 0..KEYS {
            if shard.data.rows[key].is_some() && shard.data.live(key).is_none() {
                shard.data.rows[key] = None;
                if shard.is_source() {
                    self.record_change(shard, key);
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
