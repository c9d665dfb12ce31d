//! How fast a node dumps.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// A limit on bytes per second. Clones share it.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_second: u64,
    free_at: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// So many bytes a second; 0: no limit.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_at: Arc::default() }
    }

    /// Waits until so many bytes, which were written just now, are due.
    pub async fn take(&self, bytes: u64) {
        if self.bytes_per_second == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free_at = self.free_at.lock();
            let now = Instant::now();
            let until = free_at.map_or(now, |free_at| free_at.max(now)) + cost;
            *free_at = Some(until);
            until
        };
        sleep_until(until).await;
    }

    /// How many bytes to write between two waits: several times a second, so that the rate is even.
    pub fn step_bytes(&self, most: u64) -> u64 {
        if self.bytes_per_second == 0 { most } else { (self.bytes_per_second / 8).clamp(1, most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_however_many_share_it() {
        let pace = Pace::new(1_000_000);
        let began = Instant::now();
        let takers = (0..4).map(|_| async {
            for _ in 0..10 {
                pace.take(50_000).await;
            }
        });
        futures::future::join_all(takers).await;
        let seconds = began.elapsed().as_secs_f64();
        assert!((1.9..2.1).contains(&seconds), "2 MB at 1 MB/s took {seconds} s");
    }
}
