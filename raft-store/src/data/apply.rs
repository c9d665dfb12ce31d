//! Applying entries, in rounds: many entries become one batch of rows and one published machine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::raft_v1 as pb;
use flotilla_types::{EngineError, Machine, Txn, Wire};
use openraft::storage::{ApplyResponder, EntryResponder};
use prost::Message;

use super::engine::{DataEngine, closed};
use super::view::{Applied, MachineRows, OWN_KEYS, Replica, View};
use crate::raft_types::{C, Commands, Payload, Responses, StoredMembership};

/// Where a round stops taking more.
pub(crate) const ROUND_BYTES_MAX: usize = 4 * 1024 * 1024;
pub(crate) const ROUND_ENTRIES_MAX: usize = 1024;
/// A larger round may run long enough to be worth moving other tasks off this thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// How often a stopped database is asked whether it takes writes again.
const STOPPED_PAUSE: Duration = Duration::from_millis(5);

/// Entries to apply together.
#[derive(Default)]
pub(crate) struct Round {
    pub entries: Vec<EntryResponder<C>>,
    bytes: usize,
}

impl Round {
    pub fn push(&mut self, item: EntryResponder<C>) {
        self.bytes += match &item.0.payload {
            Payload::Normal(commands) => commands.0.len(),
            _ => 64,
        };
        self.entries.push(item);
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= ROUND_BYTES_MAX || self.entries.len() >= ROUND_ENTRIES_MAX
    }

    /// Whether it is quick enough to run in the middle of other tasks.
    pub fn is_small(&self) -> bool {
        self.bytes <= INLINE_BYTES_MAX
    }
}

type Answers = Vec<(ApplyResponder<C>, Responses)>;

impl<M: Machine> Replica<M> {
    /// Applies a round and answers it. On an error nothing of the round is visible, and the replica must stop.
    pub fn apply(&self, round: Round) -> Result<(), EngineError> {
        // A panic inside openraft's task would leave a node that calls itself leader and fails every write.
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply_round(round)));
        let answers = applied.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let answers = answers.inspect_err(|error| self.fail(error))?;
        for (responder, responses) in answers {
            responder.send(responses);
        }
        Ok(())
    }

    fn apply_round(&self, round: Round) -> Result<Answers, EngineError> {
        let before = self.view.read().clone();
        let mut machine = M::clone(&before.machine);
        let mut applied = before.applied;
        let mut answers = Answers::with_capacity(round.entries.len());
        let rows = MachineRows(before.db.engine.snapshot());
        let mut txn = Txn::new(&rows);
        for (entry, responder) in round.entries {
            if !self.allows_gaps {
                check_order(&applied, entry.log_id.index)?;
            }
            let responses = match entry.payload {
                Payload::Blank => Responses::default(),
                Payload::Membership(members) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), members);
                    Responses::default()
                }
                Payload::Normal(commands) => apply_commands(&mut machine, &mut txn, commands)?,
            };
            applied.last = Some(entry.log_id);
            answers.extend(responder.map(|responder| (responder, responses)));
        }
        let mut batch = txn.into_batch();
        drop(rows);
        check_keys(&batch)?;
        applied.put(&mut batch);
        let next = crate::log::replica::next(&applied.last);
        let mark = machine.garbage_mark();
        let db = before.db.clone();
        let after = View { machine: Arc::new(machine), db: before.db, applied };
        self.await_writable(&*db.engine);
        let old = {
            let mut view = self.view.write();
            if !Arc::ptr_eq(&view.db, &db) {
                return Err(closed());
            }
            db.engine.write(batch)?;
            std::mem::replace(&mut *view, after)
        };
        drop(old);
        self.applied_next.send_replace(next);
        self.garbage.send_if_modified(|(_, garbage)| std::mem::replace(garbage, mark) != mark);
        Ok(answers)
    }

    /// Whether a write would wait for a long time.
    pub fn is_write_stopped(&self) -> bool {
        self.view.read().db.engine.is_write_stopped()
    }

    /// Waits before the lock is taken, not while readers wait for it.
    fn await_writable(&self, engine: &dyn DataEngine) {
        while engine.is_write_stopped() && !self.is_closed() {
            std::thread::sleep(STOPPED_PAUSE);
        }
    }
}

/// A gap would be applied for good, and nobody would ever know.
fn check_order(applied: &Applied, index: u64) -> Result<(), EngineError> {
    match crate::log::replica::next(&applied.last) {
        next if next == index => Ok(()),
        next => Err(EngineError::corrupt(format!("a gap: entry {index} was to be applied, {next} is next"))),
    }
}

fn apply_commands<M: Machine>(
    machine: &mut M,
    txn: &mut Txn<'_>,
    commands: Commands,
) -> Result<Responses, EngineError> {
    let failed = |error| EngineError::new("decode a log entry", error);
    let batch = pb::CommandBatch::decode(commands.0).map_err(failed)?;
    let mut responses = Vec::with_capacity(batch.commands.len());
    for command in batch.commands {
        responses.push(machine.apply(txn, M::Command::decode_from(command)?)?);
    }
    Ok(Responses::new(responses))
}

/// A machine that wrote over the replica's own rows would forget what was applied.
fn check_keys(batch: &flotilla_types::WriteBatch) -> Result<(), EngineError> {
    use flotilla_types::WriteOp;
    let own = |op: &WriteOp| match op {
        WriteOp::Put { key, .. } | WriteOp::Delete { key } => key.starts_with(OWN_KEYS),
        WriteOp::DeleteRange { end, .. } => end.as_ref() > OWN_KEYS,
    };
    match batch.ops.iter().any(own) {
        true => Err(EngineError::corrupt("the machine wrote a key that starts with 0xff")),
        false => Ok(()),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> EngineError {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    EngineError::corrupt(format!("apply panicked: {}", text.unwrap_or_default()))
}
