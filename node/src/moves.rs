//! What the leaders' performers on this node know of moves and the replicated state does not: speed, retries, errors.
//! It is memory for people; nothing decides by it. And the node's limits on moves: bytes per second and slots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::kv_v1::MoveProgress;
use flotilla_types::{ConfigNum, GroupId, ShardId};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// The most moves remembered; the oldest go first.
const REMEMBERED_MAX: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    gid: GroupId,
    config: ConfigNum,
    shard: ShardId,
}

struct Entry {
    progress: MoveProgress,
    started: Instant,
    sealing: Option<Instant>,
}

/// The node's moves; cheap to clone.
#[derive(Clone)]
pub struct Moves {
    entries: Arc<Mutex<BTreeMap<Key, Entry>>>,
    slots: Arc<Semaphore>,
    bytes_per_second: u64,
    free_at: Arc<Mutex<Option<Instant>>>,
}

impl Moves {
    /// No moves; at most `slots` chunks are pulled at a time, at `bytes_per_second` together (0: no limit).
    pub fn new(slots: usize, bytes_per_second: u64) -> Self {
        let slots = Arc::new(Semaphore::new(slots));
        Self { entries: Arc::default(), slots, bytes_per_second, free_at: Arc::default() }
    }

    /// Waits for a turn. Held for one chunk only, and turns are in order of asking: no source keeps another waiting.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// Waits until `bytes` more may have flowed.
    pub async fn pace(&self, bytes: usize) {
        if self.bytes_per_second == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free_at = self.free_at.lock();
            let now = Instant::now();
            let start = free_at.map_or(now, |free_at| free_at.max(now));
            *free_at = Some(start + cost);
            start + cost
        };
        sleep_until(until).await;
    }

    fn with(&self, gid: GroupId, shard: ShardId, config: ConfigNum, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.lock();
        let key = Key { gid, config, shard };
        let progress = MoveProgress { shard: shard.get(), config: config.get(), ..MoveProgress::default() };
        change(entries.entry(key).or_insert_with(|| Entry {
            progress,
            started: Instant::now(),
            sealing: None,
        }));
        if entries.len() > REMEMBERED_MAX {
            entries.pop_first();
        }
    }

    /// A chunk of so many bytes arrived.
    pub fn received(&self, gid: GroupId, shard: ShardId, config: ConfigNum, bytes: usize) {
        self.with(gid, shard, config, |entry| {
            entry.progress.bytes += bytes as u64;
            let seconds = entry.started.elapsed().as_secs_f64().max(0.001);
            entry.progress.bytes_per_second = (entry.progress.bytes as f64 / seconds) as u64;
            entry.progress.last_error.clear();
        });
    }

    /// The old owner is being asked to stop serving: the pause begins.
    pub fn sealing(&self, gid: GroupId, shard: ShardId, config: ConfigNum) {
        self.with(gid, shard, config, |entry| {
            entry.sealing.get_or_insert_with(Instant::now);
        });
    }

    /// The shard is here: the pause is over.
    pub fn arrived(&self, gid: GroupId, shard: ShardId, config: ConfigNum) {
        self.with(gid, shard, config, |entry| {
            if let (0, Some(sealing)) = (entry.progress.pause_ms, entry.sealing) {
                entry.progress.pause_ms =
                    u64::try_from(sealing.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            }
        });
    }

    /// An attempt came to nothing.
    pub fn failed(&self, gid: GroupId, shard: ShardId, config: ConfigNum, error: &str) {
        self.with(gid, shard, config, |entry| {
            entry.progress.retries = entry.progress.retries.saturating_add(1);
            entry.progress.last_error = error.to_owned();
        });
    }

    /// The moves into one group, oldest first.
    pub fn of(&self, gid: GroupId) -> Vec<MoveProgress> {
        let entries = self.entries.lock();
        let first = Key { gid, config: ConfigNum(0), shard: ShardId(0) };
        let own = entries.range(first..).take_while(|(key, _)| key.gid == gid);
        own.map(|(_, entry)| entry.progress.clone()).collect()
    }
}
