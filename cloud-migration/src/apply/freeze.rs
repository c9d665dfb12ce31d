//! The freeze: pinning the configuration, what groups acknowledge and prove, and when it ends.

use crate::apply::{check_owner, event};
use crate::book::Book;
use crate::command::Frozen;
use crate::options::FreezeUntil;
use crate::record::{Compensation, Freeze, Group, Record, Undo};
use crate::refusal::{Refusal, Why, ensure};
use crate::state::State;

/// Pins the latest configuration, if every group has settled it. Answers the freeze's id, the same when asked again.
pub(super) fn pin(
    book: &mut impl Book,
    record: &mut Record,
    epoch: u64,
    now_ms: u64,
) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    if let Some(freeze) = record.freeze {
        return Ok(freeze.id);
    }
    if record.state() != State::Setup {
        return Err(Refusal::refused(format!("state: {} pins nothing; setup does", record.state())));
    }
    let cluster = book.cluster();
    if cluster.settled < cluster.config {
        let (config, settled) = (cluster.config, cluster.settled);
        return Err(Refusal::refused(format!(
            "configuration {config} is not settled by all yet, only {settled}; wait"
        )));
    }
    let id = book.new_freeze();
    record.freeze = Some(Freeze { id, config: cluster.config, started_ms: now_ms, ..Freeze::default() });
    let group = |group: crate::book::ClusterGroup| Group {
        gid: group.gid,
        incarnation: group.incarnation,
        nodes: group.nodes,
        ..Group::default()
    };
    record.groups = cluster.groups.into_iter().map(group).collect();
    event(record, now_ms, format!("configuration {} pinned, freeze {id}", cluster.config));
    Ok(id)
}

/// A group is read-only. Its first acknowledgement counts.
pub(super) fn frozen(record: &mut Record, epoch: u64, frozen: &Frozen, now_ms: u64) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    let of = record.freeze.map_or(0, |freeze| freeze.id);
    if frozen.freeze != of || of == 0 {
        return Err(Refusal::new(
            Why::Fenced,
            format!("freeze: {} is not this migration's, which is {of}", frozen.freeze),
        ));
    }
    ensure(frozen.ack.is_some(), || "ack: missing; say where the group became read-only".to_owned())?;
    let ack = frozen.ack;
    let group = group_mut(record, frozen.gid)?;
    if group.ack.is_none() {
        group.ack = ack;
    }
    let all = record.groups.iter().all(Group::is_frozen);
    if let Some(freeze) = record.freeze.as_mut()
        && all
        && freeze.complete_ms == 0
    {
        freeze.complete_ms = now_ms;
        let ms = now_ms.saturating_sub(freeze.started_ms);
        event(record, now_ms, format!("every group is read-only after {ms} ms"));
    }
    Ok(epoch)
}

/// A group was read-only from its acknowledgement until after the last one. Not before that: a proof taken earlier says nothing.
pub(super) fn proven(record: &mut Record, epoch: u64, gid: u64) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    if record.freeze.is_none_or(|freeze| freeze.complete_ms == 0) {
        return Err(Refusal::refused("gid: nothing is proven before the last group has acknowledged"));
    }
    group_mut(record, gid)?.proven = true;
    Ok(epoch)
}

/// One of the record's groups.
pub(super) fn group_mut(record: &mut Record, gid: u64) -> Result<&mut Group, Refusal> {
    let id = record.id;
    let missing = || Refusal::new(Why::NotFound, format!("gid: group {gid} is not part of migration {id}"));
    record.groups.iter_mut().find(|group| group.gid == gid).ok_or_else(missing)
}

/// What follows from any change: the freeze ends when it is due or the migration is over; moves go on once all is thawed.
pub(super) fn settle(record: &mut Record, now_ms: u64) {
    let due = is_due(record);
    let gids: Vec<u64> = record.groups.iter().map(|group| group.gid).collect();
    if let Some(freeze) = record.freeze.as_mut()
        && freeze.ended_ms == 0
        && due
    {
        freeze.ended_ms = now_ms;
        record.compensations.extend(gids.iter().map(|gid| Compensation::new(Undo::Thaw, *gid)));
        record.compensations.sort();
    }
    let thawed = !record.holds_freeze();
    if let Some(freeze) = record.freeze.as_mut()
        && thawed
        && freeze.thawed_ms == 0
    {
        freeze.thawed_ms = now_ms;
        let ms = now_ms.saturating_sub(freeze.started_ms);
        event(record, now_ms, format!("every group is writable again; read-only for {ms} ms"));
    }
    if record.pauses && thawed && (record.freeze.is_some() || record.state().is_terminal()) {
        record.pauses = false;
        event(record, now_ms, "moves go on");
    }
}

fn is_due(record: &Record) -> bool {
    let state = record.state();
    let totals = record.totals();
    let until = record.options.as_ref().map_or(FreezeUntil::Dumped, |options| options.freeze_until());
    let proven = record.groups.iter().all(|group| group.proven);
    let planned = record.groups.iter().all(|group| group.planned_all);
    state.is_terminal()
        || match until {
            FreezeUntil::Pinned => state >= State::Dump && planned && proven,
            FreezeUntil::Dumped => state >= State::Upload,
            FreezeUntil::Uploaded => state >= State::Upload && totals.files_done == totals.files && proven,
            FreezeUntil::Done => false,
        }
}
