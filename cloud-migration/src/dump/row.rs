//! One logical row, and its bytes inside a block.

use bytes::Bytes;

use super::varint;

/// The most bytes that a row may take: a value of 8 MiB has room many times over, a damaged length has not.
pub const ROW_BYTES_MAX: usize = 64 << 20;

/// What kind of row it is. The numbers are in files and never change; rows stand in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum RowKind {
    /// A client's key with its value.
    Data = 0,
    /// What a shard remembers of one client's writes. Key and value are the shard's own encodings.
    Session = 1,
}

impl RowKind {
    fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Data),
            1 => Some(Self::Session),
            _ => None,
        }
    }
}

/// A row that lies somewhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowRef<'a> {
    /// Its kind.
    pub kind: RowKind,
    /// Its key.
    pub key: &'a [u8],
    /// The shard's write counter at the last write; 0 for a session.
    pub version: u64,
    /// When it expires, in the shard's time; 0 never, and for a session.
    pub expires_at_ms: u64,
    /// Its value.
    pub value: &'a [u8],
}

/// A row read from a block; key and value share the block's memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its kind.
    pub kind: RowKind,
    /// Its key.
    pub key: Bytes,
    /// The shard's write counter at the last write; 0 for a session.
    pub version: u64,
    /// When it expires, in the shard's time; 0 never, and for a session.
    pub expires_at_ms: u64,
    /// Its value.
    pub value: Bytes,
}

impl Row {
    /// The same row, borrowed.
    pub fn as_ref(&self) -> RowRef<'_> {
        let Self { kind, key, version, expires_at_ms, value } = self;
        RowRef { kind: *kind, key, version: *version, expires_at_ms: *expires_at_ms, value }
    }
}

impl RowRef<'_> {
    /// Appends the row's bytes: `kind(1) key_len key version expires_at value_len value`, numbers as varints.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        varint::put(out, self.key.len() as u64);
        out.extend_from_slice(self.key);
        varint::put(out, self.version);
        varint::put(out, self.expires_at_ms);
        varint::put(out, self.value.len() as u64);
        out.extend_from_slice(self.value);
    }

    /// The bytes that the user sees: key and value.
    pub(super) fn logical_bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

/// Takes the row that begins at byte `at` of a block. Answers where the next one begins. None: no row begins there.
pub(super) fn decode(block: &Bytes, at: usize) -> Option<(Row, usize)> {
    let mut input = block.get(at..)?;
    let kind = RowKind::of_byte(*input.split_off_first()?)?;
    let key = take_bytes(block, &mut input)?;
    let (version, expires_at_ms) = (varint::take(&mut input)?, varint::take(&mut input)?);
    let value = take_bytes(block, &mut input)?;
    Some((Row { kind, key, version, expires_at_ms, value }, block.len() - input.len()))
}

/// Takes a length and as many bytes, without copying them. `input` is the end of `block`.
fn take_bytes(block: &Bytes, input: &mut &[u8]) -> Option<Bytes> {
    let length = usize::try_from(varint::take(input)?).ok()?;
    input.split_off(..length)?;
    let end = block.len() - input.len();
    Some(block.slice(end - length..end))
}
