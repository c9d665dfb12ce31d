//! Lanes: one write in flight each.
//!
//! The cluster remembers the last write of each lane in each shard, and refuses an older one. So a lane is used by one
//! write at a time, each with a higher number than the one before. A write that was given up on with its outcome
//! unknown leaves its lane usable: what of it may still travel is older than the lane's next write, and where that was applied
//! it is refused.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The lanes of one client.
pub(crate) struct Lanes {
    /// Free lanes with the number of their last write.
    free: Mutex<BTreeMap<u32, u64>>,
    permits: Semaphore,
}

/// A lane in use; dropping it gives it back.
pub(crate) struct Lane<'a> {
    lanes: &'a Lanes,
    pub id: u32,
    pub seq: u64,
    _permit: SemaphorePermit<'a>,
}

impl Lanes {
    pub fn new(count: usize) -> Self {
        let free = (0u32..).take(count).map(|id| (id, 0)).collect();
        Self { free: Mutex::new(free), permits: Semaphore::new(count) }
    }

    /// Waits for a free lane. The lowest one is taken, so that a client that writes little leaves few traces.
    pub async fn take(&self) -> Lane<'_> {
        let permit = self.permits.acquire().await.expect("never closed");
        let (id, last) = self.free.lock().pop_first().expect("as many free lanes as permits");
        Lane { lanes: self, id, seq: last + 1, _permit: permit }
    }
}

impl Lane<'_> {
    /// Goes on to the lane's next write: only after the present one was definitely refused.
    pub fn advance(&mut self) {
        self.seq += 1;
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        // Before the permit, which is a field and so goes afterwards.
        self.lanes.free.lock().insert(self.id, self.seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lane_has_one_write_at_a_time_and_numbers_grow() {
        let lanes = Lanes::new(2);
        let (first, second) = (lanes.take().await, lanes.take().await);
        assert_eq!(((first.id, first.seq), (second.id, second.seq)), ((0, 1), (1, 1)));
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(10), lanes.take()).await;
        assert!(waiting.is_err(), "both are in use");
        drop(second);
        let third = lanes.take().await;
        assert_eq!((third.id, third.seq), (1, 2));
        drop(first);
        assert_eq!(lanes.take().await.seq, 2);
    }
}
