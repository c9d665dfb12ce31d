//! A block of rows: `tag(1) codec(1) raw_len(4) stored_len(4) rows(4) crc32c(4) stored`, numbers little endian. The
//! checksum covers everything else of the block, so rot is found before anything is decompressed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::row::ROW_BYTES_MAX;
use super::section::{Tag, checksum};

/// How blocks are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Not at all: rows can be seen with a hex viewer.
    None,
    /// zstd, level 1: higher levels cost time and gain little here.
    #[default]
    Zstd,
}

/// The bytes before a block's rows.
pub const HEAD_BYTES: usize = 18;
/// A block ends after the row that fills it.
pub const BLOCK_BYTES_MAX: usize = ROW_BYTES_MAX + (16 << 20);
/// The greatest size that a header may name.
pub const BLOCK_TARGET_MAX: u32 = 16 << 20;

const ZSTD_LEVEL: i32 = 1;
const STORED_AS_IS: u8 = 0;
const STORED_ZSTD: u8 = 1;

/// Compresses blocks, keeping its memory between them.
pub struct Packer {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    stored: Vec<u8>,
}

impl Packer {
    /// For one file.
    pub fn new(codec: Codec) -> std::io::Result<Self> {
        let zstd = match codec {
            Codec::None => None,
            Codec::Zstd => Some(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(Self { zstd, stored: Vec::new() })
    }

    /// Gives a block's head and its stored bytes. What does not shrink is stored as it is.
    pub fn pack<'a>(&'a mut self, raw: &'a [u8], rows: u32) -> std::io::Result<([u8; HEAD_BYTES], &'a [u8])> {
        let mut shrunk = false;
        if let Some(zstd) = &mut self.zstd {
            self.stored.clear();
            self.stored.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            zstd.compress_to_buffer(raw, &mut self.stored)?;
            shrunk = self.stored.len() < raw.len();
        }
        let (codec, stored) = if shrunk { (STORED_ZSTD, &self.stored[..]) } else { (STORED_AS_IS, raw) };
        Ok((head(codec, raw.len(), rows, stored), stored))
    }
}

fn head(codec: u8, raw_bytes: usize, rows: u32, stored: &[u8]) -> [u8; HEAD_BYTES] {
    let number =
        |bytes: usize| u32::try_from(bytes).expect("a block is shorter than BLOCK_BYTES_MAX").to_le_bytes();
    let mut out = [0; HEAD_BYTES];
    out[0] = Tag::Block as u8;
    out[1] = codec;
    out[2..6].copy_from_slice(&number(raw_bytes));
    out[6..10].copy_from_slice(&number(stored.len()));
    out[10..14].copy_from_slice(&rows.to_le_bytes());
    let crc = checksum(&out[..14], stored);
    out[14..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// A block's head, as read.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; HEAD_BYTES],
}

impl Head {
    /// Takes the bytes after checking that their lengths are possible.
    pub fn new(bytes: [u8; HEAD_BYTES]) -> Result<Self, String> {
        let head = Self { bytes };
        let (raw, stored) = (head.raw_bytes(), head.stored_bytes());
        if raw > BLOCK_BYTES_MAX || stored > raw {
            return Err(format!("impossible lengths {raw} and {stored}"));
        }
        Ok(head)
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]])
    }

    /// Bytes of its rows.
    pub fn raw_bytes(&self) -> usize {
        self.number(2) as usize
    }

    /// Bytes that follow the head.
    pub fn stored_bytes(&self) -> usize {
        self.number(6) as usize
    }

    /// How many rows it has.
    pub fn rows(&self) -> u32 {
        self.number(10)
    }

    /// Checks and unpacks the stored bytes.
    pub fn unpack(
        &self,
        zstd: &mut zstd::bulk::Decompressor<'static>,
        stored: Vec<u8>,
    ) -> Result<Bytes, String> {
        if checksum(&self.bytes[..14], &stored) != self.number(14) {
            return Err("the checksum is wrong".to_owned());
        }
        let raw = match self.bytes[1] {
            STORED_AS_IS => stored,
            STORED_ZSTD => zstd
                .decompress(&stored, self.raw_bytes())
                .map_err(|error| format!("cannot decompress: {error}"))?,
            other => return Err(format!("unknown codec {other}")),
        };
        if raw.len() != self.raw_bytes() {
            return Err(format!("{} bytes instead of {}", raw.len(), self.raw_bytes()));
        }
        Ok(raw.into())
    }
}
