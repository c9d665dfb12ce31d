//! Random numbers from a seed: SplitMix64, small enough to be read and the same on every machine and in every version.

use std::time::Duration;

use flotilla_proto::env::Random;
use parking_lot::Mutex;

/// A stream of random numbers. Two with the same seed give the same numbers.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    state: Mutex<u64>,
}

/// SplitMix64's output function: every bit of the input moves every bit of the output.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Dice {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::new(mix(seed ^ 0x9e37_79b9_7f4a_7c15)) }
    }

    /// Another stream that depends on the seed and the name only, not on what was drawn before: a choice that is added
    /// here does not change what is drawn elsewhere.
    pub fn fork(&self, name: &str, number: u64) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(mix(self.seed ^ hash) ^ mix(number.wrapping_add(0x51ed_270b)))
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub fn permille(&self, permille: u64) -> bool {
        permille > 0 && self.below(1000) < permille
    }

    /// One of them.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        let index = self.below(from.len() as u64);
        from.get(usize::try_from(index).unwrap_or(0))
    }

    /// One of the numbers of a list that is not empty.
    pub fn of(&self, from: &[u64]) -> u64 {
        self.pick(from).copied().unwrap_or_default()
    }

    /// Milliseconds from `low` to `high`.
    pub fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.range(low, high))
    }

    /// Microseconds from `low` to `high`.
    pub fn micros(&self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.range(low, high))
    }

    /// The same things in another order.
    pub fn shuffle<T>(&self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            things.swap(last, other);
        }
    }
}

impl Random for Dice {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_forks_do_not_depend_on_draws() {
        let (one, two) = (Dice::new(7), Dice::new(7));
        let first: Vec<u64> = (0..10).map(|_| one.next_u64()).collect();
        assert_eq!(first, (0..10).map(|_| two.next_u64()).collect::<Vec<_>>());
        assert_eq!(one.fork("net", 1).next_u64(), Dice::new(7).fork("net", 1).next_u64());
        assert_ne!(one.fork("net", 1).next_u64(), one.fork("net", 2).next_u64());
        assert_ne!(one.fork("net", 1).next_u64(), one.fork("disk", 1).next_u64());
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut things: Vec<u64> = (0..50).collect();
        Dice::new(3).shuffle(&mut things);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
