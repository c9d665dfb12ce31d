//! When a run may end, and who retries what until then.

use stateright::Model;

use super::moves::Moves;
use super::network::Step;
use super::omission::Omission;
use super::schedule::Gid;
use super::shard::{Cursor, Phase, Shard, bit};
use super::state::State;

impl Moves {
    /// Whether nothing is left to do.
    pub(super) fn is_settled(&self, state: &State) -> bool {
        let last = self.schedule.last();
        let answered = (0..self.schedule.scripts.len())
            .all(|client| usize::from(state.heard[client]) == self.schedule.scripts[client].len());
        let rests = |(gid, number, shard): (Gid, usize, &Shard)| {
            let owner = self.schedule.owner(number, last);
            let owed = self.schedule.moves(number).filter(|n| shard.debts & bit(*n) != 0);
            let owes_the_living =
                owed.map(|n| self.schedule.owner(number, n - 1)).any(|to| self.is_alive(state, to));
            let phase = if gid == owner { Phase::Serving } else { Phase::Absent };
            !self.is_alive(state, gid) || shard.at == last && shard.phase == phase && !owes_the_living
        };
        let adopted = |gid: Gid| state.groups[usize::from(gid)].cfg == last || !self.is_alive(state, gid);
        answered && state.gids().all(adopted) && state.all().all(rests)
    }

    /// Whether some step that its sender retries for as long as its own state calls for it would have an
    /// effect. Messages merely left over in the network do not count: they may be lost.
    pub(super) fn can_go_on(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.actions(state, &mut steps);
        let mut retried = steps.into_iter().filter(|step| self.is_retried(state, step));
        retried.any(|step| self.next_state(state, step).is_some())
    }

    fn is_retried(&self, state: &State, step: &Step) -> bool {
        match step {
            Step::Adopt(..) | Step::HearExpired(..) | Step::Abort(..) => true,
            Step::Drop(shard, num) => {
                let asker = self.request(state, self.schedule.owner(*shard, *num), *shard);
                asker.is_some_and(|(_, _, _, asked, _)| asked == *num)
            }
            Step::Write(client, seq, _) => *seq == state.heard[*client] + 1,
            Step::Hear(client) => self.has_stored_answer(state, *client),
            Step::Insert(request) => self.request(state, request.1, request.0) == Some(*request),
            Step::Seal(shard, num, _) => {
                let asker = self.request(state, self.schedule.owner(*shard, *num), *shard);
                asker.is_some_and(|(_, _, _, asked, cursor)| {
                    asked == *num && matches!(cursor, Cursor::Delta(_))
                })
            }
            Step::Delete(shard, num) | Step::Acknowledge(shard, num) => {
                let debtor = state.shard(self.owner(*shard, *num), *shard);
                debtor.debts & bit(*num) != 0
                    && (debtor.at == *num || !self.omits(Omission::DebtEndsWithConfig))
            }
            Step::InsertPast(..) | Step::Tick(..) | Step::Expire(..) | Step::Die => false,
        }
    }

    /// Whether a retry of the client's present write would be answered from its session row.
    fn has_stored_answer(&self, state: &State, client: usize) -> bool {
        let seq = state.heard[client] + 1;
        let Some(op) = self.schedule.scripts[client].get(usize::from(seq) - 1) else { return false };
        state.servers(op.shard).any(|gid| {
            let data = state.shard(gid, op.shard).data;
            self.is_alive(state, gid) && self.live_lane(&data, client, data.floor_after(op.issued_at)) == seq
        })
    }
}
