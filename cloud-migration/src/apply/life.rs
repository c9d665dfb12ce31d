//! How records come and go.

use crate::apply::{Done, event};
use crate::book::Book;
use crate::command::Create;
use crate::limits;
use crate::options::{Options, Target};
use crate::record::Record;
use crate::refusal::{Refusal, Stop, Why};
use crate::state::State;

/// A new migration, if no other one is going on.
pub(super) fn create(book: &mut impl Book, wish: &Create, now_ms: u64) -> Result<Done, Stop> {
    let missing = || Refusal::invalid("target: missing; name where the migration goes");
    let target = wish.target.clone().ok_or_else(missing)?;
    target.check()?;
    let options = wish.options.clone().unwrap_or_default().filled();
    options.check()?;
    begin(book, target, options, None, now_ms)
}

/// The same again, as a new migration: nothing leaves a terminal state.
pub(super) fn retry(book: &mut impl Book, id: u64, now_ms: u64) -> Result<Done, Stop> {
    let old = super::find(book, id)?;
    if !matches!(old.state(), State::Error | State::Cancelled) {
        let message = format!(
            "id: migration {id} is {}; only one that failed or was cancelled is retried",
            old.state()
        );
        return Err(Refusal::refused(message).into());
    }
    let target = old.target.clone().unwrap_or_default();
    let options = old.options.clone().unwrap_or_default();
    begin(book, target, options, Some(&old), now_ms)
}

/// Removes a record that nobody has anything to do for.
pub(super) fn forget(book: &mut impl Book, id: u64) -> Result<Done, Stop> {
    let record = super::find(book, id)?;
    if !record.state().is_terminal() {
        let message = format!("id: migration {id} is not over ({}); cancel it first", record.state());
        return Err(Refusal::refused(message).into());
    }
    if record.cleanup_pending() {
        let left = record.compensations.len();
        let message =
            format!("id: migration {id} has {left} things to tidy up yet; retry when status shows none");
        return Err(Refusal::refused(message).into());
    }
    book.remove(id);
    Ok(Done { id, ..Done::default() })
}

fn begin(
    book: &mut impl Book,
    target: Target,
    options: Options,
    retried: Option<&Record>,
    now_ms: u64,
) -> Result<Done, Stop> {
    if let Some(active) = book.records().values().find(|record| !record.state().is_terminal()) {
        let (id, state) = (active.id, active.state());
        let message = format!("migration {id} is not over ({state}); wait for it, or cancel it");
        return Err(Refusal::new(Why::Conflict(id), message).into());
    }
    make_room(book)?;
    let cluster = book.cluster();
    if cluster.groups.is_empty() {
        return Err(Refusal::refused("no group has joined: there is nothing to carry; join one first").into());
    }
    let id = book.new_id();
    let mut record = Record {
        id,
        attempt: retried.map_or(1, |old| old.attempt.saturating_add(1)),
        retry_of: retried.map_or(0, |old| old.id),
        target: Some(target),
        options: Some(options),
        created_ms: now_ms,
        cluster: cluster.id,
        shards: cluster.shards,
        ..Record::default()
    };
    event(&mut record, now_ms, "created");
    super::save(book, record, now_ms);
    Ok(Done { id, ..Done::default() })
}

/// The oldest record that nobody needs goes for the new one.
fn make_room(book: &mut impl Book) -> Result<(), Refusal> {
    if book.records().len() < limits::RECORDS_MAX {
        return Ok(());
    }
    let oldest = book.records().values().find(|record| !record.is_owed()).map(|record| record.id);
    let full = || {
        let most = limits::RECORDS_MAX;
        Refusal::new(
            Why::TooMany,
            format!("{most} migrations are still to be tidied up, which is the limit; see the list"),
        )
    };
    book.remove(oldest.ok_or_else(full)?);
    Ok(())
}
