//! One client of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_workload::Dice;

use crate::keys::Keys;
use crate::op::Op;
use crate::pacer::Pacer;
use crate::plan::Plan;
use crate::store::{Store, Trouble};
use crate::tally::Tally;
use crate::value::{Seen, Token, Values};
use crate::witness::{Ended, Lists, Registers};

/// After a failure, so that a dead server is not hammered.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    /// What is measured.
    pub plan: Plan,
    /// The keys.
    pub keys: Keys,
    /// Makes and reads values.
    pub values: Arc<Values>,
    /// What was promised of whole values.
    pub registers: Arc<Registers>,
    /// What was promised of appends.
    pub lists: Lists,
    /// What was found.
    pub tally: Tally,
    /// When to send.
    pub pacer: Pacer,
    /// When time began.
    pub epoch: Instant,
    /// From when on it counts.
    pub measured_from: Instant,
    /// Everything acknowledged so far, also what does not count.
    pub acknowledged: AtomicU64,
}

impl Shared {
    /// Nanoseconds since time began, never 0.
    pub fn now(&self) -> u64 {
        self.stamp(Instant::now())
    }

    /// The same for a moment.
    pub fn stamp(&self, moment: Instant) -> u64 {
        let nanos = moment.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }
}

/// One client.
#[derive(Debug)]
pub struct Worker<S> {
    store: S,
    shared: Arc<Shared>,
    /// Which client of this run.
    at: usize,
    /// Which client of all runs.
    id: u32,
    /// How many writes it has made.
    writes: u32,
    dice: Dice,
}

impl<S: Store> Worker<S> {
    /// A client with a connection; `id` is its alone.
    pub fn new(store: S, shared: Arc<Shared>, at: usize, id: u32) -> Self {
        let dice = Dice::fork(shared.plan.seed, u64::from(id));
        Self { store, shared, at, id, writes: 0, dice }
    }

    /// Works until the run is over.
    pub async fn go(mut self) {
        while let Some(intended) = self.shared.pacer.next().await {
            let result = self.operate().await;
            let now = Instant::now();
            if result.is_ok() {
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            let counts = intended >= self.shared.measured_from;
            match result {
                Ok(()) if counts => {
                    let took = now.saturating_duration_since(intended);
                    self.shared.tally.done(self.at, took, self.shared.stamp(now));
                }
                Ok(()) => {}
                Err(trouble) => {
                    if counts {
                        self.shared.tally.failed(&trouble.message);
                    }
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    async fn operate(&mut self) -> Result<(), Trouble> {
        let key = self.shared.keys.draw(&mut self.dice);
        match self.shared.plan.op {
            Op::Put => self.put(key).await,
            Op::Get => self.get(key).await,
            Op::Append => self.append(key).await,
            Op::Scan => self.scan(key).await,
            Op::Mixed if self.dice.per_mille(self.shared.plan.reads_percent * 10) => self.get(key).await,
            Op::Mixed => self.put(key).await,
        }
    }

    /// Writes a key; the fill uses it too.
    pub async fn put(&mut self, key: u32) -> Result<(), Trouble> {
        let token = self.token(key);
        let (name, value) = (self.shared.keys.name(key), self.shared.values.make(token));
        let writing = self.shared.registers.begin_write(token, self.shared.now());
        let result = self.store.put(name, value).await;
        if let Some(writing) = writing {
            self.shared.registers.end_write(writing, ended(&result), self.shared.now());
        }
        result
    }

    /// Reads a key and judges what it sees.
    pub async fn get(&mut self, key: u32) -> Result<(), Trouble> {
        let reading = self.shared.registers.begin_read(key);
        let found = self.store.get(self.shared.keys.name(key)).await?;
        let seen = found.map(|value| self.shared.values.read(&value, reading.is_some()));
        match reading {
            Some(reading) => self.shared.registers.end_read(reading, seen),
            None => self.glance(key, seen),
        }
        Ok(())
    }

    async fn append(&mut self, key: u32) -> Result<(), Trouble> {
        let token = self.token(key);
        let (name, value) = (self.shared.keys.name(key), self.shared.values.make(token));
        let start = self.shared.now();
        let result = self.store.append(name, value).await;
        self.shared.lists.note(token, start, ended(&result), self.shared.now());
        result
    }

    async fn scan(&mut self, from: u32) -> Result<(), Trouble> {
        let keys = &self.shared.keys;
        let rows = self.shared.plan.scan_rows;
        let found = self.store.scan(keys.name(from), keys.end(), rows).await?;
        let wanted = rows.min((keys.count() - from) as usize);
        self.shared.registers.complaints().checked();
        if !follow(keys, from, wanted, &found) {
            let got = found.len();
            let complaint =
                format!("a scan from key {from} gave {got} rows that are not the {wanted} keys from there");
            self.shared.registers.complaints().add(complaint);
        }
        Ok(())
    }

    /// What can be said of a key that is not watched.
    fn glance(&self, key: u32, seen: Option<Seen>) {
        let wrong = match seen {
            Some(Seen::Torn(_)) => true,
            Some(Seen::Ours(token)) => token.key != key,
            Some(Seen::Foreign) | None => false,
        };
        if wrong {
            self.shared.registers.complaints().add(format_args!("a read of key {key} gave {seen:?}"));
        }
    }

    fn token(&mut self, key: u32) -> Token {
        self.writes += 1;
        Token { key, client: self.id, number: self.writes }
    }
}

/// Whether these rows are `wanted` keys that follow each other.
fn follow(keys: &Keys, from: u32, wanted: usize, found: &[(Bytes, Bytes)]) -> bool {
    let numbers = found.iter().map(|(key, _)| keys.number(key));
    found.len() == wanted && numbers.eq((from..).take(wanted).map(Some))
}

fn ended(result: &Result<(), Trouble>) -> Ended {
    match result {
        Ok(()) => Ended::Done,
        Err(Trouble { unknown: true, .. }) => Ended::Unknown,
        Err(_) => Ended::Not,
    }
}
