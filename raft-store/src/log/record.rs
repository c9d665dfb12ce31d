//! What stands under the keys of the log, and under the replica's own row of a data database. Each value carries
//! a CRC32C over its key and its bytes, so that a row that rots, or turns up under another key, is noticed.

use std::io;

use bytes::{BufMut, Bytes};
use flotilla_proto::raft_v1 as pb;
use prost::Message;

/// The layout's version in [`super::keys::LogKey::Format`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Format {
    #[prost(uint32, tag = "1")]
    pub version: u32,
}

/// The number of the last batch.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Round {
    #[prost(uint64, tag = "1")]
    pub number: u64,
}

/// What a replica has promised, and the bounds of its log.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReplicaState {
    /// The last vote.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<pb::Vote>,
    /// A committed entry; may lag.
    #[prost(message, optional, tag = "2")]
    pub committed: Option<pb::LogId>,
    /// The last entry that was purged: the log starts after it.
    #[prost(message, optional, tag = "3")]
    pub purged: Option<pb::LogId>,
    /// The last entry.
    #[prost(message, optional, tag = "4")]
    pub last: Option<pb::LogId>,
}

/// What is left of a replica that was removed: that it was here.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Destroyed {}

/// What a data database holds: the replica's own row in it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppliedState {
    /// The last entry whose effects are in the rows.
    #[prost(message, optional, tag = "1")]
    pub last: Option<pb::LogId>,
    /// The members as of that entry.
    #[prost(message, optional, tag = "2")]
    pub membership: Option<pb::StoredMembership>,
}

const CRC_BYTES: usize = 4;

/// A message as it is stored under `key`.
pub(crate) fn seal(key: &[u8], message: &impl Message) -> Bytes {
    let mut buffer = Vec::with_capacity(CRC_BYTES + message.encoded_len());
    buffer.put_u32_le(0);
    message.encode_raw(&mut buffer);
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), &buffer[CRC_BYTES..]);
    buffer[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    buffer.into()
}

/// The message stored under `key`; an error if it is not the one that was sealed there.
pub(crate) fn unseal<T: Message + Default>(key: &[u8], stored: &Bytes) -> io::Result<T> {
    let corrupt = |what: &str| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the row under key {} {what}", hex(key)))
    };
    let Some((crc, body)) = stored.split_first_chunk::<CRC_BYTES>() else {
        return Err(corrupt("is too short"));
    };
    if crc32c::crc32c_append(crc32c::crc32c(key), body) != u32::from_le_bytes(*crc) {
        return Err(corrupt("fails its checksum"));
    }
    T::decode(stored.slice(CRC_BYTES..)).map_err(|error| corrupt(&format!("does not decode: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_or_another_key_is_noticed() {
        let round = Round { number: 77 };
        let sealed = seal(b"key", &round);
        assert_eq!(unseal::<Round>(b"key", &sealed).expect("intact"), round);
        assert!(unseal::<Round>(b"kez", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal::<Round>(b"key", &bad.into()).is_err(), "bit {bit}");
        }
    }
}
