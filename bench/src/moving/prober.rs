//! Writes on a schedule, and what became of them in stretches of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flotilla_client::Client;
use flotilla_types::{ShardId, shard_of_key};
use flotilla_workload::Dice;
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::MovePlan;
use crate::keys::{Distribution, Keys};
use crate::pacer::Pacer;
use crate::plan::Pace;
use crate::tally::{Tally, histogram};
use crate::value::{Token, Values};
use crate::witness::{Ended, Registers};

/// So many writes can be under way.
const WRITERS: u32 = 128;
/// So many keys are read back at a time.
const READERS: usize = 64;
/// On so many keys.
const KEYS: u32 = 1000;
/// Longer than any run.
const SCHEDULE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Writers that keep a schedule.
pub struct Prober {
    shared: Arc<Shared>,
    writers: JoinSet<()>,
}

struct Shared {
    client: Client,
    keys: Keys,
    /// Keys of this shard are left out.
    avoid: Option<ShardId>,
    values: Values,
    registers: Registers,
    pacer: Pacer,
    epoch: Instant,
    window: Mutex<Arc<Tally>>,
    /// Which group acknowledged last.
    gid: AtomicU64,
}

/// What was seen in a stretch of time.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Writes acknowledged.
    pub writes: u64,
    /// Writes that failed.
    pub errors: u64,
    /// The longest time without an acknowledgement.
    pub gap: Duration,
    /// 99 of a hundred took no longer.
    pub p99_us: u64,
}

/// A stretch of time that has not ended.
pub struct Window {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
}

/// What was checked in the end.
#[derive(Clone, Debug)]
pub struct Checked {
    /// How many keys.
    pub checks: u64,
    /// How many of them were wrong, and the first in words.
    pub violations: u64,
    /// The first of these.
    pub complaints: Vec<String>,
}

impl Prober {
    /// Writers on keys that begin so.
    pub fn start(client: &Client, plan: &MovePlan, rate: f64, prefix: &str, avoid: Option<ShardId>) -> Self {
        let epoch = Instant::now();
        let shared = Arc::new(Shared {
            client: client.clone(),
            keys: Keys::new(&format!("{prefix}probe-"), KEYS, Distribution::Uniform),
            avoid,
            values: Values::new(plan.run, plan.value_bytes),
            registers: Registers::new(KEYS, KEYS),
            pacer: Pacer::new(Pace::Open(rate), epoch, epoch + SCHEDULE_MAX),
            epoch,
            window: Mutex::new(Arc::new(Tally::new(1))),
            gid: AtomicU64::new(0),
        });
        let mut writers = JoinSet::new();
        (1..=WRITERS).for_each(|id| drop(writers.spawn(shared.clone().write(id))));
        Self { shared, writers }
    }

    /// A stretch of time begins.
    pub fn open_window(&self) -> Window {
        let tally = Arc::new(Tally::new(self.shared.now()));
        *self.shared.window.lock() = tally.clone();
        Window { shared: self.shared.clone(), tally }
    }

    /// Which group acknowledged last.
    pub fn served_by(&self) -> u64 {
        self.shared.gid.load(Ordering::Relaxed)
    }

    /// Stops writing, and reads every key once more.
    pub async fn end(mut self) -> Checked {
        self.shared.pacer.stop();
        while self.writers.join_next().await.transpose().expect("writers do not panic").is_some() {}
        let complaints = self.shared.registers.complaints();
        let reads = self.shared.numbers().into_iter().map(|key| self.shared.read_back(key));
        stream::iter(reads).buffer_unordered(READERS).collect::<()>().await;
        let (checks, violations) = (complaints.checks(), complaints.count());
        Checked { checks, violations, complaints: complaints.first() }
    }
}

impl Window {
    /// It ends; what is still under way counts for the next one, but its silence counts here.
    pub fn close(self) -> Seen {
        self.tally.gap_until(self.shared.now());
        let mut times = histogram();
        self.tally.drain(&mut times);
        let (writes, p99_us) = (times.len(), times.value_at_quantile(0.99));
        Seen { writes, errors: self.tally.errors(), gap: self.tally.longest_gap(), p99_us }
    }
}

impl Shared {
    async fn write(self: Arc<Self>, id: u32) {
        let mut dice = Dice::fork(u64::from(id), 7);
        let mut number = 0;
        while let Some(intended) = self.pacer.next().await {
            number += 1;
            let token = Token { key: self.draw(&mut dice), client: id, number };
            let (key, value) = (self.keys.name(token.key), self.values.make(token));
            let writing = self.registers.begin_write(token, self.now()).expect("every key is watched");
            let result = self.client.put(key, value).await;
            let now = self.now();
            let tally = self.window.lock().clone();
            let ended = match result {
                Ok(written) => {
                    self.gid.store(written.gid, Ordering::Relaxed);
                    tally.done(id as usize, intended.elapsed(), now);
                    Ended::Done
                }
                Err(error) => {
                    tally.failed(&error.to_string());
                    if error.is_indeterminate() { Ended::Unknown } else { Ended::Not }
                }
            };
            self.registers.end_write(writing, ended, now);
        }
    }

    async fn read_back(&self, key: u32) {
        let reading = self.registers.begin_read(key).expect("every key is watched");
        match self.client.get(self.keys.name(key)).await {
            Ok(found) => {
                let seen = found.map(|found| self.values.read(&found.value, true));
                self.registers.end_read(reading, seen);
            }
            Err(error) => {
                let complaints = self.registers.complaints();
                complaints.add(format_args!("key {key} could not be read back: {error}"));
            }
        }
    }

    fn draw(&self, dice: &mut Dice) -> u32 {
        loop {
            let key = self.keys.draw(dice);
            if self.is_ours(key) {
                return key;
            }
        }
    }

    fn is_ours(&self, key: u32) -> bool {
        let shard = shard_of_key(&self.keys.name(key), self.client.directory().shards);
        self.avoid != Some(shard)
    }

    fn numbers(&self) -> Vec<u32> {
        (0..KEYS).filter(|key| self.is_ours(*key)).collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}
