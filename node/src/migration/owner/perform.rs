//! What each task of an owner is, as I/O.

use std::time::Duration;

use flotilla_backup::BackupError;
use flotilla_cloud_migration::command::{
    CompensationDone, Empty, Frozen, Kind, OfGroup, Registered, SetProgress,
};
use flotilla_cloud_migration::dump::{Manifest, Plan};
use flotilla_cloud_migration::work::Task;
use flotilla_cloud_migration::{Command, Compensation, Failure, Freeze, Group, Record, State, Undo};
use flotilla_proto::migration_v1::{ChangeResponse, Verdict};
use flotilla_types::{ConfigNum, GroupId};
use futures::future::BoxFuture;
use tracing::{info, warn};

use crate::migration::freeze::{self, FreezeSpec};
use crate::migration::reporter::{Reporter, Unreported};
use crate::migration::target;
use crate::replicas::Replicas;

/// How long a group stays read-only when it hears nothing of the owner: longer than finding a new one takes.
pub(super) const FREEZE_LEASE: Duration = Duration::from_secs(30);
/// How long a target that does not answer is asked before the migration gives up, in each state.
const TARGET_PATIENCE: Duration = Duration::from_secs(120);

/// An owner of one migration, under one epoch.
pub(super) struct Owner {
    pub replicas: Replicas,
    pub reporter: Reporter,
    pub id: u64,
    pub epoch: u64,
}

/// What became of a task.
pub(super) enum Outcome {
    /// The record says so.
    Done,
    /// Not yet, for this reason: try again.
    Again(String),
    /// The migration cannot go on.
    Fail(Failure),
}

impl From<Unreported> for Outcome {
    fn from(error: Unreported) -> Self {
        Outcome::Again(error.to_string())
    }
}

impl Owner {
    pub fn new(replicas: Replicas, id: u64, epoch: u64) -> Self {
        let reporter = Reporter::new(replicas.clone());
        Self { replicas, reporter, id, epoch }
    }

    /// One command in this owner's name.
    pub async fn propose(&self, kind: Kind) -> Result<ChangeResponse, Unreported> {
        self.reporter.propose(Command { id: self.id, epoch: self.epoch, kind: Some(kind) }).await
    }

    /// A state was seen for the first time.
    pub fn entered(&self, record: &Record) {
        let (state, progress) = (record.state(), record.progress);
        info!(migration = record.id, epoch = self.epoch, %state, progress, "migration state");
        if let Some(error) = record.error.as_ref().filter(|_| state == State::Error) {
            warn!(migration = record.id, code = error.code, phase = %error.phase(), message = error.message, "migration failed");
        }
        if state.is_terminal() {
            let seconds = record.updated_ms.saturating_sub(record.created_ms) as f64 / 1000.0;
            info!(migration = record.id, %state, seconds, "migration over");
            self.replicas.node().meters.over(record);
        }
    }

    /// Performs one task. `waited` is how long this owner has been in the present state.
    pub fn perform<'a>(
        &'a self,
        record: &'a Record,
        task: &'a Task,
        waited: Duration,
    ) -> BoxFuture<'a, Outcome> {
        match task {
            Task::Begin => Box::pin(self.begin(record, waited)),
            Task::Pin => Box::pin(self.pin(record, waited)),
            Task::Freeze(gid) => Box::pin(self.freeze(record, *gid, waited)),
            Task::Prove(gid) => Box::pin(self.prove(record, *gid)),
            Task::Assign(gid) => Box::pin(self.assign(record, *gid, 0)),
            Task::Advance(State::Upload) => Box::pin(self.plan(record, waited)),
            Task::Advance(state) => Box::pin(self.advance(*state)),
            Task::Finish => Box::pin(self.finish(record, waited)),
            Task::Undo(owed) => Box::pin(self.undo(record, owed)),
        }
    }

    async fn advance(&self, state: State) -> Outcome {
        let to = SetProgress { state: state.into(), ..SetProgress::default() };
        self.propose(Kind::SetProgress(to)).await.map_or_else(Outcome::from, |_| Outcome::Done)
    }

    /// The target is there and free; a migration store has given a name.
    async fn begin(&self, record: &Record, waited: Duration) -> Outcome {
        let name = async {
            let target = target::open(record)?;
            if target.has_manifest().await? {
                let url = record.target.clone().unwrap_or_default().url;
                return Err(BackupError::Exists { key: format!("{url}/MANIFEST.json") });
            }
            if record.external_id.is_empty() { target.register().await } else { Ok(None) }
        };
        match name.await {
            Ok(None) => {}
            Ok(Some(external_id)) => {
                if let Err(error) = self.propose(Kind::Registered(Registered { external_id })).await {
                    return error.into();
                }
            }
            Err(error) => return self.at_target(record, &error, waited),
        }
        self.advance(State::Setup).await
    }

    /// A target that does not answer is given time; one that says no is believed.
    fn at_target(&self, record: &Record, error: &BackupError, waited: Duration) -> Outcome {
        if error.is_retryable() && waited < TARGET_PATIENCE {
            return Outcome::Again(error.to_string());
        }
        Outcome::Fail(target::failure(error, record.state()))
    }

    async fn pin(&self, record: &Record, waited: Duration) -> Outcome {
        match self.propose(Kind::Pin(Empty {})).await {
            Ok(_) => Outcome::Done,
            Err(Unreported::Refused { verdict: Verdict::Refused, message }) => {
                let patience = record.options.clone().unwrap_or_default().filled().drain_timeout_ms;
                if waited < Duration::from_millis(patience) {
                    return Outcome::Again(message);
                }
                let message = format!("moves did not end within {patience} ms: {message}");
                Outcome::Fail(failure("drain_timeout", record, message, true))
            }
            Err(error) => error.into(),
        }
    }

    async fn freeze(&self, record: &Record, gid: u64, waited: Duration) -> Outcome {
        let Some(pinned) = record.freeze else { return Outcome::Again("nothing is pinned".to_owned()) };
        let lease_ms = u64::try_from(FREEZE_LEASE.as_millis()).unwrap_or(u64::MAX);
        let spec = FreezeSpec { freeze: pinned.id, migration: record.id, lease_ms };
        let peers = &self.replicas.node().peers;
        match freeze::freeze(peers, GroupId(gid), ConfigNum(pinned.config), spec).await {
            Ok(ack) => {
                let frozen = Frozen { gid, freeze: pinned.id, ack: Some(ack) };
                self.propose(Kind::Frozen(frozen)).await.map_or_else(Outcome::from, |_| Outcome::Done)
            }
            Err(why) => {
                let patience = record.options.clone().unwrap_or_default().filled().freeze_timeout_ms;
                if waited < Duration::from_millis(patience) {
                    return Outcome::Again(why.to_string());
                }
                let silent: Vec<String> = record
                    .groups
                    .iter()
                    .filter(|group| !group.is_frozen())
                    .map(|group| group.gid.to_string())
                    .collect();
                let groups = silent.join(", ");
                let message = format!("groups {groups} did not become read-only within {patience} ms: {why}");
                Outcome::Fail(failure("freeze_timeout", record, message, true))
            }
        }
    }

    async fn prove(&self, record: &Record, gid: u64) -> Outcome {
        let (Some(pinned), Some(group)) = (record.freeze, record.group(gid)) else {
            return Outcome::Again("nothing is frozen".to_owned());
        };
        let ack = group.ack.unwrap_or_default();
        let config = ConfigNum(pinned.config);
        match freeze::prove(&self.replicas.node().peers, GroupId(gid), config, pinned.id, ack).await {
            Ok(true) => {
                let proven = Kind::Proven(OfGroup { gid });
                self.propose(proven).await.map_or_else(Outcome::from, |_| Outcome::Done)
            }
            Ok(false) => {
                let message = format!(
                    "group {gid} was thawed or written to during the freeze: there is no single moment to carry"
                );
                Outcome::Fail(failure("freeze_broken", record, message, true))
            }
            Err(why) => Outcome::Again(why.to_string()),
        }
    }

    /// The plan is complete: it goes first, so that what lies in the store can be told to be whole.
    async fn plan(&self, record: &Record, waited: Duration) -> Outcome {
        let files = match self.reporter.files(self.id).await {
            Ok(files) => files,
            Err(error) => return error.into(),
        };
        let plan = Plan::of(record, &files).to_json();
        let put = async { target::open(record)?.put_plan(&record.folder(), &plan).await };
        match put.await {
            Ok(()) => self.advance(State::Upload).await,
            Err(error) => self.at_target(record, &error, waited),
        }
    }

    /// Everything is there: the manifest makes it a dump.
    async fn finish(&self, record: &Record, waited: Duration) -> Outcome {
        let files = match self.reporter.files(self.id).await {
            Ok(files) => files,
            Err(error) => return error.into(),
        };
        let manifest = match Manifest::of(record, &files) {
            Ok(manifest) => manifest.to_json(),
            Err(error) => return Outcome::Fail(failure("manifest", record, error.to_string(), false)),
        };
        let put = async {
            let target = target::open(record)?;
            target.put_manifest(&manifest).await?;
            target.acknowledge().await
        };
        match put.await {
            Ok(()) => self.advance(State::Done).await,
            Err(error) => self.at_target(record, &error, waited),
        }
    }

    async fn undo(&self, record: &Record, owed: &Compensation) -> Outcome {
        let undone = match owed.undo() {
            Undo::Thaw => self.thaw(record, owed.of).await,
            Undo::Store => self.tidy_store(record).await.map_err(|error| error.to_string()),
            Undo::Local => return Outcome::Done,
        };
        if let Err(why) = undone {
            return Outcome::Again(why);
        }
        let done = CompensationDone { undo: owed.undo, of: owed.of };
        self.propose(Kind::CompensationDone(done)).await.map_or_else(Outcome::from, |_| Outcome::Done)
    }

    async fn thaw(&self, record: &Record, gid: u64) -> Result<(), String> {
        let Freeze { id, config, .. } = record.freeze.unwrap_or_default();
        if self.replicas.node().topology.now().directory.departed(gid, config) {
            return Ok(());
        }
        let peers = &self.replicas.node().peers;
        freeze::thaw(peers, GroupId(gid), ConfigNum(config), id).await.map_err(|why| why.to_string())
    }

    async fn tidy_store(&self, record: &Record) -> Result<(), BackupError> {
        let target = target::open(record)?;
        let aborted = target.abort_uploads(&record.folder()).await?;
        self.replicas.node().meters.aborted(aborted);
        let keep = record.options.as_ref().is_some_and(|options| options.keep_objects);
        if !keep {
            target.delete_objects(&record.folder()).await?;
        }
        Ok(())
    }

    /// Lets the groups' leases begin anew while the freeze is on, in the background: nothing waits for it.
    pub fn renew_freezes(&self, record: &Record) {
        let Some(pinned) = record.freeze.filter(|freeze| freeze.ended_ms == 0) else { return };
        for group in record.groups.iter().filter(|group| Group::is_frozen(group)) {
            let (peers, gid) = (self.replicas.node().peers.clone(), GroupId(group.gid));
            self.replicas.node().env.spawner.spawn(async move {
                if let Err(why) = freeze::renew(&peers, gid, ConfigNum(pinned.config), pinned.id).await {
                    tracing::debug!(%gid, %why, "freeze not renewed");
                }
            });
        }
    }
}

pub(super) fn failure(code: &str, record: &Record, message: String, retryable: bool) -> Failure {
    Failure { code: code.to_owned(), phase: record.state, message, retryable }
}
