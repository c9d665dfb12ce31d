//! Freezes: a group that is read-only on behalf of a cloud migration.
//!
//! ```text
//!   Freeze(f)   all shards settled at the pinned configuration, f above the mark  -->  f is held
//!   RenewFreeze(f)   the lease begins anew
//!   Thaw(f), or LapseFreeze(f) without a renewal since   f is not held, the mark is at least f
//! ```
//!
//! While any freeze is held, a group changes nothing that a dump holds. What may pass stands in [`passes`], and everything else is
//! refused, at apply: so every replica refuses the same entries, whatever a deposed leader had proposed. Reads go on, and see
//! no key expire: the shards' times stand still. A retry of a write that was applied before hears its answer; any other
//! write hears `ReadOnly`, which its session does not remember, so that the same write works after the thaw.

use std::sync::Arc;

use flotilla_types::{EngineError, Reader, Txn, Wire};

use crate::api::command::{Kind, Write};
use crate::api::freeze::{Freeze, FreezeProof, LapseFreeze, RenewFreeze, Thaw};
use crate::api::{Code, Reply};
use crate::check::{Checked, check, is_read_only};
use crate::kv::{ShardKv, done};
use crate::rows::RowKey;
use crate::shard_txn::read_session;
use crate::state::{FreezeRow, GroupRow};

/// The most freezes a group holds. There is one migration at a time, so more than one is a leftover.
const FREEZES_MAX: usize = 8;

/// Whether a command may be applied while the group is frozen. Writes are looked at one by one, and ticks do nothing then.
/// What is not named here is refused: so is every command to come, until somebody decides.
fn passes(kind: &Kind) -> bool {
    match kind {
        Kind::Freeze(_) | Kind::Thaw(_) | Kind::RenewFreeze(_) | Kind::LapseFreeze(_) => true,
        Kind::Write(_) | Kind::Tick(_) => true,
        Kind::Adopt(_)
        | Kind::InsertShards(_)
        | Kind::Seal(_)
        | Kind::DeleteShards(_)
        | Kind::Acknowledge(_)
        | Kind::Expire(_)
        | Kind::Reported(_)
        | Kind::OpenRestore(_)
        | Kind::RestoreRows(_)
        | Kind::PublishRestore(_) => false,
    }
}

impl ShardKv {
    /// Whether the group is read-only.
    pub fn is_frozen(&self) -> bool {
        !self.freezes.is_empty()
    }

    /// Whether a freeze can never be in force here again.
    pub fn is_thawed(&self, freeze: u64) -> bool {
        freeze <= self.group.thawed
    }

    /// Every freeze in force, by id.
    pub fn frozen(&self) -> Vec<FreezeProof> {
        self.freezes.keys().filter_map(|freeze| self.proof(*freeze)).collect()
    }

    /// One freeze, if it is in force.
    pub fn proof(&self, freeze: u64) -> Option<FreezeProof> {
        let row = self.freezes.get(&freeze)?;
        Some(FreezeProof {
            freeze,
            migration: row.migration,
            config: row.config,
            thaws: self.group.thaws,
            writes: self.shards.iter().fold(0, |sum: u64, (_, state)| sum.saturating_add(state.counter)),
            beat: row.beat,
            at_ms: row.at_ms,
            lease_ms: row.lease_ms,
        })
    }

    /// Why a command may not be applied now; none: it may.
    pub(crate) fn frozen_out(&self, kind: &Kind) -> Option<Reply> {
        (self.is_frozen() && !passes(kind)).then(|| self.read_only())
    }

    fn read_only(&self) -> Reply {
        let migration = self.freezes.first_key_value().map_or(0, |(_, row)| row.migration);
        let message = format!(
            "read-only for cloud migration {migration}: reads go on, and writes again when it has thawed the group"
        );
        let reply = Reply { migration, ..Reply::refused(Code::ReadOnly, message) };
        self.signed(Reply { config: self.config().get(), ..reply })
    }

    /// What a write is answered while the group is frozen; none: it is not frozen, or the write must go through the log.
    /// For the leader's door: so that writers who try again and again do not fill the log.
    pub(crate) fn refusal_ahead(
        &self,
        rows: &dyn Reader,
        write: Write,
    ) -> Result<Option<Reply>, EngineError> {
        if !self.is_frozen() {
            return Ok(None);
        }
        let Ok(checked) = check(write, self.options.shards) else { return Ok(None) };
        if self.refusal(checked.shard).is_some() || is_read_only(&checked.op) {
            return Ok(None);
        }
        let reply = self.frozen_write(rows, &checked)?;
        Ok((reply.code() == Code::ReadOnly).then_some(reply))
    }

    /// A mutating write that arrives at a frozen group: remembered or refused, and nothing changes, not even the floor.
    pub(crate) fn frozen_write(&self, rows: &dyn Reader, write: &Checked) -> Result<Reply, EngineError> {
        let (state, id) = (self.state(write.shard), write.id);
        let stored = read_session(rows, state.home(write.shard), id.into())?;
        match stored.filter(|row| row.issued_at_ms > state.floor_ms && row.seq == id.seq) {
            Some(row) => Ok(self.served(write.shard, row.reply())),
            None => Ok(self.read_only()),
        }
    }

    pub(crate) fn freeze(&mut self, rows: &mut Txn<'_>, freeze: Freeze) -> Reply {
        if let Some(held) = self.freezes.get(&freeze.freeze) {
            let same = (held.migration, held.config) == (freeze.migration, freeze.config);
            let other = || format!("freeze {} is held for migration {}", freeze.freeze, held.migration);
            return if same { done() } else { Reply::refused(Code::Invalid, other()) };
        }
        if let Some(refusal) = self.unfreezable(&freeze) {
            return refusal;
        }
        let row = FreezeRow {
            migration: freeze.migration,
            config: freeze.config,
            lease_ms: freeze.lease_ms,
            at_ms: freeze.now_ms,
            beat: 0,
        };
        if !self.is_frozen() {
            self.pass_all_times(rows, freeze.now_ms);
        }
        self.store_freeze(rows, freeze.freeze, Some(row));
        done()
    }

    fn unfreezable(&self, freeze: &Freeze) -> Option<Reply> {
        let (id, mark, config) = (freeze.freeze, self.group.thawed, self.config().get());
        let (code, message) = if id == 0 || freeze.lease_ms == 0 {
            (Code::Invalid, "a freeze needs an id and a lease, both above 0".to_owned())
        } else if id <= mark {
            (Code::OutDated, format!("freeze {id} is over: this group was thawed up to {mark}"))
        } else if freeze.config < config {
            (Code::OutDated, format!("freeze {id} is for configuration {}, this is {config}", freeze.config))
        } else if freeze.config > config || self.settled().get() != config {
            let (moving, debts) = (self.moving.len(), self.debts.len());
            let want = freeze.config;
            let message = format!(
                "a freeze needs configuration {want} settled: this group is at {config}, with {moving} moves and {debts} debts"
            );
            (Code::NotReady, message)
        } else if self.freezes.len() >= FREEZES_MAX {
            (Code::Overloaded, format!("this group is frozen {FREEZES_MAX} times already: thaw some"))
        } else {
            return None;
        };
        Some(Reply::refused(code, message))
    }

    // What has expired on the leader's clock is gone before the cut, not after it. From then on the times stand still.
    fn pass_all_times(&mut self, rows: &mut Txn<'_>, now_ms: u64) {
        for shard in self.expiring.iter().copied().collect::<Vec<_>>() {
            let mut txn = self.begin(rows, shard);
            txn.pass_time(now_ms);
            let state = txn.state;
            self.store(rows, shard, state);
        }
    }

    pub(crate) fn thaw(&mut self, rows: &mut Txn<'_>, thaw: Thaw) -> Reply {
        if thaw.freeze == 0 {
            return Reply::refused(Code::Invalid, "a thaw needs the id of the freeze it ends");
        }
        let held = self.freezes.contains_key(&thaw.freeze);
        let (thawed, thaws) = (self.group.thawed.max(thaw.freeze), self.group.thaws + u64::from(held));
        if (thawed, thaws) != (self.group.thawed, self.group.thaws) {
            self.store_group(rows, GroupRow { thawed, thaws, ..self.group });
        }
        if held {
            self.store_freeze(rows, thaw.freeze, None);
        }
        done()
    }

    pub(crate) fn renew_freeze(&mut self, rows: &mut Txn<'_>, renew: RenewFreeze) -> Reply {
        let Some(row) = self.freezes.get(&renew.freeze).copied() else {
            let message = format!("freeze {} is not in force here", renew.freeze);
            return Reply::refused(Code::OutDated, message);
        };
        self.store_freeze(rows, renew.freeze, Some(FreezeRow { beat: row.beat + 1, ..row }));
        done()
    }

    pub(crate) fn lapse_freeze(&mut self, rows: &mut Txn<'_>, lapse: LapseFreeze) -> Reply {
        match self.freezes.get(&lapse.freeze) {
            Some(row) if row.beat == lapse.beat => self.thaw(rows, Thaw { freeze: lapse.freeze }),
            _ => done(),
        }
    }

    fn store_freeze(&mut self, rows: &mut Txn<'_>, freeze: u64, row: Option<FreezeRow>) {
        let key = RowKey::Freeze { freeze }.encode();
        let freezes = Arc::make_mut(&mut self.freezes);
        match row {
            Some(row) => {
                rows.put(key, row.to_bytes());
                freezes.insert(freeze, row);
            }
            None => {
                rows.delete(key);
                freezes.remove(&freeze);
            }
        }
    }
}
