//! The frame around each section but blocks: `tag(1) length(4) crc32c(4) payload`, numbers little endian. The checksum
//! covers tag, length and payload.

use crc32c::crc32c_append;

/// Which section follows. The numbers are in files and never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Tag {
    /// The header.
    Header = b'H',
    /// A block of rows; framed by itself.
    Block = b'B',
    /// The list of blocks.
    Index = b'I',
    /// Counts and digest.
    Footer = b'F',
}

/// The bytes before a section's payload.
pub const FRAME_BYTES: usize = 9;
/// No section but blocks is longer: an index of a file with a million blocks fits.
pub const SECTION_BYTES_MAX: usize = 64 << 20;

/// A section with its frame.
pub fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a section is shorter than SECTION_BYTES_MAX");
    let mut out = Vec::with_capacity(FRAME_BYTES + payload.len());
    out.push(tag as u8);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(&out, payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// The checksum of a frame's first five bytes and its payload.
pub fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    crc32c_append(crc32c_append(0, head), payload)
}
