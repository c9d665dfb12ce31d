//! What a node does for migrations by itself: it follows the records, plans, dumps and sends the groups that are assigned
//! to it, and removes what nobody will ask for again. Nobody tells it to; the record does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_backup::BackupError;
use flotilla_cloud_migration::command::{CompensationDone, FileDumped, FilesPlanned, GroupFailed, Kind};
use flotilla_cloud_migration::{Command, Failure, File, Record, Stage, State, Undo, limits, work};
use flotilla_types::GroupId;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::dumper::{self, DumpTrouble};
use super::jobs::Known;
use super::reporter::{Reporter, Unreported};
use super::sender::{SendTrouble, Sender};
use super::target;
use crate::replicas::Replicas;

/// How often the node looks when no record changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long work that came to nothing waits.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a store that fails is tried again, with a pause between: beyond what each request tries by itself.
const STORE_TRIES: u32 = 240;

/// One piece of work: a group of a migration, under one assignment.
type Piece = (u64, u64, u32);

/// Runs until the node stops.
pub async fn work(replicas: Replicas) {
    let mut known = replicas.node().jobs.watch();
    let mut pieces: BTreeMap<Piece, CancellationToken> = BTreeMap::new();
    let senders = Senders::default();
    loop {
        let now = known.borrow_and_update().clone();
        if now.heard {
            assign(&replicas, &senders, &now, &mut pieces);
            tidy(&replicas, &now).await;
        }
        if matches!(timeout(LOOK_INTERVAL, known.changed()).await, Ok(Err(_))) {
            return;
        }
    }
}

/// Starts what is this node's, and stops what no longer is.
fn assign(
    replicas: &Replicas,
    senders: &Senders,
    known: &Known,
    pieces: &mut BTreeMap<Piece, CancellationToken>,
) {
    let node = replicas.node().options.node.get();
    let own = known
        .records
        .values()
        .flat_map(|record| work::of_node(record, node).map(|group| (record.id, group.gid, group.assignment)));
    let own: Vec<Piece> = own.collect();
    pieces.retain(|piece, stop| {
        let stays = own.contains(piece) && !stop.is_cancelled();
        if !stays {
            stop.cancel();
        }
        stays
    });
    for piece in own {
        if pieces.contains_key(&piece) {
            continue;
        }
        let stop = replicas.node().env.spawner.token().child_token();
        pieces.insert(piece, stop.clone());
        let carrying = Carrying {
            replicas: replicas.clone(),
            senders: senders.clone(),
            reporter: Reporter::new(replicas.clone()),
            piece,
            stop,
        };
        replicas.node().env.spawner.spawn(carrying.run());
    }
}

/// Removes what this node holds of migrations that are over, and says so.
async fn tidy(replicas: &Replicas, known: &Known) {
    let local = replicas.node();
    let node = local.options.node.get();
    let held = local.carrier.local().unwrap_or_default();
    for id in &held {
        if known.is_over(*id)
            && let Err(error) = local.carrier.discard(*id)
        {
            warn!(migration = id, %error, "local files of the migration not removed");
            return;
        }
    }
    for record in
        known.records.values().filter(|record| work::may_discard(record) && record.owes(Undo::Local, node))
    {
        let done = CompensationDone { undo: Undo::Local.into(), of: node };
        let command = Command { id: record.id, epoch: 0, kind: Some(Kind::CompensationDone(done)) };
        if let Err(error) = Reporter::new(replicas.clone()).propose(command).await {
            tracing::debug!(migration = record.id, %error, "removal of local files not recorded yet");
        }
    }
}

struct Carrying {
    replicas: Replicas,
    senders: Senders,
    reporter: Reporter,
    piece: Piece,
    stop: CancellationToken,
}

/// Why a piece of work stands still.
enum Trouble {
    /// The migration is over, or somebody else does it.
    Over,
    /// Tried again after a pause.
    Passing(String),
    /// This node cannot do it.
    Hopeless(Failure),
}

impl From<Unreported> for Trouble {
    fn from(error: Unreported) -> Self {
        if error.is_over() { Trouble::Over } else { Trouble::Passing(error.to_string()) }
    }
}

impl Carrying {
    /// Until the group's files are all there, or the record says that this is no longer this node's.
    async fn run(self) {
        let over = self.stop.clone().drop_guard();
        let mut failures = 0u32;
        while !self.stop.is_cancelled() {
            let done = tokio::select! {
                () = self.stop.cancelled() => break,
                done = self.step(failures) => done,
            };
            match done {
                Ok(()) => failures = 0,
                Err(Trouble::Over) => break,
                Err(Trouble::Passing(why)) => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(migration = self.piece.0, gid = self.piece.1, failures, why, "not yet");
                    self.replicas.node().meters.problem(&why);
                    sleep(PAUSE).await;
                }
                Err(Trouble::Hopeless(failure)) => {
                    let (id, gid, _) = self.piece;
                    warn!(
                        migration = id,
                        gid,
                        code = failure.code,
                        message = failure.message,
                        "this node cannot carry the group"
                    );
                    let failed = GroupFailed { gid, failure: Some(failure) };
                    let _ = self.propose(Kind::GroupFailed(failed)).await;
                    sleep(PAUSE).await;
                }
            }
        }
        drop(over);
    }

    async fn propose(&self, kind: Kind) -> Result<(), Unreported> {
        let (id, _, assignment) = self.piece;
        let command = Command { id, epoch: assignment.into(), kind: Some(kind) };
        self.reporter.propose(command).await.map(drop)
    }

    /// As far as the present state goes; then waits for the record to change.
    async fn step(&self, failures: u32) -> Result<(), Trouble> {
        let (id, gid, _) = self.piece;
        let mut known = self.replicas.node().jobs.watch();
        let record = known.borrow_and_update().records.get(&id).cloned();
        let record = record.ok_or(Trouble::Over)?;
        let group = record.group(gid).ok_or(Trouble::Over)?;
        if !group.planned_all {
            return self.plan(&record).await;
        }
        let files = self.reporter.files(id).await?;
        let own = files.into_iter().filter(|file| file.gid == gid);
        match record.state() {
            State::Dump if group.dumped < group.planned => self.dump(&record, own).await,
            State::Upload => self.send(&record, own, failures).await,
            _ => {
                let _ = timeout(LOOK_INTERVAL, known.changed()).await;
                Ok(())
            }
        }
    }

    async fn plan(&self, record: &Record) -> Result<(), Trouble> {
        let (_, gid, _) = self.piece;
        let plan = dumper::plan(&self.replicas, record, GroupId(gid), &self.stop).await;
        let plan = plan.map_err(|trouble| hopeless(&trouble, record))?;
        let from = record.group(gid).map_or(0, |group| group.planned as usize);
        let rest = plan.get(from..).unwrap_or_default();
        let mut batches = rest.chunks(limits::FILES_PER_COMMAND_MAX).peekable();
        let mut at = from;
        loop {
            let files = batches.next().unwrap_or_default().to_vec();
            let (count, last) = (files.len(), batches.peek().is_none());
            let planned = FilesPlanned { gid, from: u32::try_from(at).unwrap_or(u32::MAX), files, last };
            self.propose(Kind::FilesPlanned(planned)).await?;
            at += count;
            if last {
                break;
            }
        }
        info!(migration = record.id, gid, files = plan.len(), "group planned");
        self.heard(|record| record.group(gid).is_some_and(|group| group.planned_all)).await;
        Ok(())
    }

    async fn dump(&self, record: &Record, files: impl Iterator<Item = File>) -> Result<(), Trouble> {
        for file in files.filter(|file| file.stage() == Stage::Planned) {
            self.make(record, &file).await?;
        }
        let gid = self.piece.1;
        self.heard(|record| record.group(gid).is_none_or(|group| group.dumped >= group.planned)).await;
        Ok(())
    }

    /// Makes one file, or makes it again, and says what it holds.
    async fn make(&self, record: &Record, file: &File) -> Result<(), Trouble> {
        let dumped = dumper::dump(&self.replicas, record, file, &self.stop).await;
        let dumped = dumped.map_err(|trouble| hopeless(&trouble, record))?;
        self.replicas.node().meters.dumped(dumped.raw_bytes);
        self.replicas.node().meters.problem("");
        self.propose(Kind::FileDumped(FileDumped { file: file.index, dumped: Some(dumped) })).await?;
        Ok(())
    }

    /// Sends the group's files, several at a time: the sender bounds what is under way on this node.
    async fn send(
        &self,
        record: &Record,
        files: impl Iterator<Item = File>,
        failures: u32,
    ) -> Result<(), Trouble> {
        let gid = self.piece.1;
        let sender = self.senders.of(&self.replicas, record).map_err(|error| at_store(&error, failures))?;
        let rest: Vec<File> = files.filter(|file| file.stage() != Stage::Done).collect();
        let at_a_time = record.options.clone().unwrap_or_default().filled().parallel_parts as usize;
        let sending: Vec<BoxFuture<'_, Result<(), Trouble>>> = rest
            .iter()
            .map(|file| -> BoxFuture<'_, Result<(), Trouble>> {
                Box::pin(self.send_one(&sender, record, file, failures))
            })
            .collect();
        stream::iter(sending).buffer_unordered(at_a_time.max(1)).try_collect::<()>().await?;
        self.heard(|record| record.group(gid).is_none_or(|group| group.done >= group.planned)).await;
        Ok(())
    }

    async fn send_one(
        &self,
        sender: &Sender,
        record: &Record,
        file: &File,
        failures: u32,
    ) -> Result<(), Trouble> {
        let (id, _, assignment) = self.piece;
        let carrier = &self.replicas.node().carrier;
        let length = file.dumped.as_ref().map_or(0, |dumped| dumped.length);
        if !carrier.has(id, file.index, length) {
            self.make(record, file).await?;
        }
        match sender.send(record, file, assignment, &self.stop).await {
            Ok(()) => {}
            Err(SendTrouble::Record(error)) => return Err(error.into()),
            Err(SendTrouble::Store(error)) => return Err(at_store(&error, failures)),
        }
        self.replicas.node().meters.problem("");
        // It is there; the disk is better used for something else.
        let _ = carrier.remove(id, file.index);
        Ok(())
    }

    /// Waits until this node has heard what it said itself; not for ever.
    async fn heard(&self, is_heard: impl Fn(&Record) -> bool) {
        let id = self.piece.0;
        let mut known = self.replicas.node().jobs.watch();
        let heard = known.wait_for(|known| known.records.get(&id).is_none_or(&is_heard));
        let _ = timeout(LOOK_INTERVAL, heard).await;
    }
}

/// A store that may come back is waited for; one that says no is believed.
fn at_store(error: &BackupError, failures: u32) -> Trouble {
    if error.is_retryable() && failures < STORE_TRIES {
        return Trouble::Passing(error.to_string());
    }
    Trouble::Hopeless(target::failure(error, State::Upload))
}

/// The sender of the newest migration: one for all groups of this node, so that the limits are the node's.
#[derive(Clone, Default)]
struct Senders(Arc<Mutex<Option<(u64, Sender)>>>);

impl Senders {
    fn of(&self, replicas: &Replicas, record: &Record) -> Result<Sender, BackupError> {
        let mut held = self.0.lock();
        if let Some((_, sender)) = held.as_ref().filter(|(id, _)| *id == record.id) {
            return Ok(sender.clone());
        }
        let sender = Sender::open(replicas, record)?;
        *held = Some((record.id, sender.clone()));
        Ok(sender)
    }
}

fn hopeless(trouble: &DumpTrouble, record: &Record) -> Trouble {
    if matches!(trouble, DumpTrouble::Stopped) {
        return Trouble::Over;
    }
    let (code, message) = (trouble.code().to_owned(), trouble.to_string());
    Trouble::Hopeless(Failure { code, phase: record.state, message, retryable: true })
}
