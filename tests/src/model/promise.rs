//! What clients were promised: the shard as one server that never moves would hold it.

use super::data::{CLIENTS, Data};
use super::schedule::{Gid, Op};

/// Configs of the longest chain, plus one.
const CONFIGS: usize = 8;

/// The ideal of one shard. Every applied write counts: its answer may have reached the client.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Promise {
    /// The rows, the counter and the time that readers may rely on.
    pub data: Data,
    /// The tokens (as bits) applied so far.
    applied: u16,
    /// Whether a write was applied twice, or after a later one of the same client.
    pub twice: bool,
    /// Configs (as bits) whose move was aborted.
    pub aborted: u8,
    /// For each config the groups (as bits) that could answer with its number.
    servers: [u8; CONFIGS],
}

impl Promise {
    /// A promise of these rows.
    pub fn new(data: Data) -> Self {
        Self { data, ..Self::default() }
    }

    /// A group applied `op` (or recorded that its compare failed) and answered with `version`.
    pub fn write(&mut self, op: Op, client: usize, seq: u8, version: u8) {
        let later = (seq..=3).any(|later| self.is_applied(client, later));
        self.twice |= later;
        self.applied |= 1 << token(client, seq);
        self.data.counter = self.data.counter.max(version);
        let counter = std::mem::replace(&mut self.data.counter, version);
        self.data.write(op, token(client, seq));
        self.data.counter = counter;
    }

    /// Whether the client's write took effect, so that an answer is on its way.
    pub fn is_applied(&self, client: usize, seq: u8) -> bool {
        self.applied & 1 << token(client, seq) != 0
    }

    /// Notes that `gid` could answer with config `num`.
    pub fn serve(&mut self, gid: Gid, num: u8) {
        self.servers[usize::from(num)] |= 1 << gid;
    }

    /// Whether some config had two servers.
    pub fn has_rivals(&self) -> bool {
        self.servers.iter().any(|groups| groups.count_ones() > 1)
    }

    /// A number that grows with every write and tick.
    pub fn progress(&self) -> u32 {
        self.applied.count_ones() + u32::from(self.data.time)
    }
}

/// The token that a write leaves in a value: 1 to 3, 5 to 7.
pub fn token(client: usize, seq: u8) -> u8 {
    assert!(client < CLIENTS && (1..=3).contains(&seq), "a token is four bits");
    client as u8 * 4 + seq
}
