//! A limit on bytes per second, shared by all who hold it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// How far ahead of the rate a burst may run: long enough that wake-ups cost nothing, short against any second measured.
const BURST: Duration = Duration::from_millis(90);

/// A limit on bytes per second. Clones share it.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bytes_per_second: u64,
    /// When all bytes given out so far will have been due.
    due: Arc<Mutex<Instant>>,
}

impl RateLimit {
    /// So many bytes per second; 0: no limit.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, due: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Waits until so many more bytes are due.
    pub async fn take(&self, bytes: u64) {
        if self.bytes_per_second == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let due = {
            let mut due = self.due.lock();
            let now = Instant::now();
            // What was not used is not saved up, but for a burst.
            *due = (*due).max(now.checked_sub(BURST).unwrap_or(now)) + cost;
            *due
        };
        sleep_until(due).await;
    }

    /// A size for pieces under this limit: several each second, so that the rate is even.
    pub fn piece_bytes(&self, most: usize) -> usize {
        match self.bytes_per_second {
            0 => most,
            rate => usize::try_from(rate / 16).unwrap_or(most).clamp(1024, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_within_a_tenth_however_many_share_it() {
        let limit = RateLimit::new(1_000_000);
        let began = Instant::now();
        let takers = (0..4).map(|_| async {
            for _ in 0..100 {
                limit.take(10_000).await;
            }
        });
        futures::future::join_all(takers).await;
        let seconds = began.elapsed().as_secs_f64();
        assert!((3.6..4.4).contains(&seconds), "4 MB at 1 MB/s took {seconds} s");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        limit.take(1_000_000).await;
        assert!(began.elapsed() >= Duration::from_millis(900), "a minute's rest was saved up");
        RateLimit::new(0).take(u64::MAX).await;
    }
}
