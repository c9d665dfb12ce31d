//! What a shard holds: rows, session lanes, the write counter, replicated time and the session floor.

use super::schedule::{Op, OpKind};

/// Keys of a shard. Each key is a chunk of the base copy by itself.
pub const KEYS: usize = 2;
/// Clients, each with one lane.
pub const CLIENTS: usize = 2;

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
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Data {
    /// The rows by key.
    pub rows: [Option<Row>; KEYS],
    /// The sequence number of each client's last write; 0 when there is no session row.
    pub lanes: [u8; CLIENTS],
    /// The write counter.
    pub counter: u8,
    /// Replicated time.
    pub time: u8,
    /// Commands issued at or before the floor are refused when they have no session row.
    pub floor: u8,
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

    /// Whether `op` is a compare that fails on this data.
    pub fn fails(&self, op: Op) -> bool {
        op.kind == OpKind::AppendIfAbsent && self.live(op.key).is_some()
    }

    /// Applies `op` with the counter already raised.
    pub fn write(&mut self, op: Op, token: u8) {
        if self.fails(op) {
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
            OpKind::PutWithTtl => Some(Row { value: Value::default().append(token), version, expires: 1 }),
            OpKind::Delete => None,
        };
    }
}
