//! A record as people see it: one shape for JSON everywhere. What it leaves out is bulk; there are no secrets to leave out.

use serde::Serialize;

use crate::record::{Failure, Record, Undo};

/// A record for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // The fields are named as in the record, which documents them.
pub struct View {
    pub id: u64,
    pub external_id: String,
    pub attempt: u32,
    pub retry_of: Option<u64>,
    pub state: &'static str,
    pub progress: u32,
    pub detail: String,
    pub target: String,
    pub freeze_until: &'static str,
    pub owner: Option<OwnerView>,
    pub freeze: Option<FreezeView>,
    pub paused: bool,
    pub groups: Vec<GroupView>,
    pub files: u32,
    pub files_dumped: u32,
    pub files_done: u32,
    pub bytes_planned: u64,
    pub bytes_dumped: u64,
    pub bytes_files: u64,
    pub bytes_uploaded: u64,
    pub rows: u64,
    pub cleanup_pending: Vec<String>,
    pub error: Option<FailureView>,
    pub created_at: u64,
    pub updated_at: u64,
    pub timeline: Vec<EventView>,
}

/// Who drives it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct OwnerView {
    pub node: u64,
    pub epoch: u64,
    pub leased: bool,
}

/// The freeze, with the window in which writes were refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct FreezeView {
    pub id: u64,
    pub config: u64,
    /// From the pin to the last acknowledgement; none: not all have acknowledged.
    pub barrier_ms: Option<u64>,
    /// From the pin to the last thaw; none: some group may still be read-only.
    pub read_only_ms: Option<u64>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct GroupView {
    pub gid: u64,
    pub node: u64,
    pub frozen: bool,
    pub frozen_index: u64,
    pub frozen_term: u64,
    pub proven: bool,
    pub files: u32,
    pub files_dumped: u32,
    pub files_done: u32,
}

/// Why it ended in error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct FailureView {
    pub code: String,
    pub phase: &'static str,
    pub message: String,
    pub retryable: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct EventView {
    pub at: u64,
    pub what: String,
}

impl View {
    /// The view of a record.
    pub fn of(record: &Record) -> Self {
        let totals = record.totals();
        let options = record.options.clone().unwrap_or_default();
        Self {
            id: record.id,
            external_id: record.external_id.clone(),
            attempt: record.attempt,
            retry_of: (record.retry_of > 0).then_some(record.retry_of),
            state: record.state().name(),
            progress: record.progress,
            detail: record.detail.clone(),
            target: record.target.as_ref().map(|target| target.url.clone()).unwrap_or_default(),
            freeze_until: options.freeze_until().name(),
            owner: owner(record),
            freeze: freeze(record),
            paused: record.pauses,
            groups: record.groups.iter().map(group).collect(),
            files: totals.files,
            files_dumped: totals.files_dumped,
            files_done: totals.files_done,
            bytes_planned: totals.bytes_planned,
            bytes_dumped: totals.bytes_dumped,
            bytes_files: totals.bytes_files,
            bytes_uploaded: totals.bytes_uploaded,
            rows: totals.rows,
            cleanup_pending: pending(record),
            error: record.error.as_ref().map(failure),
            created_at: record.created_ms,
            updated_at: record.updated_ms,
            timeline: record
                .timeline
                .iter()
                .map(|event| EventView { at: event.at_ms, what: event.what.clone() })
                .collect(),
        }
    }
}

fn owner(record: &Record) -> Option<OwnerView> {
    let owner = record.owner?;
    Some(OwnerView { node: owner.node, epoch: owner.epoch, leased: owner.leased })
}

fn freeze(record: &Record) -> Option<FreezeView> {
    let freeze = record.freeze?;
    let since = |at_ms: u64| (at_ms > 0).then(|| at_ms.saturating_sub(freeze.started_ms));
    let (barrier_ms, read_only_ms) = (since(freeze.complete_ms), since(freeze.thawed_ms));
    Some(FreezeView { id: freeze.id, config: freeze.config, barrier_ms, read_only_ms })
}

fn group(group: &crate::record::Group) -> GroupView {
    let ack = group.ack.unwrap_or_default();
    GroupView {
        gid: group.gid,
        node: group.node,
        frozen: group.is_frozen(),
        frozen_index: ack.index,
        frozen_term: ack.term,
        proven: group.proven,
        files: group.planned,
        files_dumped: group.dumped,
        files_done: group.done,
    }
}

fn failure(failure: &Failure) -> FailureView {
    FailureView {
        code: failure.code.clone(),
        phase: failure.phase().name(),
        message: failure.message.clone(),
        retryable: failure.retryable,
    }
}

/// What is still to be undone, in words.
pub fn pending(record: &Record) -> Vec<String> {
    let words = |owed: &crate::record::Compensation| match owed.undo() {
        Undo::Thaw => format!("thaw group {}", owed.of),
        Undo::Local => format!("node {} removes its local files", owed.of),
        Undo::Store => "tidy up at the object store".to_owned(),
    };
    record.compensations.iter().map(words).collect()
}
