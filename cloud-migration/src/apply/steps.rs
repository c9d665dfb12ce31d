//! From state to state, and progress within one.

use crate::apply::{check_owner, cut, event};
use crate::command::SetProgress;
use crate::limits;
use crate::options::FreezeUntil;
use crate::progress;
use crate::record::Record;
use crate::refusal::{Refusal, ensure};
use crate::state::{State, Step};

/// On to this state or progress. States go forward one at a time and only when complete; progress never falls.
pub(super) fn set_progress(
    record: &mut Record,
    epoch: u64,
    to: &SetProgress,
    now_ms: u64,
) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    let (from, next) = (record.state(), to.state());
    ensure(State::try_from(to.state).is_ok(), || format!("state: {} is unknown", to.state))?;
    ensure(!matches!(next, State::Error | State::Cancelled), || {
        format!("state: {next} is not set but reached by failing or cancelling")
    })?;
    match from.step(next) {
        Step::Repeat => {}
        Step::Forward => {
            check_complete(record, next)?;
            enter(record, next, now_ms);
        }
        Step::Backward | Step::Terminal => {
            return Err(Refusal::refused(format!("state: {from} is not followed by {next}")));
        }
    }
    let (least, most) = progress::range(next);
    ensure(to.progress == 0 || (least..=most).contains(&to.progress), || {
        format!("progress: {} is not in {least} to {most}, the range of {next}", to.progress)
    })?;
    record.progress = record.progress.max(to.progress);
    if !to.detail.is_empty() {
        record.detail = cut(&to.detail, limits::DETAIL_BYTES_MAX);
    }
    Ok(epoch)
}

/// The migration store gave it a name. Another one later would leave orphans there.
pub(super) fn registered(record: &mut Record, epoch: u64, name: &str) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    ensure((1..=limits::WORD_BYTES_MAX).contains(&name.len()), || {
        format!("external_id: {} bytes, not 1 to {}", name.len(), limits::WORD_BYTES_MAX)
    })?;
    if !record.external_id.is_empty() && record.external_id != name {
        return Err(Refusal::refused(format!("external_id: it is {:?} already", record.external_id)));
    }
    name.clone_into(&mut record.external_id);
    Ok(epoch)
}

/// A line for the timeline.
pub(super) fn note(record: &mut Record, epoch: u64, what: &str, now_ms: u64) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    event(record, now_ms, what);
    Ok(epoch)
}

/// What entering a state means.
pub(super) fn enter(record: &mut Record, next: State, now_ms: u64) {
    record.set_state(next);
    record.detail.clear();
    match next {
        State::Setup => record.pauses = true,
        State::Done => super::finish::tidy_local(record),
        _ => {}
    }
    event(record, now_ms, next.name());
}

/// Refuses while something that `next` builds on is missing.
fn check_complete(record: &Record, next: State) -> Result<(), Refusal> {
    let totals = record.totals();
    let until = record.options.as_ref().map_or(FreezeUntil::Dumped, |options| options.freeze_until());
    let frozen = record.freeze.is_some() && record.groups.iter().all(|group| group.is_frozen());
    let proven = record.groups.iter().all(|group| group.proven);
    let planned = record.groups.iter().all(|group| group.planned_all);
    let early = matches!(until, FreezeUntil::Pinned | FreezeUntil::Dumped);
    let missing = match next {
        State::Dump if !frozen => "a group has not acknowledged the freeze",
        State::Upload if !planned => "a group has not planned its files",
        State::Upload if totals.files_dumped < totals.files => "a file is not dumped",
        State::Upload if early && !proven => "a group has not proven its freeze",
        State::Done if totals.files_done < totals.files => "a file is not in the store",
        State::Done if !proven => "a group has not proven its freeze",
        _ => return Ok(()),
    };
    Err(Refusal::refused(format!("state: {next} must wait: {missing}")))
}
