//! How a key finds its shard: CRC16 of the key, or of its `{hashtag}`, modulo 16384, as in Redis Cluster.
//! A shard is a contiguous range of slots. Source: the Redis Cluster specification, "Key distribution model".

use std::fmt;

use crate::ids::ShardId;

/// How many slots there are.
pub const SLOTS: u32 = 16_384;

/// One of the 16384 slots of the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The bare number, `0..16384`.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The shard that holds this slot when the key space is cut into `shards` (1..=16384) parts.
    pub fn shard(self, shards: u32) -> ShardId {
        assert!((1..=SLOTS).contains(&shards), "a cluster has 1 to {SLOTS} shards, not {shards}");
        ShardId(u32::from(self.0) * shards / SLOTS)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The slot of a key. If the key holds a non-empty `{...}`, only what is inside the first one counts.
pub fn slot_of_key(key: &[u8]) -> Slot {
    Slot(crc16(hashtag(key)) % SLOTS as u16)
}

/// The shard of a key in a cluster of `shards` shards.
pub fn shard_of_key(key: &[u8], shards: u32) -> ShardId {
    slot_of_key(key).shard(shards)
}

fn hashtag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let inside = &key[open + 1..];
    match inside.iter().position(|&b| b == b'}') {
        Some(close) if close > 0 => &inside[..close],
        _ => key,
    }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| (crc << 8) ^ CRC16_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC16_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of_key(b"foo").get(), 12182);
        assert_eq!(slot_of_key(b"{user1000}.following"), slot_of_key(b"{user1000}.followers"));
        assert_eq!(slot_of_key(b"foo{}{bar}"), Slot(crc16(b"foo{}{bar}") % 16384));
        assert_eq!(slot_of_key(b"foo{{bar}}zap"), slot_of_key(b"{bar"));
    }

    #[test]
    fn shards_are_contiguous_and_cover_everything() {
        for shards in [1, 2, 3, 7, 64, 1000, 16_384] {
            let owners: Vec<u32> = (0..SLOTS as u16).map(|s| Slot(s).shard(shards).get()).collect();
            assert!(owners.is_sorted() && owners[0] == 0 && owners[16_383] == shards - 1);
        }
    }
}
