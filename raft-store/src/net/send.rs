//! Sending a snapshot: its files, in chunks that each carry a checksum. Read as the peer takes them, never whole in
//! memory; HTTP/2's flow control is the back-pressure.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::faults::{Faults, site};
use flotilla_proto::net::Lane;
use flotilla_proto::raft_v1 as pb;
use flotilla_proto::raft_v1::snapshot_frame::Frame;
use futures::{Stream, stream};
use openraft::base::BoxFuture;
use openraft::errors::StreamingError;
use openraft::raft::SnapshotResponse;
use openraft::type_config::TypeConfigExt;
use openraft::{RPCTypes, StorageError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::link::{Link, malformed, rpc_error};
use crate::blocking::blocking;
use crate::convert;
use crate::data::snapshot::SnapshotHandle;
use crate::files::{File, OpenMode};
use crate::raft_types::{C, Vote};

const CHUNK_BYTES: u64 = 512 * 1024;
/// A chunk and a pause of a simulation's bad days.
const TINY_CHUNK_BYTES: u64 = 100;
const SLOW_CHUNK: Duration = Duration::from_millis(700);

/// Sends the snapshot and waits until the peer has installed it.
pub(crate) async fn send(
    link: &Link,
    vote: Vote,
    snapshot: SnapshotHandle,
) -> Result<SnapshotResponse<C>, StreamingError<C>> {
    let storage = |error: io::Error| StorageError::read_snapshot(None, C::err_from_error(&error));
    let files = snapshot.files().map_err(storage)?;
    let begin = pb::SnapshotBegin {
        route: Some(link.route().into()),
        vote: Some(convert::vote(&vote)),
        meta: Some(convert::snapshot_meta(&snapshot.meta)),
        files: files
            .iter()
            .map(|(name, bytes)| pb::SnapshotFile { name: name.clone(), bytes: *bytes })
            .collect(),
    };
    let progress = Arc::new(Progress::default());
    let faults = link.links.faults.clone();
    let reader = Reader { snapshot, files, file: 0, offset: 0, open: None, faults };
    let frames = frames(reader, begin, progress.clone());
    let mut client = link.client(Lane::Bulk)?;
    let stalled = stalled(link, &progress);
    let sending: BoxFuture<'static, _> = Box::pin(async move { client.install_snapshot(frames).await });
    let sent = tokio::select! {
        sent = sending => sent,
        timeout = stalled => return Err(timeout),
    };
    if let Some(error) = progress.failed.lock().take() {
        return Err(storage(error).into());
    }
    let reply = sent.map_err(|status| rpc_error(&status))?.into_inner();
    let vote = reply.vote.ok_or_else(|| malformed("a snapshot reply without a vote"))?;
    Ok(SnapshotResponse::new(convert::vote_from(&vote)))
}

/// How far a transfer has got.
#[derive(Default)]
struct Progress {
    /// When the last frame was taken; after the last one of all, none.
    moved: Mutex<Option<Option<Instant>>>,
    failed: Mutex<Option<io::Error>>,
}

impl Progress {
    fn moved(&self, done: bool) {
        *self.moved.lock() = Some((!done).then(Instant::now));
    }
}

/// Returns when the peer has taken nothing for too long, or takes too long to install.
async fn stalled(link: &Link, progress: &Progress) -> StreamingError<C> {
    let chunk = Duration::from_millis(link.timings().snapshot_chunk_ms_max);
    let install = Duration::from_millis(link.timings().snapshot_install_ms_max);
    let started = Instant::now();
    let mut installing = None;
    loop {
        let (since, patience) = match *progress.moved.lock() {
            None => (started, chunk),
            Some(Some(moved)) => (moved, chunk),
            Some(None) => (*installing.get_or_insert_with(Instant::now), install),
        };
        let deadline = since + patience;
        if deadline <= Instant::now() {
            return link.timeout(RPCTypes::InstallSnapshot, patience).into();
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + chunk / 4)).await;
    }
}

/// Where the reading of the files stands.
struct Reader {
    snapshot: SnapshotHandle,
    files: Vec<(String, u64)>,
    file: usize,
    offset: u64,
    open: Option<Box<dyn File>>,
    faults: Faults,
}

enum State {
    Begin(Reader, Box<pb::SnapshotBegin>),
    Chunks(Reader),
    Done,
}

fn frames(
    reader: Reader,
    begin: pb::SnapshotBegin,
    progress: Arc<Progress>,
) -> impl Stream<Item = pb::SnapshotFrame> + Send + 'static {
    let step = move |state: State| {
        let progress = progress.clone();
        async move {
            if let State::Chunks(reader) = &state
                && reader.faults.fires(site::SLOW_SNAPSHOT_CHUNK)
            {
                tokio::time::sleep(SLOW_CHUNK).await;
            }
            let (frame, state) = match state {
                State::Begin(reader, begin) => (Frame::Begin(*begin), State::Chunks(reader)),
                State::Chunks(mut reader) => match blocking(|| reader.chunk()) {
                    Ok(Some(chunk)) => (Frame::Chunk(chunk), State::Chunks(reader)),
                    Ok(None) => (Frame::End(pb::SnapshotEnd { bytes: reader.bytes() }), State::Done),
                    Err(error) => {
                        // A stream that ends without its last frame is refused by the peer.
                        *progress.failed.lock() = Some(error);
                        return None;
                    }
                },
                State::Done => return None,
            };
            progress.moved(matches!(state, State::Done));
            Some((pb::SnapshotFrame { frame: Some(frame) }, state))
        }
    };
    stream::unfold(State::Begin(reader, Box::new(begin)), step)
}

impl Reader {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    fn chunk(&mut self) -> io::Result<Option<pb::SnapshotChunk>> {
        while self.files.get(self.file).is_some_and(|(_, bytes)| self.offset >= *bytes) {
            (self.file, self.offset, self.open) = (self.file + 1, 0, None);
        }
        let Some((name, bytes)) = self.files.get(self.file) else { return Ok(None) };
        let file = match &mut self.open {
            Some(file) => file,
            closed => {
                let path = self.snapshot.path().join(name);
                closed.insert(self.snapshot.disk_files().open(&path, OpenMode::Read)?)
            }
        };
        let size_max = self.faults.choose(site::TINY_SNAPSHOT_CHUNK, CHUNK_BYTES, TINY_CHUNK_BYTES);
        let size = (bytes - self.offset).min(size_max);
        let mut data = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_exact_at(&mut data, self.offset)?;
        let checksum = crc32c::crc32c(&data);
        let index = u32::try_from(self.file).map_err(io::Error::other)?;
        let chunk = pb::SnapshotChunk { file: index, offset: self.offset, data: Bytes::from(data), checksum };
        self.offset += size;
        Ok(Some(chunk))
    }
}
