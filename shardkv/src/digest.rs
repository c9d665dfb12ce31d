//! A digest over every live row, to compare replicas at the same applied index. Garbage is left out, as each replica
//! sweeps it in its own time.
//!
//! Rows are taken in key order, so the digest is defined by the rows alone. It is a multiply-and-rotate mix of 64 bits
//! (as in rustc's FxHasher), with lengths mixed in: it finds rot and divergence, and is no defence against forgery.

use flotilla_types::engine::prefix_end;
use flotilla_types::{EngineError, Reader};

use crate::kv::ShardKv;
use crate::rows::RowKey;

const SEED: u64 = 0x517c_c1b7_2722_0a95;

/// The mix so far.
struct Digest(u64);

impl Digest {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SEED);
        // A product's low bits never see its high ones; let them, or changes in high bytes could be lost.
        self.0 ^= self.0 >> 32;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut tail = [0; 8];
        tail[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(tail));
    }

    fn range(&mut self, rows: &dyn Reader, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        for row in rows.scan(start, end) {
            let (key, value) = row?;
            self.bytes(&key);
            self.bytes(&value);
        }
        Ok(())
    }
}

impl ShardKv {
    pub(crate) fn digest(&self, rows: &dyn Reader) -> Result<u64, EngineError> {
        let mut digest = Digest(SEED);
        digest.range(rows, b"", &RowKey::HOMES)?;
        for (shard, state) in self.shards.iter().filter(|(_, state)| state.phase.is_some()) {
            let prefix = state.home(shard).prefix();
            digest.range(rows, &prefix, &prefix_end(&prefix))?;
        }
        Ok(digest.0)
    }
}
