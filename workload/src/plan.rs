//! What load to put on a cluster.

use std::ops::Range;
use std::time::Duration;

/// The most workers that use one key.
pub const CREW_MAX: usize = 10;
/// The most operations on one key.
pub const OPS_PER_KEY_MAX: u64 = 200;

/// What load to put on a cluster.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything random comes from it.
    pub seed: u64,
    /// How many workers, each with a client of its own.
    pub clients: usize,
    /// The number of the first one's client: other loads on the same cluster use others.
    pub first: u64,
    /// How many workers share keys: 1 to [`CREW_MAX`]; more is cut to that.
    pub crew: usize,
    /// How many keys each crew works on at a time that are only appended to and read.
    pub append_keys: usize,
    /// How many keys each crew works on at a time with the whole mix.
    pub shared_keys: usize,
    /// What keys begin with: two loads on one cluster need different ones.
    pub prefix: String,
    /// After so many operations a key gets a new name; at most [`OPS_PER_KEY_MAX`].
    pub ops_per_key: u64,
    /// What is done with shared keys; on append keys only its gets and appends count.
    pub mix: Mix,
    /// How long values of puts and swaps are, in bytes. Each begins with a unique token, however short it should be.
    pub value_bytes: Range<u64>,
    /// How long a worker rests between two operations.
    pub think: Range<Duration>,
    /// At most so many operations a second, all workers together; none: as many as come.
    pub rate: Option<u32>,
    /// So many operations in a thousand get next to no time, so that their outcome is often unknown.
    pub hasty_per_mille: u32,
    /// How much time those get.
    pub hasty: Range<Duration>,
    /// Before so many operations in a thousand, the worker drops its client and connects a new one.
    pub reconnect_per_mille: u32,
    /// Each worker stops by itself after so many operations; none: only when it is told to.
    pub ops_per_client: Option<u64>,
}

/// How often what is done, as weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mix {
    /// Reads.
    pub get: u32,
    /// Overwrites.
    pub put: u32,
    /// Appends of a unique token.
    pub append: u32,
    /// Deletes.
    pub delete: u32,
    /// Compare-and-sets.
    pub swap: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { get: 40, put: 15, append: 25, delete: 5, swap: 15 }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            clients: 10,
            first: 0,
            crew: 5,
            append_keys: 5,
            shared_keys: 5,
            prefix: String::new(),
            ops_per_key: 150,
            mix: Mix::default(),
            value_bytes: 8..100,
            think: Duration::ZERO..Duration::from_millis(10),
            rate: None,
            hasty_per_mille: 5,
            hasty: Duration::from_millis(1)..Duration::from_millis(50),
            reconnect_per_mille: 1,
            ops_per_client: None,
        }
    }
}

impl Plan {
    /// Defaults with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// How many workers share keys.
    pub(crate) fn crew(&self) -> usize {
        self.crew.clamp(1, CREW_MAX)
    }

    /// How much time must at least pass between two operations of one worker.
    pub(crate) fn interval(&self) -> Duration {
        let clients = u32::try_from(self.clients).unwrap_or(u32::MAX);
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * clients / rate.max(1))
    }
}
