//! Reads dump files out of a target, checked, without a copy on disk and without the whole in memory.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use flotilla_cloud_migration::dump::{Block, DumpError, DumpReader, FileHeader, FileSummary, ManifestFile};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::BackupError;
use crate::target::Target;

/// Pieces that wait for the reader: a few hundred kilobytes, so that neither side waits for the other.
const PIECES: usize = 16;
/// Blocks that wait for whoever takes them: about one megabyte each.
const BLOCKS: usize = 4;

/// What comes out of a file, in order.
#[derive(Debug)]
pub enum Piece {
    /// What the file says of itself; always first.
    Header(Box<FileHeader>),
    /// The next rows.
    Rows(Block),
    /// The file is whole and is the one that the manifest names; always last.
    End(FileSummary),
}

/// A file on its way in. Dropping it stops the download.
#[derive(Debug)]
pub struct Incoming {
    pieces: mpsc::Receiver<Result<Piece, BackupError>>,
    // Ends the task that fetches.
    _stop: tokio_util::sync::DropGuard,
}

impl Incoming {
    /// The next piece; none: all has come, and the last one was [`Piece::End`]. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        self.pieces.recv().await.transpose()
    }
}

impl Target {
    /// Reads one file of a dump. Rows are checked block by block, the file as a whole only at its end: whoever uses rows
    /// before must be able to take them back.
    ///
    /// A download that breaks off is taken up again where it was.
    pub fn read_file(&self, file: &ManifestFile) -> Incoming {
        let stop = CancellationToken::new();
        let (bytes_to, bytes_from) = mpsc::channel(PIECES);
        let (pieces_to, pieces) = mpsc::channel(BLOCKS);
        let fetch = fetch(self.clone(), file.clone(), bytes_to);
        tokio::spawn(stop.clone().run_until_cancelled_owned(fetch));
        let file = file.clone();
        tokio::task::spawn_blocking(move || {
            let bytes = Bytewise { pieces: bytes_from, left: Bytes::new() };
            if let Err(error) = decode(bytes, &file, &pieces_to) {
                // Nobody listens any more: fine.
                let _ = pieces_to.blocking_send(Err(error));
            }
        });
        Incoming { pieces, _stop: stop.drop_guard() }
    }
}

/// Sends an object's bytes on, from wherever the last try broke off.
async fn fetch(target: Target, file: ManifestFile, to: mpsc::Sender<Result<Bytes, BackupError>>) {
    let retries = target.retries();
    let (mut at, mut tries) = (0, 0);
    loop {
        let before = at;
        match fetch_from(&target, &file, &mut at, &to).await {
            Ok(()) => return,
            Err(error) => {
                // What moved on starts counting anew.
                tries = if at > before { 1 } else { tries + 1 };
                if !error.is_retryable() || tries > retries.most {
                    let _ = to.send(Err(error)).await;
                    return;
                }
                tokio::time::sleep(retries.wait(tries)).await;
            }
        }
    }
}

async fn fetch_from(
    target: &Target,
    file: &ManifestFile,
    at: &mut u64,
    to: &mpsc::Sender<Result<Bytes, BackupError>>,
) -> Result<(), BackupError> {
    if *at >= file.length && *at > 0 {
        return Ok(());
    }
    let mut download = target.download(&file.key, *at).await?;
    let promised = download.length().is_none_or(|length| *at + length == file.length);
    mismatch(file, promised, "its length is not the manifest's")?;
    while let Some(bytes) = download.next().await? {
        *at += bytes.len() as u64;
        if to.send(Ok(bytes)).await.is_err() {
            return Ok(());
        }
    }
    if *at < file.length {
        let what = format!("{} of {} bytes came", at, file.length);
        return Err(BackupError::Mismatch { key: file.key.clone(), what });
    }
    Ok(())
}

fn decode(
    bytes: Bytewise,
    file: &ManifestFile,
    to: &mpsc::Sender<Result<Piece, BackupError>>,
) -> Result<(), BackupError> {
    let gone = || BackupError::Cancelled;
    let mut reader = DumpReader::new(bytes, &file.key).map_err(cause)?;
    check_header(file, reader.header())?;
    to.blocking_send(Ok(Piece::Header(Box::new(reader.header().clone())))).map_err(|_| gone())?;
    while let Some(block) = reader.next_block().map_err(cause)? {
        to.blocking_send(Ok(Piece::Rows(block))).map_err(|_| gone())?;
    }
    let summary = reader.summary().cloned().ok_or_else(gone)?;
    check_summary(file, &summary)?;
    to.blocking_send(Ok(Piece::End(summary))).map_err(|_| gone())
}

/// What stopped the bytes is told rather than that they stopped.
fn cause(error: DumpError) -> BackupError {
    match error {
        DumpError::Io { source, file } => match source.downcast::<Stopped>() {
            Ok(Stopped(error)) => *error,
            Err(source) => BackupError::Dump(DumpError::Io { file, source }),
        },
        other => BackupError::Dump(other),
    }
}

fn check_header(file: &ManifestFile, header: &FileHeader) -> Result<(), BackupError> {
    let same = (header.gid, header.shard) == (file.gid, file.shard)
        && header.start == file.start
        && header.end == file.end;
    mismatch(file, same, "its header names another group, shard or range than the manifest")
}

fn check_summary(file: &ManifestFile, summary: &FileSummary) -> Result<(), BackupError> {
    let same = summary.blake3 == file.blake3 && summary.length == file.length;
    mismatch(file, same, "its length or digest is not the manifest's")?;
    mismatch(file, summary.sums == file.sums, "its rows are not those that the manifest counts")
}

fn mismatch(file: &ManifestFile, same: bool, what: &str) -> Result<(), BackupError> {
    if same {
        return Ok(());
    }
    Err(BackupError::Replaced { key: file.key.clone(), what: what.to_owned() })
}

/// An error that travels through [`Read`].
#[derive(Debug)]
struct Stopped(Box<BackupError>);

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stopped {}

/// Pieces as one stream of bytes.
struct Bytewise {
    pieces: mpsc::Receiver<Result<Bytes, BackupError>>,
    left: Bytes,
}

impl Read for Bytewise {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(bytes)) => self.left = bytes,
                Some(Err(error)) => return Err(io::Error::other(Stopped(Box::new(error)))),
            }
        }
        let bytes = self.left.len().min(out.len());
        self.left.copy_to_slice(&mut out[..bytes]);
        Ok(bytes)
    }
}
