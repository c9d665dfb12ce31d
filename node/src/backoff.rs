//! How long to wait before trying again: exponential, bounded, with jitter.

use std::time::Duration;

use flotilla_proto::env::Random;

/// The first wait.
const FIRST: Duration = Duration::from_millis(10);
/// The longest one.
const LAST: Duration = Duration::from_millis(500);

/// The wait before attempt `failures + 1`: between half and all of 10 ms, 20 ms, ... 500 ms.
pub fn wait(failures: u32, random: &dyn Random) -> Duration {
    let full = LAST.min(FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)));
    let half_us = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX);
    Duration::from_micros(half_us + random.below(half_us + 1))
}
