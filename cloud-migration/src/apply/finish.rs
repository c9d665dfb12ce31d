//! How a migration ends badly, and what is ticked off afterwards.

use std::collections::BTreeSet;

use crate::apply::{Done, check_alive, check_owner, cut, event};
use crate::book::Book;
use crate::command::{CompensationDone, GroupFailed};
use crate::limits;
use crate::record::{Compensation, Failure, Record, Undo};
use crate::refusal::{Refusal, ensure};
use crate::state::State;

/// Calls one off; one that is over stays as it is, and counts as none.
pub(super) fn cancel(book: &mut impl Book, mut record: Record, now_ms: u64) -> Done {
    let id = record.id;
    if record.state().is_terminal() {
        return Done { id, ..Done::default() };
    }
    end(&mut record, State::Cancelled, now_ms);
    super::save(book, record, now_ms);
    Done { id, token: 0, count: 1 }
}

/// Calls off all that are not over.
pub(super) fn cancel_all(book: &mut impl Book, now_ms: u64) -> Done {
    let alive = book.records().values().filter(|record| !record.state().is_terminal());
    let alive: Vec<Record> = alive.cloned().collect();
    let count = alive.len() as u64;
    let id = alive.last().map_or(0, |record| record.id);
    for record in alive {
        cancel(book, record, now_ms);
    }
    Done { id, token: 0, count }
}

/// It cannot go on. The same compare-and-set as every other step, so an error never overwrites a cancellation.
pub(super) fn fail(record: &mut Record, epoch: u64, failure: &Failure, now_ms: u64) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    record.error = Some(bounded(failure, record.state())?);
    end(record, State::Error, now_ms);
    Ok(epoch)
}

/// A node cannot go on with a group. What was pinned and is lost there may be elsewhere; everything else ends the migration.
pub(super) fn group_failed(
    record: &mut Record,
    epoch: u64,
    failed: &GroupFailed,
    now_ms: u64,
) -> Result<u64, Refusal> {
    super::files::check_assigned(record, failed.gid, epoch)?;
    let failure = bounded(&failed.failure.clone().unwrap_or_default(), record.state())?;
    if failure.code == "pin_lost" {
        let group = super::freeze::group_mut(record, failed.gid)?;
        let node = std::mem::take(&mut group.node);
        group.lost.push(node);
        let elsewhere = group.readers().next().is_some();
        event(record, now_ms, format!("node {node} lost what it had pinned of group {}", failed.gid));
        if elsewhere {
            return Ok(epoch);
        }
    }
    record.error = Some(failure);
    end(record, State::Error, now_ms);
    Ok(epoch)
}

/// Something was undone. What is not owed changes nothing.
pub(super) fn compensated(record: &mut Record, done: &CompensationDone, now_ms: u64) -> Result<u64, Refusal> {
    ensure(Undo::try_from(done.undo).is_ok(), || format!("undo: {} is unknown", done.undo))?;
    let before = record.compensations.len();
    record.compensations.retain(|owed| (owed.undo, owed.of) != (done.undo, done.of));
    if record.compensations.is_empty() && before > 0 && record.state().is_terminal() {
        event(record, now_ms, "tidied up");
    }
    Ok(0)
}

/// Nodes remove what they hold locally.
pub(super) fn tidy_local(record: &mut Record) {
    let nodes: BTreeSet<u64> = record.groups.iter().flat_map(|group| group.nodes.iter().copied()).collect();
    record.compensations.extend(nodes.into_iter().map(|node| Compensation::new(Undo::Local, node)));
    record.compensations.sort();
}

/// Queues everything that is to be undone, in the same command that ends the migration. Thaws are queued where every
/// freeze ends.
fn end(record: &mut Record, state: State, now_ms: u64) {
    check_alive(record).expect("nothing leaves a terminal state: every caller has asked");
    let from = record.state();
    record.set_state(state);
    // Before that nothing was written there.
    if from >= State::Dump {
        record.compensations.push(Compensation::new(Undo::Store, 0));
    }
    tidy_local(record);
    let why = record.error.as_ref().map_or(String::new(), |error| format!(": {}", error.code));
    event(record, now_ms, format!("{state} in {from}{why}"));
}

fn bounded(failure: &Failure, phase: State) -> Result<Failure, Refusal> {
    let code_ok = (1..=64).contains(&failure.code.len());
    ensure(code_ok, || format!("code: {} bytes, not 1 to 64", failure.code.len()))?;
    let message = cut(&failure.message, limits::MESSAGE_BYTES_MAX);
    Ok(Failure { phase: phase.into(), message, ..failure.clone() })
}
