//! Receiving a snapshot: every chunk is verified and in order, every file is synced, and only a whole one is kept.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::raft_v1 as pb;
use flotilla_proto::raft_v1::snapshot_frame::Frame;
use tonic::{Status, Streaming};

use crate::blocking::blocking;
use crate::convert;
use crate::data::dir::DirGuard;
use crate::data::snapshot::{META, SnapshotHandle, StoredSnapshot};
use crate::files::{File, OpenMode};
use crate::raft_types::SnapshotMeta;

const FILES_MAX: usize = 100_000;
const NAME_BYTES_MAX: usize = 255;

/// Receives the files that `begin` announced into the guarded directory, which must not exist. It goes with the handle
/// unless the snapshot is installed.
pub(crate) async fn receive(
    guard: DirGuard,
    begin: &pb::SnapshotBegin,
    frames: &mut Streaming<pb::SnapshotFrame>,
    patience: Duration,
) -> Result<SnapshotHandle, Status> {
    let meta = begin.meta.clone().ok_or_else(|| Status::invalid_argument("snapshot meta is missing"))?;
    let meta =
        convert::snapshot_meta_from(meta).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let mut files = blocking(|| Received::create(guard, begin))?;
    loop {
        let frame = tokio::time::timeout(patience, frames.message()).await;
        let frame = frame.map_err(|_| Status::deadline_exceeded("no snapshot chunk in time"))??;
        match frame.and_then(|frame| frame.frame) {
            Some(Frame::Chunk(chunk)) => blocking(|| files.write(&chunk))?,
            Some(Frame::End(end)) => return blocking(|| files.finish(&end, meta)),
            Some(Frame::Begin(_)) => return Err(Status::invalid_argument("a snapshot begins twice")),
            None => return Err(Status::aborted("the snapshot ended before its last frame")),
        }
    }
}

/// The files received so far.
pub(crate) struct Received {
    guard: DirGuard,
    expected: Vec<pb::SnapshotFile>,
    /// The file being written, and how many bytes of it are there.
    current: usize,
    offset: u64,
    open: Option<Box<dyn File>>,
}

impl Received {
    pub(crate) fn create(guard: DirGuard, begin: &pb::SnapshotBegin) -> Result<Self, Status> {
        if begin.files.len() > FILES_MAX || !begin.files.iter().all(|file| is_plain(&file.name)) {
            return Err(Status::invalid_argument("a snapshot's file names must be plain, and not too many"));
        }
        guard.files().create_dir(guard.path())?;
        guard.doom();
        let mut files = Self { guard, expected: begin.files.clone(), current: 0, offset: 0, open: None };
        files.complete()?;
        Ok(files)
    }

    pub(crate) fn write(&mut self, chunk: &pb::SnapshotChunk) -> Result<(), Status> {
        let expected = self.expected.get(self.current).map(|file| file.bytes);
        let in_order = chunk.file as usize == self.current && chunk.offset == self.offset;
        let fits = expected.is_some_and(|bytes| self.offset + chunk.data.len() as u64 <= bytes);
        if !in_order || !fits || chunk.data.is_empty() {
            return Err(Status::invalid_argument("a snapshot chunk is out of order"));
        }
        if crc32c::crc32c(&chunk.data) != chunk.checksum {
            return Err(Status::data_loss("a snapshot chunk fails its checksum"));
        }
        let file = match self.open.take() {
            Some(file) => file,
            None => self.new_file(&self.expected[self.current].name)?,
        };
        file.write_all_at(&chunk.data, self.offset)?;
        self.open = Some(file);
        self.offset += chunk.data.len() as u64;
        self.complete()
    }

    fn new_file(&self, name: &str) -> std::io::Result<Box<dyn File>> {
        self.guard.files().open(&self.guard.path().join(name), OpenMode::CreateNew)
    }

    /// Goes on to the next file while the present one is whole. An empty one is made here.
    fn complete(&mut self) -> Result<(), Status> {
        while let Some(expected) = self.expected.get(self.current)
            && self.offset == expected.bytes
        {
            let file = match self.open.take() {
                Some(file) => file,
                None => self.new_file(&expected.name)?,
            };
            file.sync()?;
            (self.current, self.offset) = (self.current + 1, 0);
        }
        Ok(())
    }

    pub(crate) fn finish(self, end: &pb::SnapshotEnd, meta: SnapshotMeta) -> Result<SnapshotHandle, Status> {
        let bytes = self.expected.iter().try_fold(0u64, |sum, file| sum.checked_add(file.bytes));
        if self.current != self.expected.len() || bytes != Some(end.bytes) {
            return Err(Status::data_loss("a snapshot ended before its last file"));
        }
        self.guard.files().sync_dir(self.guard.path())?;
        Ok(Arc::new(StoredSnapshot { meta, guard: self.guard }))
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // The file that says what a snapshot holds is written here, never received.
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name != META
        && !name.starts_with('.')
        && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{RocksDisk, RocksOptions};

    fn begin(names: &[(&str, u64)]) -> pb::SnapshotBegin {
        let files =
            names.iter().map(|(name, bytes)| pb::SnapshotFile { name: (*name).into(), bytes: *bytes });
        pb::SnapshotBegin { files: files.collect(), ..pb::SnapshotBegin::default() }
    }

    fn chunk(file: u32, offset: u64, data: &'static [u8]) -> pb::SnapshotChunk {
        pb::SnapshotChunk { file, offset, data: data.into(), checksum: crc32c::crc32c(data) }
    }

    #[test]
    fn only_whole_files_in_order_with_sound_checksums_are_kept() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("tmp-1");
        let disk: Arc<dyn crate::disk::Disk> = Arc::new(RocksDisk::new(&RocksOptions::default()));
        let create =
            |begin: &pb::SnapshotBegin| Received::create(DirGuard::new(path.clone(), disk.clone()), begin);
        let mut files = create(&begin(&[("a", 4), ("empty", 0), ("b", 2)])).expect("create");
        let bad = pb::SnapshotChunk { checksum: 1, ..chunk(0, 0, b"ab") };
        assert_eq!(files.write(&bad).expect_err("checksum").code(), tonic::Code::DataLoss);
        for bad in [chunk(0, 1, b"ab"), chunk(1, 0, b"ab"), chunk(0, 0, b"abcde"), chunk(0, 0, b"")] {
            assert_eq!(files.write(&bad).expect_err("order").code(), tonic::Code::InvalidArgument);
        }
        files.write(&chunk(0, 0, b"ab")).expect("first");
        files.write(&chunk(0, 2, b"cd")).expect("second");
        files.write(&chunk(2, 0, b"xy")).expect("third");
        let kept = files.finish(&pb::SnapshotEnd { bytes: 6 }, SnapshotMeta::default()).expect("whole");
        assert_eq!(kept.files().expect("list").len(), 3);
        assert_eq!(std::fs::read(path.join("a")).expect("read"), b"abcd");
        drop(kept);
        assert!(!path.exists(), "what is not installed goes");
        let cut = create(&begin(&[("a", 4)])).expect("create");
        assert!(cut.finish(&pb::SnapshotEnd { bytes: 4 }, SnapshotMeta::default()).is_err());
        let endless = create(&begin(&[("a", u64::MAX), ("b", u64::MAX)])).expect("create");
        assert!(
            endless.finish(&pb::SnapshotEnd { bytes: 0 }, SnapshotMeta::default()).is_err(),
            "no sum overflows"
        );
        for name in ["", "../a", "a/b", ".hidden", "a b", "META"] {
            assert!(create(&begin(&[(name, 1)])).is_err(), "{name}");
        }
    }
}
