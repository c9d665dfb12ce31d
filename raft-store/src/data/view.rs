//! The live machine and its rows, as readers see them: always of the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flotilla_proto::faults::Faults;
use flotilla_proto::raft_v1 as pb;
use flotilla_types::engine::{Reader, Rows};
use flotilla_types::{EngineError, Machine, WriteBatch};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::dir::{Db, ReplicaDir};
use super::engine::closed;
use super::snapshot::StoredSnapshot;
use crate::convert;
use crate::error::{StoreError, describe, is_corrupt};
use crate::ids::ReplicaId;
use crate::log::record::{AppliedState, seal, unseal};
use crate::raft_types::{LogId, StoredMembership};

/// Keys from here on are the replica's own; a machine's keys start with a smaller byte.
pub(crate) const OWN_KEYS: &[u8] = &[0xff];
/// The one key of its own: an [`AppliedState`].
const APPLIED_KEY: &[u8] = &[0xff, 0x00];

/// What has been applied, up to where, by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub last: Option<LogId>,
    pub membership: StoredMembership,
}

impl Applied {
    /// Adds this to the batch whose rows it describes.
    pub fn put(&self, batch: &mut WriteBatch) {
        let state = AppliedState {
            last: self.last.as_ref().map(convert::log_id),
            membership: Some(convert::stored_membership(&self.membership)),
        };
        batch.put(APPLIED_KEY, seal(APPLIED_KEY, &state));
    }

    /// What a database says of itself.
    pub fn read(rows: &dyn Reader) -> Result<Self, EngineError> {
        let Some(stored) = rows.get(APPLIED_KEY)? else { return Ok(Self::default()) };
        let failed = |error| EngineError::new("read how far the rows were applied", error);
        let state: AppliedState = unseal(APPLIED_KEY, &stored).map_err(failed)?;
        let membership: pb::StoredMembership = state.membership.unwrap_or_default();
        let membership = convert::stored_membership_from(membership)
            .map_err(|error| EngineError::new("read the members", error))?;
        Ok(Self { last: state.last.as_ref().map(convert::log_id_from), membership })
    }
}

/// A view without the replica's own rows.
pub(crate) struct MachineRows<'a>(pub Box<dyn Reader + 'a>);

impl Reader for MachineRows<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.0.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Rows<'a> {
        let end = if end.is_empty() || end > OWN_KEYS { OWN_KEYS } else { end };
        self.0.scan(start, end)
    }
}

/// One moment's machine, with the database that holds its rows.
pub(crate) struct View<M> {
    pub machine: Arc<M>,
    pub db: Arc<Db>,
    pub applied: Applied,
}

impl<M> Clone for View<M> {
    fn clone(&self) -> Self {
        Self { machine: self.machine.clone(), db: self.db.clone(), applied: self.applied.clone() }
    }
}

/// Why a replica can go on no more.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub reason: String,
    /// Stored bytes contradict themselves: opening the same files again would not help.
    pub corrupt: bool,
}

/// A replica's applied state, shared by apply, readers, snapshots and housekeeping.
pub(crate) struct Replica<M: Machine> {
    pub id: ReplicaId,
    pub options: M::Options,
    pub dir: ReplicaDir,
    /// Held for writing only around {write the rows; publish the machine}.
    pub view: RwLock<View<M>>,
    pub snapshot: Mutex<Option<Arc<StoredSnapshot>>>,
    /// The index after the last applied entry.
    pub applied_next: watch::Sender<u64>,
    /// [`Machine::garbage_mark`] with the number of the database, so that an install wakes the sweeper too.
    pub garbage: watch::Sender<(u64, u64)>,
    /// Whether entries may be left out in apply. Raft never does; openraft's storage suite does.
    pub allows_gaps: bool,
    pub faults: Faults,
    /// The first failure of the rows. Whoever meets one says so here, and then the replica stops.
    pub failure: watch::Sender<Option<Failure>>,
    /// Nothing is applied or installed any more. Changes under the lock of `view`.
    closed: AtomicBool,
}

impl<M: Machine> Replica<M> {
    /// Opens the machine over the rows of `db`.
    pub fn load(options: &M::Options, db: Db) -> Result<View<M>, EngineError> {
        let (machine, applied) = {
            let rows = MachineRows(db.engine.snapshot());
            let applied = Applied::read(&*rows.0)?;
            (Arc::new(M::open(options, &rows)?), applied)
        };
        Ok(View { machine, db: Arc::new(db), applied })
    }

    pub fn open(id: ReplicaId, options: M::Options, dir: ReplicaDir, db: Db) -> Result<Self, StoreError> {
        let view =
            Self::load(&options, db).map_err(|error| StoreError::engine(format!("replica {id}"), error))?;
        let snapshot = StoredSnapshot::find(&dir)?;
        let next = crate::log::replica::next(&view.applied.last);
        let mark = view.machine.garbage_mark();
        Ok(Self {
            id,
            options,
            dir,
            view: RwLock::new(view),
            snapshot: Mutex::new(snapshot),
            applied_next: watch::Sender::new(next),
            garbage: watch::Sender::new((0, mark)),
            allows_gaps: false,
            faults: Faults::none(),
            failure: watch::Sender::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// The present moment's machine.
    pub fn machine(&self) -> Arc<M> {
        self.view.read().machine.clone()
    }

    /// Calls `use_view` with the machine and its rows of one moment.
    pub fn read<T>(&self, use_view: impl FnOnce(&M, &dyn Reader) -> T) -> T {
        self.read_at(|_, machine, rows| use_view(machine, rows))
    }

    /// The same, with the index of the last entry applied at that moment (0: none).
    pub fn read_at<T>(&self, use_view: impl FnOnce(u64, &M, &dyn Reader) -> T) -> T {
        let held = self.view.read();
        let (machine, db) = (held.machine.clone(), held.db.clone());
        let applied = held.applied.last.as_ref().map_or(0, |id| id.index);
        let rows = MachineRows(db.engine.snapshot());
        drop(held);
        use_view(applied, &machine, &rows)
    }

    /// What may be swept, and the database it was found in.
    pub fn garbage(&self) -> Result<(Arc<Db>, Vec<(Bytes, Bytes)>), EngineError> {
        let held = self.view.read();
        let (machine, db) = (held.machine.clone(), held.db.clone());
        let rows = MachineRows(db.engine.snapshot());
        drop(held);
        let ranges = machine.garbage(&rows)?;
        drop(rows);
        Ok((db, ranges))
    }

    /// The rows cannot be read or written: the replica stops. Neither an answer nor a vote may rest on such rows.
    pub fn fail(&self, error: &EngineError) {
        if self.is_closed() {
            return;
        }
        self.failure.send_if_modified(|failure| {
            let news = failure.is_none();
            let reason = || Failure { reason: describe(error), corrupt: is_corrupt(error) };
            failure.get_or_insert_with(reason);
            news
        });
    }

    /// Lets go of the database: it closes when the last reader is done.
    pub fn close(&self) {
        let mut view = self.view.write();
        self.closed.store(true, Ordering::Release);
        let guard = self.dir.guard(view.db.guard.path().to_owned());
        let closed = Arc::new(Db { engine: Arc::new(super::engine::Closed), guard });
        let open = std::mem::replace(&mut view.db, closed);
        drop(view);
        drop(open);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Makes `view` the present one, unless the replica was closed meanwhile.
    pub fn publish(&self, view: View<M>) -> Result<(), EngineError> {
        let next = crate::log::replica::next(&view.applied.last);
        let mark = view.machine.garbage_mark();
        let old = {
            let mut present = self.view.write();
            if self.is_closed() {
                return Err(closed());
            }
            std::mem::replace(&mut *present, view)
        };
        // Closing a database and removing its files takes long: not while readers wait.
        drop(old);
        self.applied_next.send_replace(next);
        self.garbage.send_modify(|(db, garbage)| (*db, *garbage) = (*db + 1, mark));
        Ok(())
    }
}
