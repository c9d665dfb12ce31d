//! Reads a dump file from front to end, block by block, believing nothing unchecked.

use std::io::{self, Read};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::block::{HEAD_BYTES, Head};
use super::error::{DumpError, Place};
use super::footer::{Footer, TAIL_BYTES, tail};
use super::header::{FORMAT, FileHeader, MAGIC};
use super::hex::FileHasher;
use super::index::{self, IndexEntry};
use super::position::Position;
use super::row::{self, Row};
use super::section::{FRAME_BYTES, SECTION_BYTES_MAX, Tag, checksum};
use super::sums::Sums;
use super::writer::{FileSummary, is_before, remember};

/// One block, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its number, from 0.
    pub number: u64,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Reads one file.
///
/// Blocks are checked one by one, the file only at its end: rows may be used at once where they can be taken back, and the
/// file is whole when [`next_block`](Self::next_block) has answered none.
pub struct DumpReader<R> {
    input: Input<R>,
    header: FileHeader,
    zstd: zstd::bulk::Decompressor<'static>,
    index: Vec<IndexEntry>,
    raw_bytes: u64,
    sums: Sums,
    smallest: Option<Position>,
    last: Option<Position>,
    summary: Option<FileSummary>,
}

impl<R: Read> DumpReader<R> {
    /// Reads the header; `name` is for errors.
    pub fn new(input: R, name: impl Into<String>) -> Result<Self, DumpError> {
        let mut input = Input::new(input, name.into());
        let header = read_header(&mut input)?;
        let zstd = zstd::bulk::Decompressor::new()
            .map_err(|source| DumpError::Io { file: input.name.clone(), source })?;
        Ok(Self {
            input,
            header,
            zstd,
            index: Vec::new(),
            raw_bytes: 0,
            sums: Sums::default(),
            smallest: None,
            last: None,
            summary: None,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The next block; none: the end, and the file is whole.
    pub fn next_block(&mut self) -> Result<Option<Block>, DumpError> {
        if self.summary.is_some() {
            return Ok(None);
        }
        let number = self.index.len() as u64;
        self.input.begin(Place::Block(number));
        let [tag] = self.input.array()?;
        if tag == Tag::Block as u8 {
            return self.block(number).map(Some);
        }
        if tag != Tag::Index as u8 {
            return Err(self.input.damaged("no block and no index begins here"));
        }
        self.input.place = Place::Index;
        self.check_index(tag)?;
        self.summary = Some(self.check_footer()?);
        Ok(None)
    }

    /// What is known of the file, once all of it has been read.
    pub fn summary(&self) -> Option<&FileSummary> {
        self.summary.as_ref()
    }

    /// Reads all that is left, and says what is known of the file.
    pub fn verify(mut self) -> Result<FileSummary, DumpError> {
        while self.next_block()?.is_some() {}
        Ok(self.summary.expect("next_block answers none only after setting it"))
    }

    fn block(&mut self, number: u64) -> Result<Block, DumpError> {
        let offset = self.input.section;
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = Tag::Block as u8;
        self.input.fill(&mut bytes[1..])?;
        let head = Head::new(bytes).map_err(|what| self.input.damaged(what))?;
        let stored = self.input.vec(head.stored_bytes())?;
        let raw = head.unpack(&mut self.zstd, stored).map_err(|what| self.input.damaged(what))?;
        let rows = self.rows(&raw, head.rows())?;
        let Some(first) = rows.first() else { return Err(self.input.damaged("it has no rows")) };
        let first = Position::of(first.kind, &first.key);
        if self.smallest.is_none() {
            self.smallest = Some(first.clone());
        }
        let (raw_bytes, rows_count) = (raw.len() as u64, rows.len() as u64);
        self.raw_bytes += raw_bytes;
        self.index.push(IndexEntry { offset, raw_bytes, rows: rows_count, first });
        Ok(Block { number, rows })
    }

    fn rows(&mut self, raw: &Bytes, count: u32) -> Result<Vec<Row>, DumpError> {
        // A row takes at least five bytes, so a count that lies cannot make this large.
        let mut rows = Vec::with_capacity((count as usize).min(raw.len() / 5));
        let mut at = 0;
        while at < raw.len() {
            let Some((row, next)) = row::decode(raw, at) else {
                return Err(self.input.damaged(format!("row {} does not decode", rows.len())));
            };
            if let Some(what) = self.misplaced(&row) {
                return Err(self.input.damaged(format!("row {} {what}", rows.len())));
            }
            self.sums.add_encoded(row.as_ref(), &raw[at..next]);
            remember(&mut self.last, row.as_ref());
            rows.push(row);
            at = next;
        }
        if rows.len() != count as usize {
            return Err(self.input.damaged(format!("{} rows instead of {count}", rows.len())));
        }
        Ok(rows)
    }

    fn misplaced(&self, row: &Row) -> Option<&'static str> {
        let FileHeader { start, end, .. } = &self.header;
        if self.last.as_ref().is_some_and(|last| !is_before(last, row.as_ref())) {
            return Some("does not come after the one before it");
        }
        let outside = start.is_after(row.kind, &row.key)
            || end.as_ref().is_some_and(|end| !end.is_after(row.kind, &row.key));
        outside.then_some("is outside of the file's range")
    }

    fn check_index(&mut self, tag: u8) -> Result<(), DumpError> {
        let payload = self.input.section_payload(tag)?;
        if index::decode(&payload).is_none_or(|entries| entries != self.index) {
            return Err(self.input.damaged("it does not list the blocks that were read"));
        }
        Ok(())
    }

    fn check_footer(&mut self) -> Result<FileSummary, DumpError> {
        let index_offset = self.input.section;
        let blake3 = self.input.hasher.digest();
        self.input.begin(Place::Footer);
        let [tag] = self.input.array()?;
        if tag != Tag::Footer as u8 {
            return Err(self.input.damaged("no footer begins here"));
        }
        let found: Footer = self.input.json(tag)?;
        let expected = Footer {
            blocks: self.index.len() as u64,
            index_offset,
            raw_bytes: self.raw_bytes,
            sums: self.sums,
            smallest: self.smallest.clone(),
            largest: self.last.clone(),
            blake3,
        };
        if found != expected {
            return Err(self.input.damaged("it does not describe what was read"));
        }
        let footer_offset = self.input.section;
        if self.input.array::<TAIL_BYTES>()? != tail(footer_offset) {
            return Err(self.input.damaged("the tail is wrong"));
        }
        self.input.end()?;
        Ok(FileSummary {
            length: self.input.offset,
            blake3: self.input.hasher.digest(),
            blocks: expected.blocks,
            raw_bytes: expected.raw_bytes,
            sums: expected.sums,
        })
    }
}

fn read_header<R: Read>(input: &mut Input<R>) -> Result<FileHeader, DumpError> {
    if input.array::<8>()? != MAGIC {
        return Err(input.damaged("this is no dump file"));
    }
    let [tag] = input.array()?;
    if tag != Tag::Header as u8 {
        return Err(input.damaged("no header begins here"));
    }
    let payload = input.section_payload(tag)?;
    // The version first: what else a newer header says is not ours to judge.
    let Version { format } = input.decode(&payload)?;
    if format > FORMAT {
        return Err(DumpError::Newer { file: input.name.clone(), found: format, known: FORMAT });
    }
    input.decode(&payload)
}

#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// The file's bytes, with where we are in it.
struct Input<R> {
    input: R,
    name: String,
    place: Place,
    /// Where the present section begins.
    section: u64,
    /// Where the next byte is.
    offset: u64,
    hasher: FileHasher,
}

impl<R: Read> Input<R> {
    fn new(input: R, name: String) -> Self {
        Self { input, name, place: Place::Header, section: 0, offset: 0, hasher: FileHasher::default() }
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.section = self.offset;
    }

    fn damaged(&self, what: impl Into<String>) -> DumpError {
        DumpError::Damaged {
            file: self.name.clone(),
            place: self.place,
            offset: self.section,
            what: what.into(),
        }
    }

    fn failed(&self, source: io::Error) -> DumpError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return DumpError::Truncated { file: self.name.clone(), place: self.place, offset: self.section };
        }
        DumpError::Io { file: self.name.clone(), source }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DumpError> {
        self.input.read_exact(bytes).map_err(|source| self.failed(source))?;
        self.taken(bytes);
        Ok(())
    }

    fn taken(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DumpError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    // Grows with what really comes, so a damaged length takes no memory.
    fn vec(&mut self, length: usize) -> Result<Vec<u8>, DumpError> {
        let mut bytes = Vec::with_capacity(length.min(2 << 20));
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut bytes);
        if read.map_err(|source| self.failed(source))? < length {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.taken(&bytes);
        Ok(bytes)
    }

    fn section_payload(&mut self, tag: u8) -> Result<Vec<u8>, DumpError> {
        let frame: [u8; FRAME_BYTES - 1] = self.array()?;
        let [a, b, c, d, crc @ ..] = frame;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > SECTION_BYTES_MAX {
            return Err(self.damaged(format!("an impossible length of {length} bytes")));
        }
        let payload = self.vec(length)?;
        if checksum(&[tag, a, b, c, d], &payload) != u32::from_le_bytes(crc) {
            return Err(self.damaged("the checksum is wrong"));
        }
        Ok(payload)
    }

    fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, DumpError> {
        serde_json::from_slice(payload).map_err(|error| self.damaged(format!("it does not parse: {error}")))
    }

    fn json<T: DeserializeOwned>(&mut self, tag: u8) -> Result<T, DumpError> {
        let payload = self.section_payload(tag)?;
        self.decode(&payload)
    }

    fn end(&mut self) -> Result<(), DumpError> {
        let more = self.input.read(&mut [0]).map_err(|source| self.failed(source))?;
        if more > 0 {
            return Err(self.damaged("bytes follow the end"));
        }
        Ok(())
    }
}
