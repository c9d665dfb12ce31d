//! Restores a dump into this cluster, which must be empty, with however many groups and shards.
//!
//! ```text
//!   open every group --> each file: rows to their shards here, in pieces --> sum over the cluster --> publish every group
//! ```
//!
//! The restore's id comes from the manifest, and each shard remembers which pieces of which file it has taken. So whoever asks
//! for the same restore again, at any node, goes on where the last attempt broke off. Nothing is served before every file was
//! read to its end, found whole, and counted again in the cluster.

use std::collections::BTreeMap;

use flotilla_backup::{BackupError, Incoming, Location, Piece, Target};
use flotilla_cloud_migration::dump::{Block, FileHeader, Manifest, ManifestFile, RowKind, ShardFacts, Sums};
use flotilla_proto::kv_v1::{Code, Hint, Row};
use flotilla_proto::restore_v1::step_request::Step;
use flotilla_proto::restore_v1::{Place, Progress, RunRequest, StepRequest, StepResponse};
use flotilla_shardkv::api::RowKind as KvRowKind;
use flotilla_shardkv::api::restore::RestoreRows;
use flotilla_shardkv::export::{ExportRow, heirs};
use flotilla_types::{ConfigNum, GroupId, ShardConfig, ShardId, shard_of_key};
use prost::Message;
use tokio::sync::mpsc;

use crate::peers::{Asked, Peers};
use crate::reconcile::Failure;
use crate::replicas::Replicas;

/// About how many bytes of rows go to a shard in one command.
const PIECE_BYTES: usize = 1 << 20;
/// How often a step is tried: leaders change, and some steps wait for the disk.
const TRIES: u32 = 10;

/// Why a restore did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The dump cannot be read, or is not what its manifest says.
    #[error(transparent)]
    Dump(#[from] BackupError),
    /// A group does not answer, or refuses.
    #[error(transparent)]
    Group(#[from] Failure),
    /// The cluster holds something else than the dump.
    #[error("the cluster holds {found} after the restore, the dump {expected}: it is not published")]
    Differs {
        /// What the manifest says.
        expected: String,
        /// What was counted.
        found: String,
    },
}

impl RestoreError {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dump(error) => error.code(),
            Self::Group(_) => "group_refused",
            Self::Differs { .. } => "restore_differs",
        }
    }
}

/// Where the pieces of a file come from.
pub trait Pieces: Send {
    /// The next one; none after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<Piece>, BackupError>> + Send;
}

impl Pieces for Incoming {
    async fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        Self::next(self).await
    }
}

/// A restore under way.
pub struct Restore {
    peers: Peers,
    config: ShardConfig,
    manifest: Manifest,
    id: u64,
}

/// Starts a restore; its progress comes until it has ended, or until nobody listens.
pub fn start(replicas: Replicas, request: RunRequest) -> mpsc::Receiver<Progress> {
    let (progress, receiver) = mpsc::channel(16);
    let spawner = replicas.node().env.spawner.clone();
    spawner.spawn(async move {
        if let Err(error) = run(&replicas, request, &progress).await {
            tracing::warn!(code = error.code(), %error, "restore failed");
            let (failure_code, failure) = (error.code().to_owned(), error.to_string());
            let _ = progress.send(Progress { failure_code, failure, ..Progress::default() }).await;
        }
    });
    receiver
}

async fn run(
    replicas: &Replicas,
    request: RunRequest,
    progress: &mpsc::Sender<Progress>,
) -> Result<(), RestoreError> {
    let RunRequest { url, credentials_file, external_id } = request;
    let some = |text: String| (!text.is_empty()).then_some(text);
    let credentials_file = some(credentials_file).map(Into::into);
    let target = Target::open(&Location { url, credentials_file, external_id: some(external_id) })?;
    let manifest = target.manifest().await?;
    let node = replicas.node();
    let restore = Restore::new(node.peers.clone(), (*node.topology.now().config).clone(), manifest);
    let mut now = restore.progress("open");
    let _ = progress.send(now.clone()).await;
    let publishing = restore.open().await?;
    for (index, file) in restore.manifest.files.iter().enumerate() {
        let index = u32::try_from(index).expect("a manifest has fewer files");
        restore.take(index, file, || target.read_file(file)).await?;
        now = Progress {
            phase: "restore".to_owned(),
            files: now.files + 1,
            bytes: now.bytes + file.length,
            ..now
        };
        let _ = progress.send(now.clone()).await;
    }
    let keys = if publishing { now.keys } else { restore.verify().await? };
    let _ = progress.send(Progress { phase: "publish".to_owned(), keys, ..now.clone() }).await;
    restore.publish().await?;
    let _ = progress.send(Progress { phase: "done".to_owned(), keys, done: true, ..now }).await;
    tracing::info!(keys, cluster = restore.manifest.cluster, "restore published");
    Ok(())
}

impl Restore {
    /// A restore of the dump with this manifest.
    pub fn new(peers: Peers, config: ShardConfig, manifest: Manifest) -> Self {
        let digest = blake3_u64(&manifest.to_json());
        Self { peers, config, manifest, id: digest.max(1) }
    }

    fn progress(&self, phase: &str) -> Progress {
        Progress {
            phase: phase.to_owned(),
            files_total: self.manifest.files.len() as u64,
            bytes_total: self.manifest.bytes,
            keys: self.manifest.sums.data.rows,
            ..Progress::default()
        }
    }

    fn groups(&self) -> Vec<GroupId> {
        let mut groups: Vec<_> = self.config.owners().map(|(_, gid)| gid).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Every group takes rows from now on, and serves nothing. Answers whether some are published already: then an earlier
    /// attempt had verified everything, and broke off while it published.
    pub async fn open(&self) -> Result<bool, RestoreError> {
        let mut publishing = false;
        for gid in self.groups() {
            match self.step(gid, Step::Open(self.config.num)).await {
                Err(_) if self.place(gid, 0, ShardId(0)).await.is_ok_and(|place| place.published) => {
                    publishing = true;
                }
                answer => drop(answer?),
            }
        }
        Ok(publishing)
    }

    /// Restores one file, unless every shard has all of it.
    pub async fn take<P: Pieces>(
        &self,
        index: u32,
        file: &ManifestFile,
        open: impl FnOnce() -> P,
    ) -> Result<(), RestoreError> {
        let shards = u32::try_from(self.config.shards.len()).expect("at most 16384");
        let mut heads = BTreeMap::new();
        for shard in heirs(ShardId(file.shard), self.manifest.shards, shards) {
            let gid = self.config.owner(shard);
            let place = self.place(gid, index, shard).await?;
            if !place.whole && !place.published {
                heads.insert(shard, Head { gid, taken: place.pieces, piece: 0, rows: Vec::new(), bytes: 0 });
            }
        }
        if heads.is_empty() {
            return Ok(());
        }
        let mut spread = Spread { restore: self, index, shards, heads, facts: ShardFacts::default() };
        let mut pieces = open();
        while let Some(piece) = pieces.next().await? {
            match piece {
                Piece::Header(header) => spread.begin(&header),
                Piece::Rows(block) => spread.rows(block).await?,
                // Only now it is known that the file is whole.
                Piece::End(_) => spread.end().await?,
            }
        }
        Ok(())
    }

    /// Counts what the cluster holds, and compares it with the dump. Answers the number of keys.
    pub async fn verify(&self) -> Result<u64, RestoreError> {
        let mut found = Sums::default();
        for gid in self.groups() {
            let answer = self.step(gid, Step::Sum(true)).await?;
            let sums = Sums::from_bytes(&answer.sums);
            found.add(&sums.ok_or_else(|| Failure(format!("group {gid} does not count")))?);
        }
        // Sessions may be in several shards here, and of several there one: only keys can be compared.
        let (found, expected) = (found.data, self.manifest.sums.data);
        if found != expected {
            return Err(RestoreError::Differs {
                expected: format!("{expected:?}"),
                found: format!("{found:?}"),
            });
        }
        Ok(found.rows)
    }

    /// Every group serves.
    pub async fn publish(&self) -> Result<(), RestoreError> {
        for gid in self.groups() {
            self.step(gid, Step::Publish(true)).await?;
        }
        Ok(())
    }

    async fn place(&self, gid: GroupId, file: u32, shard: ShardId) -> Result<StepResponse, Failure> {
        self.step(gid, Step::Place(Place { file, shard: shard.get() })).await
    }

    // Tries again what may pass: every step may be repeated.
    async fn step(&self, gid: GroupId, step: Step) -> Result<StepResponse, Failure> {
        let crc32c = if let Step::Rows(rows) = &step { crc32c::crc32c(rows) } else { 0 };
        let request = StepRequest { gid: gid.get(), restore: self.id, step: Some(step), crc32c };
        let config = ConfigNum(self.config.num);
        let mut last = Failure(format!("group {gid} was not asked"));
        for attempt in 0..TRIES {
            match self.peers.ask(gid, config, |peer| peer.restore(request.clone())).await {
                Ok(answer) if answer.code() == Code::Ok => return Ok(answer),
                Ok(answer) => {
                    last = Failure(format!("group {gid} answered {:?}: {}", answer.code(), answer.message));
                    if matches!(answer.code(), Code::Invalid | Code::OutDated | Code::TooLarge) {
                        return Err(last);
                    }
                }
                Err(failure) => last = failure,
            }
            tokio::time::sleep(std::time::Duration::from_millis(50 << attempt.min(5))).await;
        }
        Err(last)
    }
}

fn blake3_u64(bytes: &[u8]) -> u64 {
    let mut hasher = flotilla_cloud_migration::dump::FileHasher::default();
    hasher.update(bytes);
    let digest = hasher.digest().0;
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What goes to one shard here: which piece is being filled.
struct Head {
    gid: GroupId,
    taken: u64,
    piece: u64,
    rows: Vec<Row>,
    bytes: usize,
}

/// One file being spread over the shards that inherit it. Pieces are cut alike in every attempt: by the file's rows alone.
struct Spread<'r> {
    restore: &'r Restore,
    index: u32,
    shards: u32,
    heads: BTreeMap<ShardId, Head>,
    facts: ShardFacts,
}

impl Spread<'_> {
    fn begin(&mut self, header: &FileHeader) {
        self.facts = header.facts;
    }

    async fn rows(&mut self, block: Block) -> Result<(), Failure> {
        for row in block.rows {
            let kind = match row.kind {
                RowKind::Data => KvRowKind::Data,
                RowKind::Session => KvRowKind::Session,
            };
            let shards: Vec<ShardId> = match kind {
                KvRowKind::Data => vec![shard_of_key(&row.key, self.shards)],
                KvRowKind::Session => self.heads.keys().copied().collect(),
            };
            let (key, version, expires_at_ms) = (row.key, row.version, row.expires_at_ms);
            let stored = ExportRow { kind, key, version, expires_at_ms, value: row.value }.into_stored();
            for shard in shards {
                self.add(shard, stored.clone()).await?;
            }
        }
        Ok(())
    }

    async fn add(&mut self, shard: ShardId, row: Row) -> Result<(), Failure> {
        // A shard that has all of the file takes nothing more.
        let Some(head) = self.heads.get_mut(&shard) else { return Ok(()) };
        head.bytes += row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len) + 16;
        head.rows.push(row);
        if head.bytes >= PIECE_BYTES { self.send(shard, false).await } else { Ok(()) }
    }

    async fn end(&mut self) -> Result<(), Failure> {
        for shard in self.heads.keys().copied().collect::<Vec<_>>() {
            self.send(shard, true).await?;
        }
        Ok(())
    }

    async fn send(&mut self, shard: ShardId, last: bool) -> Result<(), Failure> {
        let Some(head) = self.heads.get_mut(&shard) else { return Ok(()) };
        let (rows, piece) = (std::mem::take(&mut head.rows), head.piece);
        (head.bytes, head.piece) = (0, piece + 1);
        if piece < head.taken {
            return Ok(());
        }
        let command = RestoreRows {
            restore: self.restore.id,
            shard: shard.get(),
            file: self.index,
            piece,
            last,
            rows,
            counter: self.facts.counter,
            time_ms: self.facts.time_ms,
            floor_ms: self.facts.floor_ms,
        };
        let gid = head.gid;
        self.restore.step(gid, Step::Rows(command.encode_to_vec().into())).await.map(drop)
    }
}

impl Asked for StepResponse {
    fn parts(&self) -> (Code, Option<&Hint>, &str) {
        (self.code(), self.hint.as_ref(), &self.message)
    }

    // A leader that is not ready has the last word: the others only know who leads.
    fn wrong_place(&self) -> bool {
        self.code() == Code::WrongLeader
    }
}
