//! The commands of a move: the guard first, then what the group does.
//!
//! A handler looks first and copies the state only if it acts; `None` is a message without effect.

use super::chunk::Chunk;
use super::moves::Moves;
use super::omission::Omission;
use super::shard::{Cursor, Phase, Shard, bit};
use super::state::{Request, State};

impl Moves {
    /// A replica in state `source` answers a GetShardsData, and the answer comes to InsertShards at the
    /// asker.
    pub(super) fn insert(&self, state: &State, request: Request, source: &Shard) -> Option<State> {
        let (number, to, _, num, cursor) = request;
        if !source.is_source() || source.at != num && !self.omits(Omission::GetNum) {
            return None;
        }
        let shard = state.shard(to, number);
        let pulling = matches!(shard.phase, Phase::Pulling { .. }) || self.omits(Omission::InsertState);
        let num_fits = shard.at == num || self.omits(Omission::InsertNum);
        let cursor_fits = shard.cursor == cursor || self.omits(Omission::InsertCursor);
        if !pulling || !num_fits || !cursor_fits {
            return None;
        }
        let seal_asked = state.seals[number] & bit(source.at) != 0;
        let chunk = Chunk::read(source, cursor, seal_asked, self.omission)?;
        let mut next = state.clone();
        self.install(next.shard_mut(to, number), &chunk);
        self.advance(&mut next, to, number);
        Some(next)
    }

    fn install(&self, shard: &mut Shard, chunk: &Chunk) {
        chunk.install(&mut shard.data, self.omission);
        shard.cursor = chunk.next;
        if chunk.last {
            shard.phase = Phase::Serving;
            shard.installed |= bit(shard.at);
            shard.debts |= bit(shard.at);
            shard.handed_to = None;
            if !self.omits(Omission::InsertState) {
                shard.cursor = Cursor::Base(0);
            }
        }
    }

    /// Seal(n) at the old owner. It carries the leader's time.
    pub(super) fn seal(&self, state: &State, number: usize, num: u8, time: u8) -> Option<State> {
        let source = self.owner(number, num - 1);
        let shard = state.shard(source, number);
        let num_fits = shard.at == num || self.omits(Omission::SealNum);
        if shard.phase != (Phase::BePulling { sealed: false }) || !num_fits {
            return None;
        }
        let mut next = state.clone();
        let shard = next.shard_mut(source, number);
        shard.phase = Phase::BePulling { sealed: true };
        shard.data.time = shard.data.time.max(time);
        let promised = &mut next.promises[number].data;
        promised.time = promised.time.max(time);
        Some(next)
    }

    /// DeleteShards(n) at the old owner: the incarnation dies.
    pub(super) fn delete(&self, state: &State, number: usize, num: u8) -> Option<State> {
        let source = self.owner(number, num - 1);
        let shard = state.shard(source, number);
        let num_fits = shard.at == num || self.omits(Omission::DeleteNum);
        let may_delete = match shard.phase {
            Phase::BePulling { sealed } => sealed || self.omits(Omission::DeleteUnsealed),
            _ => false,
        };
        if !may_delete || !num_fits {
            return None;
        }
        let mut next = state.clone();
        let shard = next.shard_mut(source, number);
        shard.phase = Phase::Absent;
        let rows = shard.data.rows;
        shard.data.forget_rows();
        if self.omits(Omission::OldRowsVisible) {
            shard.data.rows = rows;
        }
        shard.forget_changes();
        if !self.omits(Omission::NoHandedTo) {
            shard.handed_to = Some(self.owner(number, shard.at));
        }
        self.advance(&mut next, source, number);
        Some(next)
    }

    /// Abort(n) at the old owner: a later config, already adopted, takes the move back before the seal.
    pub(super) fn abort(&self, state: &State, number: usize, num: u8) -> Option<State> {
        let source = self.owner(number, num - 1);
        let back = self.schedule.taken_back(number, num)?;
        let shard = state.shard(source, number);
        let may_abort = match shard.phase {
            Phase::BePulling { sealed } => !sealed || self.omits(Omission::AbortSealed),
            _ => false,
        };
        if shard.at != num || !may_abort || state.groups[usize::from(source)].cfg < back {
            return None;
        }
        let mut next = state.clone();
        next.promises[number].aborted |= bit(num);
        let shard = next.shard_mut(source, number);
        (shard.phase, shard.at) = (Phase::Serving, back);
        shard.forget_changes();
        self.advance(&mut next, source, number);
        Some(next)
    }

    /// The asker hears that the source is past n while it still pulls at n, so that the move was aborted: had
    /// it been finished, the asker itself would have installed it.
    pub(super) fn drop_aborted(&self, state: &State, number: usize, num: u8) -> Option<State> {
        let (source, to) = (self.owner(number, num - 1), self.owner(number, num));
        let shard = state.shard(to, number);
        let Phase::Pulling { from } = shard.phase else { return None };
        let num_fits = shard.at == num || shard.at > num && self.omits(Omission::DropNum);
        if !num_fits || !state.shard(source, number).is_past(num) {
            return None;
        }
        let mut next = state.clone();
        let shard = next.shard_mut(to, number);
        let rows = shard.data.rows;
        shard.data.forget_rows();
        if self.omits(Omission::DropKeepsRows) {
            shard.data.rows = rows;
        }
        (shard.phase, shard.cursor, shard.handed_to) = (Phase::Absent, Cursor::Base(0), Some(from));
        self.advance(&mut next, to, number);
        Some(next)
    }

    /// The new owner asks (again), hears *done*, and commits the acknowledgement. The answer to the request
    /// that made the source delete counts as lost.
    pub(super) fn acknowledge(&self, state: &State, number: usize, num: u8) -> Option<State> {
        let (source, to) = (self.owner(number, num - 1), self.owner(number, num));
        let shard = state.shard(to, number);
        let was_asked = shard.installed & bit(num) != 0;
        let is_done = state.shard(source, number).is_past(num) && !self.omits(Omission::RefuseOldDelete);
        let settles = if self.omits(Omission::AckNum) { shard.debts } else { shard.debts & bit(num) };
        if !was_asked || !is_done || settles == 0 {
            return None;
        }
        let mut next = state.clone();
        next.shard_mut(to, number).debts &= !settles;
        self.advance(&mut next, to, number);
        Some(next)
    }
}
