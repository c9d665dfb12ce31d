//! The clients: each calls, waits, calls again; one whose operation got lost gives way to a new one.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Action, Expected, Operation, Outcome};
use crate::text::Text;

use super::breaks::{Asked, Fate};
use super::rng::Rng;
use super::store::Store;
use super::{Break, Shape};

/// The longest way to the store or back.
const LATENCY_NS_MAX: u64 = 2_000_000;
/// How much later an operation may act that nobody waits for any more.
const LATE_NS_MAX: u64 = 50_000_000;

/// Runs it: the history, and whether the break happened.
pub(super) fn run(seed: u64, shape: &Shape, how: Option<Break>) -> (Vec<Operation>, bool) {
    let mut rng = Rng::new(seed);
    let from = rng.index(shape.operations.max(2) / 2);
    let mut run = Run {
        store: Store::new(shape.shards),
        shape: *shape,
        rng,
        queue: BTreeMap::new(),
        scheduled: 0,
        clients: 0,
        calls: 0,
        history: Vec::with_capacity(shape.operations + shape.keys),
        seen: BTreeMap::new(),
        how: how.map(|how| (how, from)),
        broken: None,
        now: 0,
    };
    for _ in 0..shape.clients {
        run.new_client();
    }
    run.all();
    run.read_everything();
    (run.history, run.broken.is_some())
}

struct Run {
    store: Store,
    shape: Shape,
    rng: Rng,
    /// What happens next, by time and then in the order of scheduling.
    queue: BTreeMap<(u64, u64), Step>,
    scheduled: u64,
    clients: u64,
    calls: usize,
    history: Vec<Operation>,
    /// What was last read of each key, so that some swaps fit.
    seen: BTreeMap<Text, (Option<Text>, u64)>,
    /// What is to be broken, from which call on.
    how: Option<(Break, usize)>,
    /// The key of what was broken.
    broken: Option<Text>,
    now: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Call { client: u64 },
    Act { client: u64, asked: Asked },
}

impl Run {
    fn new_client(&mut self) {
        self.clients += 1;
        let client = self.clients;
        let at = self.now + 1 + self.rng.below(LATENCY_NS_MAX);
        self.schedule(at, Step::Call { client });
    }

    fn schedule(&mut self, at: u64, step: Step) {
        self.scheduled += 1;
        self.queue.insert((at, self.scheduled), step);
    }

    fn all(&mut self) {
        while let Some(((at, _), step)) = self.queue.pop_first() {
            self.now = at;
            match step {
                Step::Call { client } if self.calls < self.shape.operations => self.call(client),
                Step::Call { .. } => {}
                Step::Act { client, asked } => self.act(client, &asked),
            }
        }
    }

    fn call(&mut self, client: u64) {
        let number = self.calls;
        self.calls += 1;
        if self.rng.per_mille(self.shape.moved_per_mille) {
            let shard = self.rng.index(self.shape.shards as usize);
            self.store.move_shard(shard);
        }
        let Some((key, is_log)) = self.key(number) else {
            return self.schedule(self.now + LATENCY_NS_MAX, Step::Call { client });
        };
        let action = self.action(&key, is_log, number);
        let fate = self.fate();
        let acts = self.now + 1 + self.rng.below(LATENCY_NS_MAX);
        let settles =
            if fate == Fate::Unknown { u64::MAX } else { acts + 1 + self.rng.below(LATENCY_NS_MAX) };
        let asked = Asked { key, action, called_ns: self.now, settles_ns: settles, fate };
        if fate == Fate::Unknown {
            self.note(client, &asked, None, Outcome::Unknown { why: "the answer was lost".to_owned() });
            self.new_client();
            let late = self.now + 1 + self.rng.below(LATE_NS_MAX);
            if self.rng.per_mille(600) {
                self.schedule(late, Step::Act { client, asked });
            }
            return;
        }
        self.schedule(acts, Step::Act { client, asked });
    }

    fn fate(&mut self) -> Fate {
        if self.rng.per_mille(self.shape.unknown_per_mille) {
            Fate::Unknown
        } else if self.rng.per_mille(self.shape.failed_per_mille) {
            Fate::Failed
        } else {
            Fate::Answered
        }
    }

    /// A key that may be used, and whether it is a log. None: it is better left alone.
    fn key(&mut self, number: usize) -> Option<(Text, bool)> {
        let at = self.rng.index(self.shape.keys);
        let is_log = at < self.shape.logs;
        let generation = number / (self.shape.keys * self.shape.key_operations).max(1);
        let key = if is_log { format!("log-{at}") } else { format!("key-{generation}-{at}") };
        let key = Text::from(key);
        (self.broken.as_ref() != Some(&key)).then_some((key, is_log))
    }

    fn action(&mut self, key: &Text, is_log: bool, number: usize) -> Action {
        let word = Text::from(format!("{number};"));
        let dice = self.rng.below(100);
        if is_log {
            let is_short = self.store.rows.get(key).is_none_or(|row| row.value.len() < 1000);
            let reads = if is_short { 30 } else { 1 };
            return if dice < reads { Action::Get } else { Action::Append { value: word } };
        }
        match dice {
            0..40 => Action::Get,
            40..65 => Action::Append { value: word },
            65..78 => Action::Put { value: word },
            78..86 => Action::Delete,
            _ => Action::Swap { expected: self.expected(key), new: (dice != 99).then_some(word) },
        }
    }

    fn expected(&mut self, key: &Text) -> Expected {
        match self.seen.get(key).cloned() {
            Some((Some(_), version)) if self.rng.per_mille(300) => Expected::Version(version),
            Some((Some(value), _)) => Expected::Value(value),
            Some((None, _)) | None => Expected::Absent,
        }
    }

    fn act(&mut self, client: u64, asked: &Asked) {
        // What was on its way to a broken key must not hide what happened to it.
        if self.broken.as_ref() == Some(&asked.key) {
            return self.refuse(client, asked);
        }
        let answer = self.answer(asked);
        match asked.fate {
            Fate::Unknown => return,
            Fate::Failed => return self.refuse(client, asked),
            Fate::Answered => {
                let Some(answer) = answer else { return };
                if asked.action == Action::Get {
                    let seen = (answer.value.clone(), answer.version.unwrap_or_default());
                    self.seen.insert(asked.key.clone(), seen);
                }
                self.store.hear(&asked.key, asked.settles_ns);
                self.note(client, asked, Some(asked.settles_ns), Outcome::Ok(answer));
            }
        }
        self.go_on(client, asked);
    }

    fn refuse(&mut self, client: u64, asked: &Asked) {
        if asked.fate != Fate::Unknown {
            self.note(client, asked, Some(asked.settles_ns), Outcome::Fail { why: "refused".to_owned() });
            self.go_on(client, asked);
        }
    }

    fn go_on(&mut self, client: u64, asked: &Asked) {
        let again = asked.settles_ns + 1 + self.rng.below(1000);
        self.schedule(again, Step::Call { client });
    }

    fn answer(&mut self, asked: &Asked) -> Option<crate::record::Answer> {
        let due = self.how.filter(|(_, from)| self.broken.is_none() && self.calls > *from);
        if let Some(answer) = due.and_then(|(how, _)| self.store.act_wrongly(how, asked)) {
            self.broken = Some(asked.key.clone());
            return Some(answer);
        }
        (asked.fate != Fate::Failed).then(|| self.store.act(&asked.key, &asked.action, asked.settles_ns))
    }

    fn note(&mut self, client: u64, asked: &Asked, returned_ns: Option<u64>, outcome: Outcome) {
        let Asked { key, action, called_ns, .. } = asked.clone();
        self.history.push(Operation { client, key, action, called_ns, returned_ns, outcome });
    }

    /// One read of each key, by one more client, when all is quiet.
    fn read_everything(&mut self) {
        self.clients += 1;
        let client = self.clients;
        let keys: BTreeSet<Text> = self.history.iter().map(|op| op.key.clone()).collect();
        // Whatever was still on its way has acted, but not all answers were heard.
        self.now += 2 * LATENCY_NS_MAX;
        for key in keys {
            self.now += 10;
            let row = self.store.rows.get(&key).cloned();
            let outcome = Outcome::Ok(self.store.read(&key, row.as_ref()));
            let (called_ns, returned_ns) = (self.now, Some(self.now + 5));
            self.history.push(Operation {
                client,
                key,
                action: Action::Get,
                called_ns,
                returned_ns,
                outcome,
            });
        }
    }
}
