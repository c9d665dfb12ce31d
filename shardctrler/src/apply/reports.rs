//! Report: what a group says of itself.
//!
//! A leaving group is torn down once it has settled the configuration of its Leave. Settled up to `n` means, as the
//! group's own log says: each of its shards has been brought to `n`, none is Pulling, BePulling or GCing, and it owes no deletion
//! to anybody. Why nothing is lost by removing its replicas then:
//!
//! * It owns nothing in any configuration from its Leave on: only live groups are given shards. So nothing is to come.
//! * Nobody still has to pull from it. Each shard that it lost was BePulling there, and left that state only by a
//!   DeleteShards, which the new owner asks for only from a committed GCing, that is when it holds every row.
//! * Somebody may still wait for the answer to that request, if the answer was lost. It finds the group torn down (or the
//!   gid in a newer life) in the directory, and takes that for the answer: see `Directory::departed`.
//! * It is owed nothing: a shard that it was still pulling, or whose source had not confirmed the deletion, would not be settled.

use crate::api::command::Report;
use crate::api::{GroupRecord, GroupState};
use crate::draft::Draft;
use crate::housekeeping;
use crate::refusal::{Grant, Refusal, Verdict, ensure};

/// Takes note. Nothing ever goes back, and another life's report says nothing of this one.
pub(crate) fn report(draft: &mut Draft<'_, '_, '_>, report: &Report) -> Verdict {
    let latest = draft.counters.config;
    ensure(report.settled <= latest, || {
        format!("settled: configuration {} does not exist yet, the latest is {latest}", report.settled)
    })?;
    let unknown = || Refusal::not_found(format!("gid: there is no group {}", report.gid));
    let known = draft.directory.group(report.gid).ok_or_else(unknown)?;
    // The controller itself settles nothing; it is initialised by its first command.
    if report.gid == 0 || known.incarnation != report.incarnation {
        return Ok(Grant::default());
    }
    let next = advance(known, report, draft.counters.revision + 1);
    if next != *known {
        draft.put_group(next);
        housekeeping::run(draft);
    }
    Ok(Grant::default())
}

fn advance(known: &GroupRecord, report: &Report, revision: u64) -> GroupRecord {
    let mut next = known.clone();
    if known.state() == GroupState::TornDown {
        return next;
    }
    next.initialised |= report.initialised && !known.is_void(report.member);
    next.settled = next.settled.max(report.settled);
    if next.state() == GroupState::Leaving && next.settled >= next.left {
        next.set_state(GroupState::TornDown);
        next.torn_down = revision;
    }
    next
}
