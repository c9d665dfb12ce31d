//! Judging commands, one file for each family. What is refused changed nothing.

mod files;
mod finish;
mod freeze;
mod life;
mod owner;
mod steps;
mod uploads;

use crate::book::Book;
use crate::command::{Command, Kind};
use crate::limits;
use crate::progress;
use crate::record::{Event, Record};
use crate::refusal::{Refusal, Stop, Why};

/// What a command gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The migration.
    pub id: u64,
    /// Of a claim: its epoch. Of an assignment: its number. Of a pin: the freeze's id.
    pub token: u64,
    /// Of a cancellation: how many migrations it ended.
    pub count: u64,
}

/// Judges one command and writes what it changes. `now_ms` is the stamp of the leader that proposed it.
pub fn apply(book: &mut impl Book, command: &Command, now_ms: u64) -> Result<Done, Stop> {
    // A leader whose clock is not trusted stamps 0; time stands still then. And 0 means "not yet" in a record.
    let latest_ms = book.records().values().map(|record| record.updated_ms).max().unwrap_or(0);
    let now_ms = now_ms.max(latest_ms).max(1);
    let unknown = || Refusal::invalid("kind: unknown command; upgrade the controller's nodes, then retry");
    match command.kind.as_ref().ok_or_else(unknown)? {
        Kind::Create(create) => life::create(book, create, now_ms),
        Kind::Retry(_) => life::retry(book, command.id, now_ms),
        Kind::Forget(_) => life::forget(book, command.id),
        Kind::Cancel(_) if command.id == 0 => Ok(finish::cancel_all(book, now_ms)),
        Kind::FilesPlanned(plan) => files::planned(book, command, plan, now_ms),
        Kind::FileDumped(file) => files::dumped(book, command, file, now_ms),
        Kind::UploadCreated(upload) => uploads::created(book, command, upload, now_ms),
        Kind::PartsDone(parts) => uploads::parts(book, command, parts, now_ms),
        Kind::FileDone(file) => uploads::done(book, command, file, now_ms),
        kind => on_record(book, command, kind, now_ms),
    }
}

/// The commands that touch nothing but the record.
fn on_record(book: &mut impl Book, command: &Command, kind: &Kind, now_ms: u64) -> Result<Done, Stop> {
    let mut record = find(book, command.id)?;
    let epoch = command.epoch;
    let token = match kind {
        Kind::Cancel(_) => return Ok(finish::cancel(book, record, now_ms)),
        Kind::Pin(_) => freeze::pin(book, &mut record, epoch, now_ms)?,
        Kind::Claim(by) => owner::claim(&mut record, by.node, now_ms)?,
        Kind::Renew(_) => owner::renew(&mut record, epoch)?,
        Kind::Release(_) => owner::release(&mut record, epoch)?,
        Kind::SetProgress(to) => steps::set_progress(&mut record, epoch, to, now_ms)?,
        Kind::Frozen(frozen) => freeze::frozen(&mut record, epoch, frozen, now_ms)?,
        Kind::Proven(group) => freeze::proven(&mut record, epoch, group.gid)?,
        Kind::Fail(failure) => finish::fail(&mut record, epoch, failure, now_ms)?,
        Kind::GroupFailed(failed) => finish::group_failed(&mut record, epoch, failed, now_ms)?,
        Kind::Assign(assign) => files::assign(&mut record, epoch, assign, now_ms)?,
        Kind::CompensationDone(done) => finish::compensated(&mut record, done, now_ms)?,
        Kind::Registered(name) => steps::registered(&mut record, epoch, &name.external_id)?,
        Kind::Note(note) => steps::note(&mut record, epoch, &note.what, now_ms)?,
        _ => return Err(Refusal::invalid("kind: not a command on a record").into()),
    };
    save(book, record, now_ms);
    Ok(Done { id: command.id, token, count: 0 })
}

/// A migration by id.
fn find(book: &impl Book, id: u64) -> Result<Record, Refusal> {
    let found = book.records().get(&id).cloned();
    found.ok_or_else(|| Refusal::new(Why::NotFound, format!("id: there is no migration {id}; see the list")))
}

/// Writes a record, if it changed, with what follows from the change.
fn save(book: &mut impl Book, mut record: Record, now_ms: u64) {
    if book.records().get(&record.id) == Some(&record) {
        return;
    }
    freeze::settle(&mut record, now_ms);
    record.progress = record.progress.max(progress::of(&record));
    record.revision += 1;
    record.updated_ms = record.updated_ms.max(now_ms);
    book.put_record(record);
}

/// Refuses if it is over.
fn check_alive(record: &Record) -> Result<(), Refusal> {
    let state = record.state();
    if !state.is_terminal() {
        return Ok(());
    }
    Err(Refusal::new(
        Why::Terminal(state),
        format!("migration {} is over: {state}; start another one", record.id),
    ))
}

/// Refuses unless it is not over and the command comes from its owner.
fn check_owner(record: &Record, epoch: u64) -> Result<(), Refusal> {
    check_alive(record)?;
    if epoch == record.epoch() && epoch > 0 {
        return Ok(());
    }
    let message = format!("epoch: {epoch} is over; migration {} is at epoch {}", record.id, record.epoch());
    Err(Refusal::new(Why::Fenced, message))
}

/// Adds a line to the timeline. When it is full, lines from the middle go: the beginning and the end tell most.
fn event(record: &mut Record, at_ms: u64, what: impl Into<String>) {
    if record.timeline.len() >= limits::EVENTS_MAX {
        record.timeline.remove(limits::EVENTS_MAX / 2);
    }
    record.timeline.push(Event { at_ms, what: cut(&what.into(), limits::DETAIL_BYTES_MAX) });
}

/// The first bytes of a text, at a character's border.
fn cut(text: &str, bytes_max: usize) -> String {
    let fits = |end: &usize| *end <= bytes_max;
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(fits).last().unwrap_or(0);
    text[..end].to_owned()
}
