//! What a record calls for. Nothing else says what an owner does next, so the next owner finds the same.

use crate::options::FreezeUntil;
use crate::record::{Compensation, Group, Record, Undo};
use crate::state::State;

/// One piece of an owner's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Look at the target, make a name there, and begin.
    Begin,
    /// Wait until every move ended, and pin the configuration.
    Pin,
    /// Make this group read-only.
    Freeze(u64),
    /// See that this group was read-only without a break.
    Prove(u64),
    /// Give this group to a node that dumps and sends it.
    Assign(u64),
    /// On to this state: everything that it builds on is there.
    Advance(State),
    /// Write the manifest, have the target acknowledge it, and be done.
    Finish,
    /// Undo this. (What nodes remove locally they find by themselves.)
    Undo(Compensation),
}

/// What the owner of this record has to do now. Tasks are independent of each other.
pub fn of_owner(record: &Record) -> Vec<Task> {
    let mut tasks: Vec<Task> = match record.state() {
        State::Init => vec![Task::Begin],
        State::Setup => set_up(record),
        State::Dump => dump(record),
        State::Upload => upload(record),
        State::Done | State::Error | State::Cancelled => Vec::new(),
    };
    let owed = record.compensations.iter().filter(|owed| owed.undo() != Undo::Local);
    tasks.extend(owed.cloned().map(Task::Undo));
    tasks
}

fn set_up(record: &Record) -> Vec<Task> {
    if record.freeze.is_none() {
        return vec![Task::Pin];
    }
    let unfrozen: Vec<Task> = record
        .groups
        .iter()
        .filter(|group| !group.is_frozen())
        .map(|group| Task::Freeze(group.gid))
        .collect();
    if !unfrozen.is_empty() {
        return unfrozen;
    }
    vec![Task::Advance(State::Dump)]
}

fn dump(record: &Record) -> Vec<Task> {
    let assign = unassigned(record, |group| !group.planned_all || group.dumped < group.planned);
    let totals = record.totals();
    let planned = record.groups.iter().all(|group| group.planned_all);
    if !assign.is_empty() || !planned {
        return assign;
    }
    let until = record.options.as_ref().map_or(FreezeUntil::Dumped, |options| options.freeze_until());
    let complete = totals.files_dumped >= totals.files;
    // The proof is taken right before the freeze may end, so that a thaw in the middle is seen.
    let due = until == FreezeUntil::Pinned || (until == FreezeUntil::Dumped && complete);
    let proofs = if due { proofs(record) } else { Vec::new() };
    if !complete {
        return proofs;
    }
    if proofs.is_empty() { vec![Task::Advance(State::Upload)] } else { proofs }
}

fn upload(record: &Record) -> Vec<Task> {
    let assign = unassigned(record, |group| group.done < group.planned);
    let totals = record.totals();
    if !assign.is_empty() || totals.files_done < totals.files {
        return assign;
    }
    let proofs = proofs(record);
    if proofs.is_empty() { vec![Task::Finish] } else { proofs }
}

fn proofs(record: &Record) -> Vec<Task> {
    let unproven = record.groups.iter().filter(|group| !group.proven);
    unproven.map(|group| Task::Prove(group.gid)).collect()
}

fn unassigned(record: &Record, has_work: impl Fn(&Group) -> bool) -> Vec<Task> {
    let idle = record.groups.iter().filter(|group| group.node == 0 && has_work(group));
    idle.map(|group| Task::Assign(group.gid)).collect()
}

/// The groups that a node is to plan, dump or send now.
pub fn of_node(record: &Record, node: u64) -> impl Iterator<Item = &Group> {
    let works = matches!(record.state(), State::Dump | State::Upload);
    let own = record.groups.iter().filter(move |group| works && group.node == node);
    own.filter(|group| !group.planned_all || group.done < group.planned)
}

/// Whether a node may remove what it holds of this migration: nobody will ask for it again.
pub fn may_discard(record: &Record) -> bool {
    record.state().is_terminal()
}
