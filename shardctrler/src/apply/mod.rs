//! Commands, one file for each family. A handler judges first and writes after: what it refuses changed nothing.

mod birth;
mod groups;
mod locks;
mod migrations;
mod moves;
mod nodes;
mod reports;

use flotilla_types::{EngineError, Txn};

use crate::api::command::{Command, Kind};
use crate::api::{Code, Response};
use crate::draft::Draft;
use crate::machine::{ShardCtrler, read};
use crate::refusal::{Refusal, Verdict, response};
use crate::rows::{Remembered, RowKey};

/// Applies one command, unless its request was answered before.
pub(crate) fn apply(
    state: &mut ShardCtrler,
    rows: &mut Txn<'_>,
    command: &Command,
) -> Result<Response, EngineError> {
    if let Some(answer) = recall(state, rows, command.request_id)? {
        return Ok(answer);
    }
    let mut draft = Draft::new(state, rows);
    let verdict = dispatch(&mut draft, command)?;
    draft.seal_directory();
    let answer = response(verdict, draft.counters.config, draft.counters.revision);
    // Before its birth a cluster stores nothing. What only waits for a migration to end is to succeed then.
    if command.request_id != 0 && draft.is_born() && answer.code() != Code::Paused {
        draft.remember(command.request_id, &answer)?;
    }
    draft.finish();
    Ok(answer)
}

/// The answer that a request got, if it is remembered. Refusals are: a retry must not succeed where its request did not.
fn recall(state: &ShardCtrler, rows: &Txn<'_>, request_id: u64) -> Result<Option<Response>, EngineError> {
    // Id 0 means "no id" and is never remembered.
    let Some(serial) = state.requests.get(&request_id) else { return Ok(None) };
    let remembered: Option<Remembered> = read(rows, &RowKey::Request(*serial))?;
    let missing = || EngineError::corrupt(format!("the row of remembered request {serial} is missing"));
    remembered.and_then(|remembered| remembered.response).ok_or_else(missing).map(Some)
}

fn dispatch(draft: &mut Draft<'_, '_, '_>, command: &Command) -> Result<Verdict, EngineError> {
    match &command.kind {
        Some(Kind::Migration(wish)) if draft.is_born() => migrations::apply(draft, wish, command.now_ms),
        _ => Ok(decide(draft, command)),
    }
}

fn decide(draft: &mut Draft<'_, '_, '_>, command: &Command) -> Verdict {
    let unknown = || Refusal::invalid("kind: unknown command; upgrade the controller's nodes, then retry");
    let kind = command.kind.as_ref().ok_or_else(unknown)?;
    if !draft.is_born() && !matches!(kind, Kind::Bootstrap(_)) {
        return Err(Refusal::refused("the cluster is not born yet: bootstrap it first, then retry"));
    }
    match kind {
        Kind::Bootstrap(bootstrap) => birth::bootstrap(draft, bootstrap),
        Kind::Register(register) => nodes::register(draft, register),
        Kind::Join(join) => groups::join(draft, join),
        Kind::Leave(leave) => groups::leave(draft, leave),
        Kind::Move(wish) => moves::move_shard(draft, wish),
        Kind::Report(report) => reports::report(draft, report),
        Kind::Lock(lock) => locks::lock(draft, lock, command.now_ms),
        Kind::Unlock(unlock) => locks::unlock(draft, unlock, command.now_ms),
        Kind::Migration(_) => Err(Refusal::invalid("kind: a migration's commands are judged elsewhere")),
    }
}
