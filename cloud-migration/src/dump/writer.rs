//! Writes a dump file, row by row, in memory of about two blocks.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::block::{BLOCK_TARGET_MAX, Packer};
use super::error::DumpError;
use super::footer::{Footer, tail};
use super::header::{FORMAT, FileHeader, MAGIC};
use super::hex::{Digest, FileHasher};
use super::index::{self, IndexEntry};
use super::position::Position;
use super::row::{ROW_BYTES_MAX, RowRef};
use super::section::{Tag, frame};
use super::sums::Sums;

/// What is known of a file once it is written. The same for everybody who writes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileSummary {
    /// Its length in bytes.
    pub length: u64,
    /// blake3 of the whole file.
    pub blake3: Digest,
    /// How many blocks.
    pub blocks: u64,
    /// Bytes of all blocks before compression.
    pub raw_bytes: u64,
    /// Counts and checksums over the rows.
    pub sums: Sums,
}

/// Writes one file. Every failure leaves a file that no reader takes: it has no footer.
pub struct DumpWriter<W> {
    out: Output<W>,
    header: FileHeader,
    packer: Packer,
    block: Vec<u8>,
    block_rows: u32,
    block_first: Position,
    last: Option<Position>,
    smallest: Option<Position>,
    raw_bytes: u64,
    sums: Sums,
    index: Vec<IndexEntry>,
}

/// The file so far.
struct Output<W> {
    out: W,
    name: String,
    length: u64,
    hasher: FileHasher,
}

impl<W: Write> Output<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DumpError> {
        self.out.write_all(bytes).map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> DumpError {
        DumpError::Io { file: self.name.clone(), source }
    }

    fn refused(&self, what: String) -> DumpError {
        DumpError::Refused { file: self.name.clone(), what }
    }
}

impl<W: Write> DumpWriter<W> {
    /// Begins a file; `name` is for errors. `out` gets large writes only, a buffer would gain nothing.
    pub fn new(out: W, name: impl Into<String>, header: FileHeader) -> Result<Self, DumpError> {
        let mut out = Output { out, name: name.into(), length: 0, hasher: FileHasher::default() };
        if header.format != FORMAT || !(1..=BLOCK_TARGET_MAX).contains(&header.block_bytes) {
            let (format, size) = (header.format, header.block_bytes);
            return Err(out.refused(format!(
                "cannot write format {format} with blocks of {size} bytes: format {FORMAT}, 1 to {BLOCK_TARGET_MAX}"
            )));
        }
        let packer = Packer::new(header.codec).map_err(|source| out.failed(source))?;
        let json = serde_json::to_vec(&header).expect("a header is plain data");
        out.write(&MAGIC)?;
        out.write(&frame(Tag::Header, &json))?;
        let block = Vec::with_capacity(header.block_bytes as usize + (64 << 10));
        Ok(Self {
            out,
            header,
            packer,
            block,
            block_rows: 0,
            block_first: Position::START,
            last: None,
            smallest: None,
            raw_bytes: 0,
            sums: Sums::default(),
            index: Vec::new(),
        })
    }

    /// Adds a row, which must stand after the one before and inside the header's range.
    pub fn push(&mut self, row: RowRef<'_>) -> Result<(), DumpError> {
        self.check(row)?;
        if self.block_rows == 0 {
            self.block_first = Position::of(row.kind, row.key);
        }
        let at = self.block.len();
        row.encode(&mut self.block);
        self.sums.add_encoded(row, &self.block[at..]);
        self.block_rows += 1;
        remember(&mut self.last, row);
        if self.block.len() >= self.header.block_bytes as usize {
            self.close_block()?;
        }
        Ok(())
    }

    fn check(&self, row: RowRef<'_>) -> Result<(), DumpError> {
        let shown = || Position::of(row.kind, &row.key[..row.key.len().min(64)]);
        if row.key.len() + row.value.len() > ROW_BYTES_MAX - 64 {
            return Err(self.out.refused(format!("row {} is longer than {ROW_BYTES_MAX} bytes", shown())));
        }
        if self.last.as_ref().is_some_and(|last| !is_before(last, row)) {
            return Err(self.out.refused(format!("row {} does not come after the one before it", shown())));
        }
        let FileHeader { start, end, .. } = &self.header;
        if start.is_after(row.kind, row.key)
            || end.as_ref().is_some_and(|end| !end.is_after(row.kind, row.key))
        {
            return Err(self.out.refused(format!("row {} is outside of the file's range", shown())));
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), DumpError> {
        if self.smallest.is_none() {
            self.smallest = Some(self.block_first.clone());
        }
        self.index.push(IndexEntry {
            offset: self.out.length,
            raw_bytes: self.block.len() as u64,
            rows: self.block_rows.into(),
            first: std::mem::take(&mut self.block_first),
        });
        let packed = self.packer.pack(&self.block, self.block_rows);
        let (head, stored) = packed.map_err(|source| self.out.failed(source))?;
        self.out.write(&head)?;
        self.out.write(stored)?;
        self.raw_bytes += self.block.len() as u64;
        self.block.clear();
        self.block_rows = 0;
        Ok(())
    }

    /// Bytes of rows taken so far, before compression; for progress and rate limits.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes + self.block.len() as u64
    }

    /// Ends the file. The caller flushes and syncs what it gave.
    pub fn finish(mut self) -> Result<(W, FileSummary), DumpError> {
        if self.block_rows > 0 {
            self.close_block()?;
        }
        let index_offset = self.out.length;
        self.out.write(&frame(Tag::Index, &index::encode(&self.index)))?;
        let blocks = self.index.len() as u64;
        let footer = Footer {
            blocks,
            index_offset,
            raw_bytes: self.raw_bytes,
            sums: self.sums,
            smallest: self.smallest,
            largest: self.last,
            blake3: self.out.hasher.digest(),
        };
        let footer_offset = self.out.length;
        let json = serde_json::to_vec(&footer).expect("a footer is plain data");
        self.out.write(&frame(Tag::Footer, &json))?;
        self.out.write(&tail(footer_offset))?;
        let Output { out, length, hasher, .. } = self.out;
        let summary = FileSummary {
            length,
            blake3: hasher.digest(),
            blocks,
            raw_bytes: footer.raw_bytes,
            sums: footer.sums,
        };
        Ok((out, summary))
    }
}

/// Whether a position is strictly before a row's.
pub(super) fn is_before(position: &Position, row: RowRef<'_>) -> bool {
    match position.0.split_first() {
        None => true,
        Some((first, rest)) => (*first, rest) < (row.kind as u8, row.key),
    }
}

/// Sets a position to a row's, in the memory it has.
pub(super) fn remember(position: &mut Option<Position>, row: RowRef<'_>) {
    let Position(bytes) = position.get_or_insert_default();
    bytes.clear();
    bytes.push(row.kind as u8);
    bytes.extend_from_slice(row.key);
}
