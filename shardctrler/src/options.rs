//! The machine's bounds. The same on every replica: they decide what is refused and what is forgotten.

/// How much the controller remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How many of the newest configurations are always kept, settled or not.
    pub configs_kept_min: u64,
    /// How many configurations are kept at most. While a group that settles nothing holds them back, further
    /// joins, leaves and moves are refused.
    pub configs_kept_max: u64,
    /// How many request ids are remembered with their answers, the newest ones.
    pub requests_kept: u64,
    /// How many records of torn-down groups are kept for nodes that were away.
    pub torn_down_kept: usize,
    /// How many locks there can be.
    pub locks_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            configs_kept_min: 1000,
            configs_kept_max: 10_000,
            requests_kept: 1024,
            torn_down_kept: 1000,
            locks_max: 1024,
        }
    }
}
