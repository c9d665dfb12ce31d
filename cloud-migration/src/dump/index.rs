//! The list of a file's blocks: lets a reader fetch one block of a file that lies far away.

use super::position::Position;
use super::varint;

/// One block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes of its rows.
    pub raw_bytes: u64,
    /// How many rows.
    pub rows: u64,
    /// The position of its first row.
    pub first: Position,
}

/// The index's bytes: `count { offset raw_bytes rows first_len first }*`, numbers as varints.
pub fn encode(entries: &[IndexEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, entries.len() as u64);
    for IndexEntry { offset, raw_bytes, rows, first } in entries {
        [*offset, *raw_bytes, *rows, first.0.len() as u64].iter().for_each(|n| varint::put(&mut out, *n));
        out.extend_from_slice(&first.0);
    }
    out
}

/// Reads the index's bytes. None: not of this layout.
pub fn decode(mut input: &[u8]) -> Option<Vec<IndexEntry>> {
    let count = varint::take(&mut input)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (offset, raw_bytes, rows) =
            (varint::take(&mut input)?, varint::take(&mut input)?, varint::take(&mut input)?);
        let length = usize::try_from(varint::take(&mut input)?).ok()?;
        let first = Position(input.split_off(..length)?.to_vec());
        entries.push(IndexEntry { offset, raw_bytes, rows, first });
    }
    input.is_empty().then_some(entries)
}
