//! How long operations took, how many failed, and the longest time in which nothing was acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Latencies are kept from a microsecond to two minutes, to three digits.
const MICROS_MAX: u64 = 120_000_000;
const DIGITS: u8 = 3;
/// Several parts, so that clients on different cores do not wait for each other.
const PARTS: usize = 8;
/// The first error tells the most.
const ERROR_CHARS_MAX: usize = 300;

/// An empty histogram of microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("these bounds are valid")
}

/// Collects what clients report. Times are nanoseconds since the run began.
#[derive(Debug)]
pub struct Tally {
    parts: Vec<Mutex<Histogram<u64>>>,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    /// When an operation was last acknowledged.
    last: AtomicU64,
    longest_gap: AtomicU64,
}

impl Tally {
    /// Nothing yet; gaps are counted from `start`.
    pub fn new(start: u64) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::new(histogram())).collect(),
            errors: AtomicU64::new(0),
            first_error: Mutex::new(None),
            last: AtomicU64::new(start),
            longest_gap: AtomicU64::new(0),
        }
    }

    /// An operation of this client was acknowledged at `now`, so long after it should have been sent.
    pub fn done(&self, client: usize, took: Duration, now: u64) {
        self.parts[client % PARTS].lock().saturating_record(micros(took));
        self.gap_until(now);
    }

    /// It has lasted so long and is not done yet.
    pub fn at_least(&self, took: Duration) {
        self.parts[0].lock().saturating_record(micros(took));
    }

    /// An operation failed.
    pub fn failed(&self, message: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_error.lock();
        if first.is_none() {
            *first = Some(message.chars().take(ERROR_CHARS_MAX).collect());
        }
    }

    /// Nothing was acknowledged between the last time and `now`.
    pub fn gap_until(&self, now: u64) {
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        let gap = now.saturating_sub(last);
        if gap > self.longest_gap.load(Ordering::Relaxed) {
            self.longest_gap.fetch_max(gap, Ordering::Relaxed);
        }
    }

    /// Takes what was collected since the last time.
    pub fn drain(&self, into: &mut Histogram<u64>) {
        for part in &self.parts {
            let mut part = part.lock();
            into.add(&*part).expect("the bounds are the same");
            part.reset();
        }
    }

    /// How many operations failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// What the first of them said.
    pub fn first_error(&self) -> Option<String> {
        self.first_error.lock().clone()
    }

    /// The longest time without an acknowledgement.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap.load(Ordering::Relaxed))
    }
}

fn micros(took: Duration) -> u64 {
    // Rounded up: nothing takes no time.
    u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(MICROS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reported_is_counted_once() {
        let (tally, mut total) = (Tally::new(0), histogram());
        for client in 0..100 {
            tally.done(client, Duration::from_micros(100), 1_000_000);
        }
        tally.done(0, Duration::from_millis(50), 9_000_000);
        tally.drain(&mut total);
        tally.drain(&mut total);
        assert_eq!(total.len(), 101);
        assert_eq!(total.value_at_quantile(0.5), 100);
        assert!((49_900..=50_100).contains(&total.max()));
        assert_eq!(tally.longest_gap(), Duration::from_millis(8));
    }

    #[test]
    fn the_first_error_is_kept() {
        let tally = Tally::new(0);
        tally.failed("no leader");
        tally.failed("timeout");
        assert_eq!((tally.errors(), tally.first_error()), (2, Some("no leader".to_owned())));
    }
}
