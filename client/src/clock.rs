//! When a write was issued, on the cluster's clock as far as this client knows it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flotilla_proto::env::Clock;
use tokio::time::Instant;

/// A difference up to this is left alone: answers travel, and shards' clocks are stamped, not shared.
const TOLERANCE_MS: u64 = 5_000;

/// A clock that runs evenly whatever the machine's wall clock does, and is put right by the cluster's answers.
///
/// The cluster refuses writes that seem older than its memory of retries, or issued in the future. So a client whose clock
/// is far off would be shut out; it learns the right time from the first answer instead.
pub(crate) struct SessionClock {
    started: Instant,
    started_ms: u64,
    offset_ms: AtomicI64,
    corrections: AtomicU64,
}

impl SessionClock {
    pub fn new(clock: &dyn Clock) -> Self {
        Self {
            started: Instant::now(),
            started_ms: clock.now_ms(),
            offset_ms: AtomicI64::new(0),
            corrections: AtomicU64::new(0),
        }
    }

    /// Milliseconds since 1970 UTC, corrected; never 0, which would mean no time.
    pub fn now_ms(&self) -> u64 {
        self.local_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)).max(1)
    }

    /// A shard said what time it is. Only answers to writes are fresh enough to be believed.
    pub fn heard(&self, time_ms: u64) {
        if time_ms == 0 || self.now_ms().abs_diff(time_ms) <= TOLERANCE_MS {
            return;
        }
        let offset = i128::from(time_ms) - i128::from(self.local_ms());
        let offset = i64::try_from(offset).unwrap_or(0);
        self.offset_ms.store(offset, Ordering::Relaxed);
        self.corrections.fetch_add(1, Ordering::Relaxed);
    }

    /// How often this clock was put right.
    pub fn corrections(&self) -> u64 {
        self.corrections.load(Ordering::Relaxed)
    }

    fn local_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64);

    impl Clock for At {
        fn now_ms(&self) -> u64 {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_far_off_is_put_right() {
        for wrong in [0, 5, u64::MAX] {
            let clock = SessionClock::new(&At(wrong));
            clock.heard(1_700_000_000_000);
            if wrong != u64::MAX {
                assert_eq!(clock.now_ms(), 1_700_000_000_000);
            }
            clock.heard(0);
            clock.heard(u64::MAX);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_differences_are_left_alone() {
        let clock = SessionClock::new(&At(1_000_000));
        clock.heard(1_004_000);
        assert_eq!(clock.now_ms(), 1_000_000);
        tokio::time::advance(std::time::Duration::from_secs(3)).await;
        assert_eq!(clock.now_ms(), 1_003_000);
    }
}
