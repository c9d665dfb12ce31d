//! The one clock of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Nanoseconds since the run began, for everybody who records it. Cheap to clone.
///
/// No stamp is given twice, and a later one is greater, also where time stands still as in a simulation between two timers:
/// whatever returned before something else was called has the smaller stamp.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    began: Instant,
    last: Arc<AtomicU64>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::start()
    }
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }

    /// A stamp.
    pub fn now_ns(&self) -> u64 {
        let elapsed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let next = |last: u64| Some(elapsed.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        let last = last.unwrap_or_else(|last| last);
        elapsed.max(last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stamp_is_given_twice() {
        let stopwatch = Stopwatch::start();
        let mut before = stopwatch.now_ns();
        for _ in 0..10_000 {
            let now = stopwatch.clone().now_ns();
            assert!(before < now);
            before = now;
        }
        // A stamp from the future, as where time stands still, moves all later ones.
        stopwatch.last.store(u64::MAX / 2, Ordering::SeqCst);
        assert_eq!(stopwatch.now_ns(), u64::MAX / 2 + 1);
    }
}
