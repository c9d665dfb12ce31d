//! What a value holds: who wrote it, where, and filling that does not compress.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_workload::Dice;

/// Names one write, once and for all runs that share a [`Values`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The number of the key that it belongs to.
    pub key: u32,
    /// Who wrote.
    pub client: u32,
    /// Which of its writes.
    pub number: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} of client {} to key {}", self.number, self.client, self.key)
    }
}

/// The head of every value; shorter values cannot be told apart.
pub const VALUE_BYTES_MIN: usize = 16;

/// Where the filling may begin.
const OFFSETS: usize = 4096;

/// Makes values of one length and reads them.
#[derive(Clone, Debug)]
pub struct Values {
    /// Tells this process's values from those that earlier ones left.
    run: u32,
    length: usize,
    filling: Bytes,
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A value that this process wrote.
    Ours(Token),
    /// A value of an earlier process, or of somebody else.
    Foreign,
    /// A value of ours that is not as it was written.
    Torn(Token),
}

impl Values {
    /// Values of `length` bytes, at least [`VALUE_BYTES_MIN`], of the run with this number.
    pub fn new(run: u32, length: usize) -> Self {
        assert!(length >= VALUE_BYTES_MIN, "the plan was checked");
        let mut dice = Dice::new(u64::from(run));
        let mut filling = BytesMut::with_capacity(length + OFFSETS + 8);
        while filling.len() < length + OFFSETS {
            filling.put_u64(dice.next_u64());
        }
        Self { run, length, filling: filling.freeze() }
    }

    /// How long each is.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The value of a write.
    pub fn make(&self, token: Token) -> Bytes {
        let mut value = BytesMut::with_capacity(self.length);
        value.put_u32(self.run);
        value.put_u32(token.key);
        value.put_u32(token.client);
        value.put_u32(token.number);
        value.put_slice(self.filling(token));
        value.freeze()
    }

    /// Who wrote this. `thoroughly` compares the filling too.
    pub fn read(&self, value: &[u8], thoroughly: bool) -> Seen {
        let word = |at: usize| {
            let bytes: [u8; 4] = value.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let [Some(run), Some(key), Some(client), Some(number)] = [0, 4, 8, 12].map(word) else {
            return Seen::Foreign;
        };
        if run != self.run {
            return Seen::Foreign;
        }
        let token = Token { key, client, number };
        let whole =
            value.len() == self.length && (!thoroughly || value[VALUE_BYTES_MIN..] == *self.filling(token));
        if whole { Seen::Ours(token) } else { Seen::Torn(token) }
    }

    fn filling(&self, token: Token) -> &[u8] {
        let hash =
            token.client.wrapping_mul(0x9e37_79b9) ^ token.number.wrapping_mul(0x85eb_ca6b) ^ token.key;
        let from = hash as usize % OFFSETS;
        &self.filling[from..from + self.length - VALUE_BYTES_MIN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_and_damage_is_seen() {
        let values = Values::new(7, 64);
        let token = Token { key: 1, client: 2, number: 3 };
        let value = values.make(token);
        assert_eq!(value.len(), 64);
        assert_eq!(values.read(&value, true), Seen::Ours(token));
        let mut torn = value.to_vec();
        torn[40] ^= 1;
        assert_eq!(values.read(&torn, true), Seen::Torn(token));
        assert_eq!(values.read(&value[..63], false), Seen::Torn(token));
        assert_eq!(values.read(b"somebody else's", true), Seen::Foreign);
        assert_eq!(Values::new(8, 64).read(&value, true), Seen::Foreign);
    }

    #[test]
    fn the_shortest_value_is_its_head() {
        let values = Values::new(7, VALUE_BYTES_MIN);
        let token = Token { key: u32::MAX, client: 0, number: u32::MAX };
        assert_eq!(values.read(&values.make(token), true), Seen::Ours(token));
    }
}
