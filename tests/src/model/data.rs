//! What a shard holds: rows, session lanes, the write counter, replicated time and the session floor.

use super::schedule::{Op, OpKind};

/// Keys of a shard. Each key is a chunk of the base copy by itself.
pub const KEYS: usize = 2;
/// Clients, each with one lane.
pub const CLIENTS: usize = 2;
/// Replicated time at the beginning. It passes once, to [`LATER`].
pub const NOW: u8 = 1;
/// Replicated time once it has passed.
pub const LATER: u8 = 2;
/// For how long sessions are remembered.
const WINDOW: u8 = 1;

/// A value: the tokens appended to it, oldest first, four bits each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Value(u32);

impl Value {
    /// This value with `token` (1 to 15) appended.
    pub fn append(self, token: u8) -> Self {
        Self(self.0 << 4 | u32::from(token))
    }

    /// The tokens, newest first.
    pub fn tokens(self) -> impl Iterator<Item = u8> {
        (0..8).map(move |i| (self.0 >> (4 * i) & 0xf) as u8).take_while(|token| *token != 0)
    }

    /// How often `token` stands in this value.
    pub fn count(self, token: u8) -> usize {
        self.tokens().filter(|t| *t == token).count()
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A stored row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// The tokens.
    pub value: Value,
    /// The shard's write counter at the last write of this key.
    pub version: u8,
    /// The replicated time at which the row expires; 0 is never.
    pub expires: u8,
}

/// Everything of a shard that must travel with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Data {
    /// The rows by key.
    pub rows: [Option<Row>; KEYS],
    /// The sequence number of each client's last write; 0 when there is no session row.
    pub lanes: [u8; CLIENTS],
    /// The write counter.
    pub counter: u8,
    /// Replicated time.
    pub time: u8,
    /// Session rows of commands issued at or before the floor are gone, whether or not they were removed yet, and such
    /// commands are refused.
    pub floor: u8,
}

impl Default for Data {
    fn default() -> Self {
        Self { rows: [None; KEYS], lanes: [0; CLIENTS], counter: 0, time: NOW, floor: 0 }
    }
}

impl Data {
    /// A shard with a row under every key, written before the model begins.
    pub fn filled() -> Self {
        let mut data = Self::default();
        for key in 0..KEYS {
            data.counter += 1;
            let value = Value::default().append(15 - key as u8);
            data.rows[key] = Some(Row { value, version: data.counter, expires: 0 });
        }
        data
    }

    /// The row of `key` as a reader sees it: an expired one is hidden, whether or not it was swept.
    pub fn live(&self, key: usize) -> Option<Row> {
        self.rows[key].filter(|row| row.expires == 0 || row.expires > self.time)
    }

    /// Whether `op` changes a row: a compare may fail, and a key to be deleted may be absent. What changes nothing
    /// leaves the counter alone, but is remembered like any other outcome.
    pub fn changes(&self, op: Op) -> bool {
        match op.kind {
            OpKind::Append | OpKind::PutWithTtl => true,
            OpKind::Delete => self.live(op.key).is_some(),
            OpKind::AppendIfAbsent => self.live(op.key).is_none(),
        }
    }

    /// The floor after a command issued at some time: the window counts from the greater of that and the shard's time.
    pub fn floor_after(&self, issued_at: u8) -> u8 {
        self.floor.max(self.time.max(issued_at) - WINDOW)
    }

    /// The rows and lanes go; counter, time and floor stay, as they only grow.
    pub fn forget_rows(&mut self) {
        (self.rows, self.lanes) = ([None; KEYS], [0; CLIENTS]);
    }

    /// Applies `op` with the counter already raised.
    pub fn write(&mut self, op: Op, token: u8) {
        if !self.changes(op) {
            return;
        }
        let version = self.counter;
        self.rows[op.key] = match op.kind {
            OpKind::Append | OpKind::AppendIfAbsent => {
                let old = self.live(op.key);
                let expires = old.map_or(0, |row| row.expires);
                let value = old.map_or(Value::default(), |row| row.value).append(token);
                Some(Row { value, version, expires })
            }
            OpKind::PutWithTtl => {
                Some(Row { value: Value::default().append(token), version, expires: LATER })
            }
            OpKind::Delete => None,
        };
    }
}
