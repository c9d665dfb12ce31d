//! The mark: how a log that lost synced writes is told from one that was merely cut off.
//!
//! RocksDB recovers its WAL up to the first bad record and opens normally. After a power cut that is right: what
//! follows was never acknowledged. After rot it forgets votes and entries that were. So every batch carries a round
//! number, and after its sync, before its callbacks, the number is overwritten in this file:
//!
//! * The mark never leads: it is written after the sync, so wherever the system's own writeback gets to, the marked
//!   round is on disk. `recovered < marked` therefore always means rot.
//! * The mark may lag after a power cut, because it is not synced by itself (that would double the syncs). A torn
//!   tail is then indistinguishable from rot in those last rounds; after a mere crash of the process it is exact.
//!
//! Two slots are written in turn, a sector each, so that a torn write leaves the other. A slot that was torn is made
//! good when the file is opened: the next write may well go to the other.

use std::io;
use std::path::Path;

use crate::files::{File, Files, OpenMode, sync_name};

const SLOT_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"flotmark";
const RECORD_BYTES: usize = 20;

/// The open mark file.
pub(crate) struct Mark {
    file: Box<dyn File>,
}

impl Mark {
    /// Makes the file, durably, saying round 0.
    pub fn create(files: &dyn Files, path: &Path) -> io::Result<Self> {
        let file = files.open(path, OpenMode::Create)?;
        file.set_len(2 * SLOT_BYTES)?;
        let mark = Self { file };
        mark.write(0)?;
        mark.file.sync()?;
        sync_name(files, path)?;
        Ok(mark)
    }

    /// Opens the file and reads the round.
    pub fn open(files: &dyn Files, path: &Path) -> io::Result<(Self, u64)> {
        let file = files.open(path, OpenMode::Update)?;
        let slots = [0, 1].map(|slot| read_slot(&*file, slot));
        let newest = slots.into_iter().flatten().max();
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "both slots of the mark are damaged");
        Ok((Self { file }, newest.ok_or_else(bad)?))
    }

    /// Makes good what a power cut has torn, now that the log has turned out to reach up to `recovered`. Otherwise the
    /// one sound slot could be the next to be torn.
    pub fn repair(&self, recovered: u64) -> io::Result<()> {
        let torn = [0, 1].into_iter().find(|slot| read_slot(&*self.file, *slot).is_none());
        let Some(slot) = torn else { return Ok(()) };
        let round = if recovered % 2 == slot { Some(recovered) } else { recovered.checked_sub(1) };
        match round {
            Some(round) => {
                self.write(round)?;
                self.sync()
            }
            // A new file: its second slot was never written.
            None => Ok(()),
        }
    }

    /// Says that `round` is on disk.
    pub fn write(&self, round: u64) -> io::Result<()> {
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(MAGIC);
        record[8..16].copy_from_slice(&round.to_le_bytes());
        let crc = crc32c::crc32c(&record[..16]);
        record[16..].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&record, (round % 2) * SLOT_BYTES)
    }

    /// Makes the mark itself durable: at a clean stop.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn read_slot(file: &dyn File, slot: u64) -> Option<u64> {
    let mut record = [0; RECORD_BYTES];
    file.read_exact_at(&mut record, slot * SLOT_BYTES).ok()?;
    let crc = u32::from_le_bytes(record[16..].try_into().ok()?);
    let intact = &record[..8] == MAGIC && crc32c::crc32c(&record[..16]) == crc;
    let round = u64::from_le_bytes(record[8..16].try_into().ok()?);
    (intact && round % 2 == slot).then_some(round)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::SystemFiles;

    #[test]
    fn remembers_the_newest_round_even_with_one_slot_torn() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("mark");
        let mark = Mark::create(&SystemFiles, &path).expect("create");
        assert_eq!(Mark::open(&SystemFiles, &path).expect("open").1, 0);
        for round in 1..=9 {
            mark.write(round).expect("write");
        }
        assert_eq!(Mark::open(&SystemFiles, &path).expect("open").1, 9);
        mark.file.write_all_at(b"x", SLOT_BYTES).expect("damage");
        assert_eq!(Mark::open(&SystemFiles, &path).expect("open").1, 8);
        mark.file.write_all_at(b"x", 0).expect("damage");
        assert!(Mark::open(&SystemFiles, &path).is_err());
    }

    #[test]
    fn a_torn_slot_is_made_good_before_the_other_is_written() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("mark");
        let mark = Mark::create(&SystemFiles, &path).expect("create");
        mark.repair(0).expect("nothing to repair");
        for (recovered, torn) in [(1, 1), (2, 0), (10, 1), (11, 1), (12, 1)] {
            mark.file.write_all_at(b"torn", torn * SLOT_BYTES).expect("damage");
            let (mark, marked) = Mark::open(&SystemFiles, &path).expect("the other slot");
            assert!(marked <= recovered);
            mark.repair(recovered).expect("repair");
            let next = recovered + 1;
            mark.file.write_all_at(b"torn", (next % 2) * SLOT_BYTES).expect("the next write is torn too");
            let (mark, marked) = Mark::open(&SystemFiles, &path).expect("still one");
            assert!(marked <= recovered, "the mark leads");
            mark.repair(recovered).expect("repair");
        }
    }
}
