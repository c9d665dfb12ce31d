//! Dumps groups: pins a replica that has applied the freeze, cuts its shards into files by a plan that is recorded, and writes
//! these files. Whoever does it gets the same bytes, as everything comes from the replicated state at the freeze.

use std::fs::{File as DiskFile, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use flotilla_cloud_migration::command::Planned;
use flotilla_cloud_migration::dump::{
    Codec, DumpError, DumpWriter, FORMAT, FileHeader, Position, RowKind, RowRef, ShardFacts,
};
use flotilla_cloud_migration::file::{Dumped, File};
use flotilla_cloud_migration::record::{Freeze, Record};
use flotilla_raft_store::Pin;
use flotilla_shardkv::ShardKv;
use flotilla_shardkv::api::RowKind as KvRowKind;
use flotilla_shardkv::export::{ExportRow, Exported};
use flotilla_types::{EngineError, GroupId, ShardId};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::carrier::Carrier;
use super::pace::Pace;
use crate::replicas::{Replicas, chain};

/// How long a replica that lags may take to apply the freeze.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How many bytes of rows are written between two looks at the cancellation and at the rate.
const STEP_BYTES: u64 = 4 << 20;

/// Why a group cannot be dumped here.
#[derive(Debug, thiserror::Error)]
pub enum DumpTrouble {
    /// No replica here, or it did not apply the freeze in time: another node may do it.
    #[error("group {gid} cannot be pinned here: {why}")]
    PinLost {
        /// The group.
        gid: GroupId,
        /// Why.
        why: String,
    },
    /// The group was thawed before it was pinned, or written to: there is no cut any more.
    #[error("group {gid} did not stay read-only: {why}")]
    Broken {
        /// The group.
        gid: GroupId,
        /// What was seen.
        why: String,
    },
    /// The file was made before, and is another one now.
    #[error("file {index} came out differently from the first time: {what}")]
    Differs {
        /// The file.
        index: u32,
        /// In what.
        what: &'static str,
    },
    /// The disk or the database failed.
    #[error("cannot dump group {gid}: {why}")]
    Failed {
        /// The group.
        gid: GroupId,
        /// Why.
        why: String,
    },
    /// The migration is over, or the file is somebody else's now.
    #[error("called off")]
    Stopped,
}

impl DumpTrouble {
    /// The word that a record's failure has for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PinLost { .. } => "pin_lost",
            Self::Broken { .. } => "freeze_broken",
            Self::Differs { .. } => "dump_differs",
            Self::Failed { .. } => "dump_failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Who dumps: the replicas of a node, and where their pins and files are kept.
#[derive(Clone, Copy)]
pub struct Dumper<'n> {
    /// The replicas.
    pub replicas: &'n Replicas,
    /// The node's own, but in tests.
    pub carrier: &'n Carrier,
}

/// The group's plan, as [`Dumper::plan`], on this node.
pub async fn plan(
    replicas: &Replicas,
    record: &Record,
    gid: GroupId,
    stop: &CancellationToken,
) -> Result<Vec<Planned>, DumpTrouble> {
    Dumper { replicas, carrier: &replicas.node().carrier }.plan(record, gid, stop).await
}

/// One file, as [`Dumper::dump`], on this node.
pub async fn dump(
    replicas: &Replicas,
    record: &Record,
    file: &File,
    stop: &CancellationToken,
) -> Result<Dumped, DumpTrouble> {
    Dumper { replicas, carrier: &replicas.node().carrier }.dump(record, file, stop).await
}

impl Dumper<'_> {
    /// Pins the replica of a group here, once for a migration.
    pub async fn pin(self, record: &Record, gid: GroupId) -> Result<Arc<Pin<ShardKv>>, DumpTrouble> {
        let Self { replicas, carrier } = self;
        if let Some(pin) = carrier.pin(record.id, gid) {
            return Ok(pin);
        }
        let freeze = record.freeze.unwrap_or_default();
        let lost = |why: &str| DumpTrouble::PinLost { gid, why: why.to_owned() };
        let Some(group) = replicas.shards(gid) else { return Err(lost("this node has no replica of it")) };
        let began = Instant::now();
        while group.machine().proof(freeze.id).is_none() {
            if group.machine().is_thawed(freeze.id) {
                return Err(lost("it was thawed before"));
            }
            if began.elapsed() > CATCH_UP_MAX {
                return Err(lost("its replica here did not come to the freeze in time"));
            }
            sleep(LOOK_INTERVAL).await;
        }
        let pin = group.pin().map_err(|error| DumpTrouble::Failed { gid, why: chain(&error) })?;
        check(record, gid, freeze, pin.machine())?;
        Ok(carrier.keep(record.id, gid, pin))
    }

    /// Cuts the shards of a group into files; the answer does not depend on the replica.
    pub async fn plan(
        self,
        record: &Record,
        gid: GroupId,
        stop: &CancellationToken,
    ) -> Result<Vec<Planned>, DumpTrouble> {
        let pin = self.pin(record, gid).await?;
        let file_bytes = record.options.clone().unwrap_or_default().filled().file_bytes.max(1);
        let mut files = Vec::new();
        for exported in pin.machine().exports() {
            if stop.is_cancelled() {
                return Err(DumpTrouble::Stopped);
            }
            let pin = pin.clone();
            let cut = blocking(move || cut(&pin, exported, file_bytes)).await;
            files.extend(cut.map_err(|error| DumpTrouble::Failed { gid, why: chain(&error) })?);
        }
        Ok(files)
    }

    /// Writes one file of the plan, or takes the one that is here. If it was made before, by anybody, it must be the same.
    pub async fn dump(
        self,
        record: &Record,
        file: &File,
        stop: &CancellationToken,
    ) -> Result<Dumped, DumpTrouble> {
        let (gid, carrier) = (GroupId(file.gid), self.carrier);
        let done = file.dumped.as_ref().filter(|dumped| carrier.has(record.id, file.index, dumped.length));
        if let Some(dumped) = done {
            return Ok(dumped.clone());
        }
        let pin = self.pin(record, gid).await?;
        let failed = |why: String| DumpTrouble::Failed { gid, why };
        let writing = Writing::begin(carrier, record, file, pin).map_err(|error| failed(chain(&error)))?;
        let written = writing.run(&carrier.pace(record), stop).await;
        let written = written.and_then(|dumped| match &file.dumped {
            Some(first) => same(file.index, first, &dumped).map(|()| dumped),
            None => Ok(dumped),
        });
        let (from, to) = (carrier.unfinished(record.id, file.index), carrier.path(record.id, file.index));
        if written.is_err() {
            // What is left of it now goes with the migration's folder at the latest.
            let _ = std::fs::remove_file(&from);
            return written;
        }
        std::fs::rename(&from, &to).map_err(|error| failed(format!("rename {}: {error}", from.display())))?;
        written
    }
}

// What was pinned must be what the group acknowledged.
fn check(record: &Record, gid: GroupId, freeze: Freeze, machine: &ShardKv) -> Result<(), DumpTrouble> {
    let broken = |why: String| DumpTrouble::Broken { gid, why };
    let Some(proof) = machine.proof(freeze.id) else {
        return Err(broken("it was thawed while it was being pinned".to_owned()));
    };
    let ack = record.group(gid.get()).and_then(|group| group.ack).unwrap_or_default();
    if proof.writes != ack.counters || proof.config != freeze.config {
        let why = format!(
            "{} writes at configuration {} were acknowledged, {} at {} are here",
            ack.counters, freeze.config, proof.writes, proof.config
        );
        return Err(broken(why));
    }
    Ok(())
}

// Equal pieces, cut between rows. A small shard is not even looked at: it is one piece.
fn cut(pin: &Pin<ShardKv>, exported: Exported, file_bytes: u64) -> Result<Vec<Planned>, EngineError> {
    let Exported { shard, bytes, .. } = exported;
    let piece_bytes = bytes.div_ceil(bytes.div_ceil(file_bytes).max(1)).max(1);
    let mut files = vec![Planned { shard: shard.get(), bytes, ..Planned::default() }];
    if bytes <= file_bytes {
        return Ok(files);
    }
    let mut in_piece = 0;
    pin.read(|machine, rows| {
        for row in machine.export(rows, shard, b"", b"") {
            let row = row?;
            let last = files.last_mut().expect("there is always one");
            if in_piece >= piece_bytes {
                let (begin, piece) = (bytes::Bytes::from(row.position()), last.piece + 1);
                last.end = begin.clone();
                last.bytes = in_piece;
                files.push(Planned { shard: shard.get(), piece, begin, ..Planned::default() });
                in_piece = 0;
            }
            in_piece += (row.key.len() + row.value.len()) as u64;
        }
        files.last_mut().expect("there is always one").bytes = in_piece;
        Ok(files)
    })
}

fn same(index: u32, first: &Dumped, second: &Dumped) -> Result<(), DumpTrouble> {
    let differs = |what| Err(DumpTrouble::Differs { index, what });
    match () {
        () if first.length != second.length => differs("length"),
        () if first.rows != second.rows => differs("rows"),
        () if first.blake3 != second.blake3 => differs("digest"),
        () => Ok(()),
    }
}

/// A file being written: between two steps nothing is held but the writer and where it is.
struct Writing {
    pin: Arc<Pin<ShardKv>>,
    shard: ShardId,
    writer: DumpWriter<DiskFile>,
    next: Vec<u8>,
    end: Vec<u8>,
}

/// What one step came to.
enum Step {
    More(Box<Writing>, u64),
    End(Dumped),
}

impl Writing {
    fn begin(
        carrier: &Carrier,
        record: &Record,
        file: &File,
        pin: Arc<Pin<ShardKv>>,
    ) -> Result<Self, StepError> {
        carrier.make_folder(record.id)?;
        let path = carrier.unfinished(record.id, file.index);
        let out = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        let shard = ShardId(file.shard);
        let header = header(record, file, &pin).ok_or(StepError::NotHere(shard))?;
        let writer = DumpWriter::new(out, file.key.clone(), header)?;
        Ok(Self { pin, shard, writer, next: file.begin.to_vec(), end: file.end.to_vec() })
    }

    async fn run(mut self, pace: &Pace, stop: &CancellationToken) -> Result<Dumped, DumpTrouble> {
        let gid = self.pin.replica().gid;
        loop {
            if stop.is_cancelled() {
                return Err(DumpTrouble::Stopped);
            }
            let most = pace.step_bytes(STEP_BYTES);
            let step = blocking(move || self.step(most)).await;
            match step.map_err(|error| DumpTrouble::Failed { gid, why: chain(&error) })? {
                Step::End(dumped) => return Ok(dumped),
                Step::More(writing, bytes) => {
                    self = *writing;
                    pace.take(bytes).await;
                }
            }
        }
    }

    // Some megabytes, from where the last step ended.
    fn step(mut self, most: u64) -> Result<Step, StepError> {
        let before = self.writer.raw_bytes();
        let pin = self.pin.clone();
        let stopped = pin.read(|machine, rows| {
            for row in machine.export(rows, self.shard, &self.next, &self.end) {
                let row = row?;
                if self.writer.raw_bytes() - before >= most {
                    return Ok(Some(row.position()));
                }
                self.writer.push(borrowed(&row))?;
            }
            Ok::<_, StepError>(None)
        })?;
        let Some(next) = stopped else { return self.finish().map(Step::End) };
        self.next = next;
        let bytes = self.writer.raw_bytes() - before;
        Ok(Step::More(Box::new(self), bytes))
    }

    fn finish(self) -> Result<Dumped, StepError> {
        let (out, summary) = self.writer.finish()?;
        out.sync_all()?;
        Ok(Dumped {
            length: summary.length,
            rows: summary.sums.rows(),
            raw_bytes: summary.raw_bytes,
            md5: bytes::Bytes::new(),
            blake3: bytes::Bytes::copy_from_slice(&summary.blake3.0),
            row_checksum: bytes::Bytes::copy_from_slice(&summary.sums.to_bytes()),
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("shard {0} is not served by this group")]
    NotHere(ShardId),
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn header(record: &Record, file: &File, pin: &Pin<ShardKv>) -> Option<FileHeader> {
    let Exported { counter, time_ms, floor_ms, .. } = pin.machine().export_of(ShardId(file.shard))?;
    let uncompressed = record.options.as_ref().is_some_and(|options| options.uncompressed);
    Some(FileHeader {
        format: FORMAT,
        cluster: record.cluster.clone(),
        migration: record.id,
        gid: file.gid,
        shard: file.shard,
        shards: record.shards,
        config: record.freeze.unwrap_or_default().config,
        start: Position(file.begin.to_vec()),
        end: (!file.end.is_empty()).then(|| Position(file.end.to_vec())),
        codec: if uncompressed { Codec::None } else { Codec::Zstd },
        block_bytes: FileHeader::BLOCK_BYTES,
        facts: ShardFacts { counter, time_ms, floor_ms },
    })
}

pub(crate) fn borrowed(row: &ExportRow) -> RowRef<'_> {
    let kind = match row.kind {
        KvRowKind::Data => RowKind::Data,
        KvRowKind::Session => RowKind::Session,
    };
    let ExportRow { key, version, expires_at_ms, value, .. } = row;
    RowRef { kind, key, version: *version, expires_at_ms: *expires_at_ms, value }
}

/// Runs work that waits for the disk on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
