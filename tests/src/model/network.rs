//! The network, and the model's face to stateright: which steps are possible, and what each leaves behind.

use stateright::{Model, Property};

use super::data::{LATER, NOW};
use super::moves::Moves;
use super::omission::Omission;
use super::properties;
use super::schedule::{Death, Gid};
use super::shard::{Phase, Shard, bit};
use super::state::{Request, State};

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A group adopts a config.
    Adopt(Gid, u8),
    /// A copy of a client's write reaches a group: (client, seq, group).
    Write(usize, u8, Gid),
    /// A client hears its answer.
    Hear(usize),
    /// A client hears from a group that its write is too old.
    HearExpired(usize, Gid),
    /// Time passes for a shard at a group.
    Tick(Gid, usize),
    /// The same, and what has expired is removed.
    Expire(Gid, usize),
    /// A request is answered from the newest state of the group asked, and installed.
    Insert(Request),
    /// A request is answered from an earlier state (index into `State::past`), and installed.
    InsertPast(Request, usize),
    /// Seal(n) for a shard arrives, with the time of the old owner's leader.
    Seal(usize, u8, u8),
    /// DeleteShards(n) for a shard arrives.
    Delete(usize, u8),
    /// The source of the move at n aborts it.
    Abort(usize, u8),
    /// The asker hears that the move at n was aborted.
    Drop(usize, u8),
    /// The new owner hears that DeleteShards(n) is done.
    Acknowledge(usize, u8),
    /// The mortal group dies.
    Die,
}

impl Model for Moves {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.schedule)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for gid in state.gids().filter(|gid| self.is_alive(state, *gid)) {
            let cfg = state.groups[usize::from(gid)].cfg;
            steps.extend((cfg + 1..=self.schedule.last()).map(|num| Step::Adopt(gid, num)));
            let ticking = if self.schedule.ticks { self.schedule.chains.len() } else { 0 };
            steps.extend((0..ticking).flat_map(|shard| [Step::Tick(gid, shard), Step::Expire(gid, shard)]));
        }
        self.client_steps(state, steps);
        for shard in 0..self.schedule.chains.len() {
            self.move_steps(state, shard, steps);
        }
        if self.may_die(state) {
            steps.push(Step::Die);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = match &step {
            Step::Adopt(gid, num) => self.adopt(last, *gid, *num),
            Step::Write(client, seq, gid) => self.write(last, *client, *seq, *gid),
            Step::Hear(client) => self.hear(last, *client),
            Step::HearExpired(client, gid) => self.hear_expired(last, *client, *gid),
            Step::Tick(gid, shard) => self.tick(last, *gid, *shard),
            Step::Expire(gid, shard) => self.expire(last, *gid, *shard),
            Step::Insert(request) => self.insert(last, *request, last.shard(request.2, request.0)),
            Step::InsertPast(request, index) => self.insert(last, *request, &last.past[request.0][*index].1),
            Step::Seal(shard, num, time) => self.seal(last, *shard, *num, *time),
            Step::Delete(shard, num) => self.delete(last, *shard, *num),
            Step::Acknowledge(shard, num) => self.acknowledge(last, *shard, *num),
            Step::Abort(shard, num) => self.abort(last, *shard, *num),
            Step::Drop(shard, num) => self.drop_aborted(last, *shard, *num),
            Step::Die => Some(State { dead: true, ..last.clone() }),
        }?;
        self.remember(last, &mut next);
        if self.omission.is_none() {
            assert!(next.progress() > last.progress(), "a cycle: {step:?} leads back\n{last:#?}\n{next:#?}");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Moves {
    /// Whether the group still takes steps.
    pub(super) fn is_alive(&self, state: &State, gid: Gid) -> bool {
        let died = state.dead && self.schedule.mortal.is_some_and(|(mortal, _)| mortal == gid);
        !died && self.schedule.absent != Some(gid)
    }

    fn may_die(&self, state: &State) -> bool {
        let shard = 0;
        !state.dead
            && match self.schedule.mortal {
                None => false,
                Some((_, Death::Installed(num))) => {
                    state.shard(self.schedule.owner(shard, num), shard).installed & bit(num) != 0
                }
                Some((_, Death::InBase(num))) => state.seals[shard] & bit(num) == 0,
            }
    }

    /// Every write ever sent may arrive at any group at any time, again and again.
    fn client_steps(&self, state: &State, steps: &mut Vec<Step>) {
        for (client, script) in self.schedule.scripts.iter().enumerate() {
            let sent = (state.heard[client] + 1).min(script.len() as u8);
            steps.push(Step::Hear(client));
            for gid in state.gids().filter(|gid| self.is_alive(state, *gid)) {
                steps.extend((1..=sent).map(|seq| Step::Write(client, seq, gid)));
                if self.schedule.ticks {
                    steps.push(Step::HearExpired(client, gid));
                }
            }
        }
    }

    /// Every message of a move that was ever sent may arrive at any time, again and again.
    fn move_steps(&self, state: &State, shard: usize, steps: &mut Vec<Step>) {
        for request in self.requests(state, shard) {
            if !self.is_alive(state, request.1) {
                continue;
            }
            if self.is_alive(state, request.2) && !self.refuses_repeated_seal(state.shard(request.2, shard)) {
                steps.push(Step::Insert(request));
            }
            let past = state.past[shard].iter().enumerate();
            steps.extend(
                past.filter(|(_, (gid, _))| *gid == request.2).map(|(i, _)| Step::InsertPast(request, i)),
            );
        }
        for num in self.schedule.moves(shard) {
            let (from, to) = (self.schedule.owner(shard, num - 1), self.schedule.owner(shard, num));
            let installed = state.shard(to, shard).installed & bit(num) != 0;
            if self.is_alive(state, from) && state.seals[shard] & bit(num) != 0 {
                steps.push(Step::Seal(shard, num, NOW));
                if self.schedule.ticks {
                    steps.push(Step::Seal(shard, num, LATER));
                }
            }
            if self.is_alive(state, from) && installed {
                steps.push(Step::Delete(shard, num));
            }
            if self.is_alive(state, from) && self.schedule.cancels {
                steps.push(Step::Abort(shard, num));
            }
            if self.is_alive(state, from) && self.is_alive(state, to) && self.schedule.cancels {
                steps.push(Step::Drop(shard, num));
            }
            if self.is_alive(state, from) && self.is_alive(state, to) && installed {
                steps.push(Step::Acknowledge(shard, num));
            }
        }
    }

    /// Without repeatability the one answer to a seal is the one that got lost.
    fn refuses_repeated_seal(&self, source: &Shard) -> bool {
        self.omits(Omission::SealOnce) && source.phase == (Phase::BePulling { sealed: true })
    }

    /// The GetShardsData requests whose answers can still have an effect.
    fn requests(&self, state: &State, shard: usize) -> Vec<Request> {
        let old = state.requests.iter().copied().filter(|request| request.0 == shard);
        let new = state.gids().filter_map(|gid| self.request(state, gid, shard));
        let mut requests: Vec<Request> = new.chain(old).collect();
        requests.sort_unstable();
        requests.dedup();
        requests
    }

    pub(super) fn request(&self, state: &State, gid: Gid, number: usize) -> Option<Request> {
        let shard = state.shard(gid, number);
        let Phase::Pulling { from } = shard.phase else { return None };
        Some((number, gid, from, shard.at, shard.cursor))
    }
}
