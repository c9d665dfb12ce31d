//! What stays in the world after a step: messages under way, lagging replicas, and what clients were told.

use super::moves::Moves;
use super::omission::Omission;
use super::schedule::Gid;
use super::shard::{Cursor, bit};
use super::state::State;

impl Moves {
    /// What the network and the clients remember of a step.
    pub(super) fn remember(&self, last: &State, next: &mut State) {
        for number in 0..self.schedule.chains.len() {
            for gid in next.gids() {
                self.remember_serving(next, gid, number);
                self.remember_source(last, next, gid, number);
                self.remember_requests(next, gid, number);
            }
        }
    }

    fn remember_serving(&self, next: &mut State, gid: Gid, number: usize) {
        let shard = next.shard(gid, number);
        if shard.serves() {
            let old_num = shard.is_source() && !self.omits(Omission::AnswerNewNum);
            let num = if old_num { shard.at - 1 } else { shard.at };
            next.promises[number].serve(gid, num);
        }
    }

    fn remember_source(&self, last: &State, next: &mut State, gid: Gid, number: usize) {
        let (old, new) = (last.shard(gid, number).snapshot(), next.shard(gid, number).snapshot());
        if old.is_source() && old != new && !next.past[number].contains(&(gid, old)) {
            next.past[number].push((gid, old));
        }
        if !self.omission.is_some_and(Omission::revives_old_messages) {
            let groups = &next.groups;
            let is_over = |num: u8| {
                let to = &groups[usize::from(self.schedule.owner(number, num))].shards[number];
                to.installed & bit(num) != 0 || to.at > num
            };
            next.past[number].retain(|(_, source)| !is_over(source.at));
        }
    }

    fn remember_requests(&self, next: &mut State, gid: Gid, number: usize) {
        let Some(request) = self.request(next, gid, number) else { return };
        let (_, _, _, num, cursor) = request;
        if matches!(cursor, Cursor::Delta(_)) || self.omits(Omission::SealInBase) {
            next.seals[number] |= bit(num);
        }
        if self.omission.is_some_and(Omission::revives_old_messages) {
            next.requests.insert(request);
        }
    }
}
