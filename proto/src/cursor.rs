//! The opaque cursor of a scan: where the next page starts. Neither replicated nor durable: it lives between two
//! calls of one client, who must not look inside. The one corner of the project that uses bincode.

use bincode::Options;
use serde::{Deserialize, Serialize};

/// The first byte of every cursor; another one means another version of this software.
const VERSION: u8 = 1;
/// The longest cursor: a key and its framing.
const CURSOR_BYTES_MAX: u64 = flotilla_types::limits::KEY_BYTES_MAX as u64 + 64;

/// Where the next page of a shard's scan starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The shard.
    pub shard: u32,
    /// The first key of the next page.
    pub key: Vec<u8>,
}

/// A cursor that this server did not hand out.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Another version of the software made it.
    #[error("scan cursor has version {0}, this server knows version {VERSION}: start the scan again")]
    Version(u8),
    /// It does not decode, or is too long.
    #[error("scan cursor is damaged or longer than {CURSOR_BYTES_MAX} bytes: start the scan again")]
    Damaged(#[source] Option<bincode::Error>),
}

fn codec() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(CURSOR_BYTES_MAX)
}

impl Cursor {
    /// The cursor's bytes.
    pub fn encode(&self) -> Result<Vec<u8>, CursorError> {
        let body = codec().serialize(self).map_err(|error| CursorError::Damaged(Some(error)))?;
        Ok([&[VERSION], body.as_slice()].concat())
    }

    /// Reads what [`Cursor::encode`] wrote. Safe on any bytes: the limit bounds what is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        let (version, body) = bytes.split_first().ok_or(CursorError::Damaged(None))?;
        if *version != VERSION {
            return Err(CursorError::Version(*version));
        }
        codec().deserialize(body).map_err(|error| CursorError::Damaged(Some(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_foreign_bytes() {
        let cursor = Cursor { shard: 7, key: vec![0, 255, 9] };
        let bytes = cursor.encode().expect("small");
        assert_eq!(Cursor::decode(&bytes).expect("own bytes"), cursor);
        assert!(matches!(Cursor::decode(&[9, 9]), Err(CursorError::Version(9))));
        assert!(Cursor::decode(&[]).is_err() && Cursor::decode(&bytes[..bytes.len() - 1]).is_err());
        let huge = [&[VERSION][..], &7u32.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
        assert!(Cursor::decode(&huge).is_err());
    }
}
