//! Fuzz targets for the decoders that are private here. Each takes any bytes and must not panic; `fuzz/` runs them, and
//! the test below replays their corpus.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flotilla_proto::raft_v1 as pb;
use flotilla_proto::raft_v1::snapshot_frame::Frame;
use prost::Message;

use crate::convert;
use crate::data::dir::DirGuard;
use crate::disk::{Disk, RocksDisk, RocksOptions};
use crate::files::SystemFiles;
use crate::log::keys::LogKey;
use crate::log::mark::Mark;
use crate::log::record::{AppliedState, Format, ReplicaState, Round, seal, unseal};
use crate::net::receive::Received;
use crate::store::Store;

/// The wire between members: what converts, converts back to the same.
pub fn raft(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 4 {
        0 => append(body),
        1 => append_reply(body),
        2 => snapshot_meta(body),
        _ => drop(pb::VoteRequest::decode(body).map(|vote| vote.route.map(convert::Route::from))),
    }
}

fn append(body: &[u8]) {
    let Ok(request) = pb::AppendRequest::decode(body) else { return };
    let route = request.route.map(convert::Route::from);
    let Ok(request) = convert::append_from(request) else { return };
    let once = convert::append(&request, route);
    let again = convert::append_from(once.clone()).expect("what was converted converts");
    assert_eq!(convert::append(&again, route), once);
}

fn append_reply(body: &[u8]) {
    let Ok(reply) = pb::AppendReply::decode(body) else { return };
    let Ok(result) = convert::append_reply_from(reply) else { return };
    let once = convert::append_reply(&result, 0);
    assert_eq!(convert::append_reply_from(once).ok(), Some(result));
}

fn snapshot_meta(body: &[u8]) {
    let Ok(meta) = pb::SnapshotMeta::decode(body) else { return };
    let Ok(meta) = convert::snapshot_meta_from(meta) else { return };
    let again = convert::snapshot_meta_from(convert::snapshot_meta(&meta));
    assert_eq!(again.ok(), Some(meta));
}

/// Keys and values of the log, the mark and the identity: what the disk may hold after rot. The checksum is usually
/// made right, or nothing would be reached behind it.
pub fn log(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 8 {
        0 => drop(LogKey::decode(body).map(|key| assert_eq!(key.encode(), body))),
        1 => drop(unseal::<ReplicaState>(b"key", &Bytes::copy_from_slice(body))),
        2 => stored::<Format>(body),
        3 => stored::<Round>(body),
        4 => stored::<ReplicaState>(body),
        5 => applied(body),
        6 => mark(body),
        _ => identity(body),
    }
}

/// As if `body` had been sealed under a key.
fn sealed(key: &[u8], body: &[u8]) -> Bytes {
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), body);
    Bytes::from([&crc.to_le_bytes()[..], body].concat())
}

fn stored<T: Message + Default + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Ok(value) = unseal::<T>(b"key", &sealed(b"key", body)) else { return };
    assert_eq!(unseal::<T>(b"key", &seal(b"key", &value)).ok(), Some(value));
}

fn applied(body: &[u8]) {
    stored::<AppliedState>(body);
    let Ok(state) = unseal::<AppliedState>(b"key", &sealed(b"key", body)) else { return };
    let Ok(members) = convert::stored_membership_from(state.membership.unwrap_or_default()) else { return };
    assert_eq!(convert::stored_membership_from(convert::stored_membership(&members)).ok(), Some(members));
}

fn mark(body: &[u8]) {
    let dir = Dir::new();
    let path = dir.0.join("mark");
    fs::write(&path, body).expect("a temporary directory takes a file");
    if let Ok((mark, round)) = Mark::open(&SystemFiles, &path) {
        mark.write(round.wrapping_add(1)).expect("it is open for writing");
        drop(Mark::open(&SystemFiles, &path).expect("the other slot was written"));
    }
}

fn identity(body: &[u8]) {
    let dir = Dir::new();
    fs::write(dir.0.join("identity"), sealed(b"identity", body)).expect("a temporary directory takes a file");
    drop(Store::peek(&dir.0));
}

/// The frames of a snapshot: the begin, then frames, each behind its length. Whatever comes, only announced files
/// appear, and they go unless all are whole. A chunk with an even checksum gets the right one.
pub fn snapshot(data: &[u8]) {
    let mut pieces = pieces(data);
    let Some(Ok(begin)) = pieces.next().map(pb::SnapshotBegin::decode) else { return };
    let Ok(meta) = convert::snapshot_meta_from(begin.meta.clone().unwrap_or_default()) else { return };
    let dir = Dir::new();
    let path = dir.0.join("tmp-1");
    let guard = DirGuard::new(path.clone(), disk());
    let Ok(mut files) = Received::create(guard, &begin) else { return assert!(!path.exists()) };
    for piece in pieces {
        match pb::SnapshotFrame::decode(piece).ok().and_then(|frame| frame.frame) {
            Some(Frame::Chunk(mut chunk)) => {
                if chunk.checksum % 2 == 0 {
                    chunk.checksum = crc32c::crc32c(&chunk.data);
                }
                if files.write(&chunk).is_err() {
                    break;
                }
            }
            Some(Frame::End(end)) => {
                let Ok(kept) = files.finish(&end, meta) else { return assert!(!path.exists()) };
                let found: u64 = kept.files().expect("they are there").iter().map(|(_, bytes)| bytes).sum();
                return assert_eq!(found, end.bytes, "whole files and no others");
            }
            _ => break,
        }
    }
}

// Only its files are used; it opens no database.
fn disk() -> Arc<dyn Disk> {
    static DISK: OnceLock<Arc<RocksDisk>> = OnceLock::new();
    DISK.get_or_init(|| Arc::new(RocksDisk::new(&RocksOptions::default()))).clone()
}

fn pieces(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (piece, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = after;
        Some(piece)
    })
}

/// A directory that goes when it is dropped.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("flotilla-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the temporary directory takes another one");
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Says which file it was, if one panics.
    fn replay(name: &str, target: fn(&[u8])) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let entries = fs::read_dir(&folder).expect("the corpus is part of the repository");
        let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        for path in paths {
            let input = fs::read(&path).expect("a file of the corpus");
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name} fails on {}", path.display());
            }
        }
    }

    #[test]
    fn the_corpus_of_the_raft_wire_passes() {
        replay("raft", raft);
    }

    #[test]
    fn the_corpus_of_the_log_passes() {
        replay("log", log);
    }

    #[test]
    fn the_corpus_of_snapshots_passes() {
        replay("snapshot", snapshot);
    }
}
