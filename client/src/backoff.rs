//! How long to wait before trying again.

use std::time::Duration;

use flotilla_proto::env::Random;

/// The first pause is at most this, ...
const FIRST: Duration = Duration::from_millis(5);
/// ... and every later one at most twice the one before, up to this.
const LAST: Duration = Duration::from_millis(500);

/// Exponential pauses with full jitter: anything from nothing to the bound, so that many clients do not come back at
/// once. Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    bound: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { bound: FIRST }
    }
}

impl Backoff {
    /// The next pause: at least `at_least` (what a server asked for), plus jitter.
    pub fn next(&mut self, random: &dyn Random, at_least: Duration) -> Duration {
        let bound = u64::try_from(self.bound.as_micros()).unwrap_or(u64::MAX);
        self.bound = (self.bound * 2).min(LAST);
        at_least + Duration::from_micros(random.below(bound + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Most;

    impl Random for Most {
        fn next_u64(&self) -> u64 {
            u64::MAX
        }

        fn below(&self, bound: u64) -> u64 {
            bound - 1
        }
    }

    #[test]
    fn grows_to_its_bound_and_honours_the_server() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.next(&Most, Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 500, 500]);
        assert!(backoff.next(&Most, Duration::from_secs(1)) >= Duration::from_secs(1));
    }
}
