//! How long each shard was unavailable, by fault, and how soon after the fault it answered again.
//!
//! A shard is unavailable while somebody waits for it and nobody is answered: from the first call after its last
//! acknowledgement to its next one. A shard that nobody asks is not unavailable. The record does not say when an operation
//! of unknown outcome was given up: it counts as waiting for [`PATIENCE_NS`], or until the shard's next acknowledgement.
//!
//! An outage is laid at the door of every fault that was there during it or up to [`GRACE_NS`] before it. With several
//! faults at a time this accuses the innocent too.

use std::collections::BTreeMap;

use super::gathered::Gathered;
use crate::record::{Fault, Outcome};

/// A fault without extent, such as a kill, shows in what is called a little later.
const GRACE_NS: u64 = 1_000_000_000;

/// Below this nobody speaks of an outage: it is the time that answers take.
const AT_ONCE_NS: u64 = 10_000_000;

/// How long an operation of unknown outcome counts as waiting: the usual deadline of a client.
const PATIENCE_NS: u64 = 10_000_000_000;

/// Somebody waited for the shard, and nobody was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outage {
    pub from: u64,
    pub to: u64,
    /// It ended without an answer: with the record, or because the last to wait gave up.
    pub open: bool,
}

impl Outage {
    /// How long it was.
    pub(super) fn length(self) -> u64 {
        self.to - self.from
    }
}

/// What one fault (or no fault) did to the shards.
#[derive(Default)]
pub(super) struct Damage<'a> {
    /// None: what happened away from all faults.
    pub fault: Option<&'a Fault>,
    /// The longest outage of each shard.
    pub longest: BTreeMap<u32, Outage>,
    /// From the fault's end until the last shard that was unavailable then answered; for a fault without extent, from
    /// its moment until the last outage of its doing ended. None: at once.
    pub recovery: Option<Outage>,
}

impl Damage<'_> {
    /// The longest of all, with its shard.
    pub(super) fn worst(&self) -> Option<(u32, Outage)> {
        let all = self.longest.iter().map(|(shard, outage)| (*shard, *outage));
        all.max_by_key(|(_, outage)| outage.length())
    }
}

/// Outages of all shards, by fault; last what happened away from all faults.
pub(super) fn damages<'a>(all: &Gathered<'a>) -> Vec<Damage<'a>> {
    let outages = outages(all);
    let calm = |outage: &Outage| !all.faults.iter().any(|fault| blamed(fault, *outage));
    let mut damages: Vec<_> = all.faults.iter().map(|fault| damage(fault, &outages)).collect();
    damages.push(Damage { longest: longest(&outages, calm), ..Damage::default() });
    damages
}

fn blamed(fault: &Fault, outage: Outage) -> bool {
    let until = fault.until_ns.unwrap_or(fault.at_ns).saturating_add(GRACE_NS);
    outage.from <= until && outage.to >= fault.at_ns
}

fn damage<'a>(fault: &'a Fault, outages: &BTreeMap<u32, Vec<Outage>>) -> Damage<'a> {
    let healed = fault.until_ns.unwrap_or(fault.at_ns);
    let lasting = |outage: &&Outage| match fault.until_ns {
        Some(_) => outage.from <= healed && outage.to > healed,
        None => blamed(fault, **outage) && outage.length() > AT_ONCE_NS,
    };
    let last = outages.values().flatten().filter(lasting).max_by_key(|outage| outage.to);
    let recovery = last.map(|outage| Outage { from: healed, ..*outage });
    Damage {
        fault: Some(fault),
        longest: longest(outages, |outage| blamed(fault, *outage)),
        recovery: recovery.filter(|recovery| recovery.length() > AT_ONCE_NS),
    }
}

fn longest(outages: &BTreeMap<u32, Vec<Outage>>, counts: impl Fn(&Outage) -> bool) -> BTreeMap<u32, Outage> {
    let of = |outages: &Vec<Outage>| outages.iter().filter(|o| counts(o)).max_by_key(|o| o.length()).copied();
    outages.iter().filter_map(|(shard, outages)| Some((*shard, of(outages)?))).collect()
}

/// The outages of each shard, in the order of time.
fn outages(all: &Gathered<'_>) -> BTreeMap<u32, Vec<Outage>> {
    let mut moments: Vec<(u64, u32, Moment)> = Vec::new();
    for operation in &all.operations {
        let shard = all.shard_of(&operation.key);
        let (begin, end) = match operation.outcome {
            Outcome::Ok(_) => (Moment::Called, Moment::Answered),
            Outcome::Fail { .. } => (Moment::Called, Moment::Failed),
            Outcome::Unknown { .. } => (Moment::Lost, Moment::Failed),
        };
        moments.push((operation.called_ns, shard, begin));
        let known = operation.returned_ns.filter(|_| begin == Moment::Called);
        moments.extend(known.map(|at| (at, shard, end)));
    }
    moments.sort_unstable_by_key(|(at, _, moment)| (*at, *moment));
    let mut shards: BTreeMap<u32, Waiting> = BTreeMap::new();
    for (at, shard, moment) in moments {
        shards.entry(shard).or_default().step(at, moment);
    }
    let finish = |(shard, waiting): (u32, Waiting)| (shard, waiting.finish(all.span_ns));
    shards.into_iter().map(finish).collect()
}

/// What happens to a shard's clients; in this order at equal stamps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Called,
    /// Called, and of unknown outcome.
    Lost,
    Failed,
    Answered,
}

#[derive(Default)]
struct Waiting {
    /// Called, and not ended.
    now: u64,
    since: Option<u64>,
    /// When the last of unknown outcome was called.
    lost: u64,
    outages: Vec<Outage>,
}

impl Waiting {
    fn step(&mut self, at: u64, moment: Moment) {
        self.give_up(at);
        match moment {
            Moment::Called | Moment::Lost => {
                self.since.get_or_insert(at);
            }
            Moment::Failed => {}
            Moment::Answered => {
                let from = self.since.take().unwrap_or(at);
                self.outages.push(Outage { from, to: at, open: false });
            }
        }
        match moment {
            Moment::Called => self.now += 1,
            Moment::Lost => self.lost = at,
            Moment::Failed | Moment::Answered => self.now = self.now.saturating_sub(1),
        }
        if moment == Moment::Answered && self.now > 0 {
            self.since = Some(at);
        }
    }

    /// Ends an outage in which nobody waits any more.
    fn give_up(&mut self, at: u64) {
        let until = self.lost.saturating_add(PATIENCE_NS);
        if let Some(from) = self.since.filter(|from| self.now == 0 && *from < until && until < at) {
            self.outages.push(Outage { from, to: until, open: true });
            self.since = None;
        }
    }

    fn finish(mut self, end: u64) -> Vec<Outage> {
        self.give_up(end);
        let open = self.since.filter(|from| *from < end);
        self.outages.extend(open.map(|from| Outage { from, to: end, open: true }));
        self.outages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Action, Answer, Line, Operation};

    const SECOND: u64 = 1_000_000_000;

    fn get(called: u64, returned: Option<u64>) -> Line {
        let outcome = match returned {
            Some(_) => Outcome::Ok(Answer::default()),
            None => Outcome::Unknown { why: "timed out".into() },
        };
        let at = |ms: u64| ms * 1_000_000;
        let (called_ns, returned_ns) = (at(called), returned.map(at));
        Line::Op(Operation {
            client: 1,
            key: "k".into(),
            action: Action::Get,
            called_ns,
            returned_ns,
            outcome,
        })
    }

    fn fault(from: u64, to: Option<u64>) -> Line {
        let (at_ns, until_ns) = (from * SECOND, to.map(|to| to * SECOND));
        let [kind, detail, evidence] = ["pause", "", ""].map(str::to_owned);
        Line::Fault(Fault { at_ns, until_ns, kind, nodes: vec![1], detail, evidence })
    }

    #[test]
    fn an_outage_is_waiting_without_an_answer() {
        let lines = [
            get(0, Some(5)),
            get(100, None),
            get(2_000, Some(7_500)),
            get(60_000, Some(60_010)),
            fault(3, Some(6)),
        ];
        let all = Gathered::new(&lines);
        let damages = damages(&all);
        let longest = damages[0].worst().expect("an outage").1;
        assert_eq!(longest.length(), 7_400_000_000, "from the call that was never answered");
        assert_eq!(damages[0].recovery.expect("a recovery").length(), 1_500_000_000);
        assert_eq!(damages[1].worst().expect("calm").1.length(), 10_000_000);
    }

    #[test]
    fn an_outage_without_an_answer_is_said_to_be_open() {
        let lines = [get(0, Some(5)), get(1_000, None), fault(5, None), fault(20, None)];
        let all = Gathered::new(&lines);
        let worst = damages(&all)[0].worst().expect("an outage").1;
        assert!(worst.open && worst.length() == 10 * SECOND, "{worst:?}");
    }
}
