//! Faults as bands over all charts, as bars of a lane of their own, and as what they do to a node.

use serde::Serialize;

use super::gathered::Gathered;
use super::html::shortened;
use super::time::ms;
use crate::record::Fault;

/// Rows of the lane of faults: more faults than these at one time share the last row.
const ROWS_MAX: usize = 6;
/// More faults than these are not drawn (they are counted).
const FAULTS_MAX: usize = 2_000;
/// Characters of a detail that are kept.
const DETAIL_MAX: usize = 300;

/// One fault as it is drawn.
#[derive(Serialize)]
pub(super) struct Band {
    at: f64,
    until: Option<f64>,
    kind: String,
    /// What it does to its nodes: a name of [`Effect`].
    effect: &'static str,
    nodes: Vec<u64>,
    detail: String,
    evidence: String,
    row: usize,
}

/// What a fault does to the nodes it acts on, as far as a lane shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// No process.
    Down,
    /// A process that does not run.
    Paused,
    /// It runs, and some or all messages do not pass.
    Cut,
    /// It runs, with trouble.
    Trouble,
}

impl Effect {
    /// By the words in the fault's class, so that new classes of old kinds need nothing here.
    pub(super) fn of(kind: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        if has(&["rolling"]) {
            // One node after the other: none is down all the while.
            Self::Trouble
        } else if has(&["crash", "kill", "power", "wipe", "restart"]) {
            Self::Down
        } else if has(&["pause", "stop", "freeze"]) {
            Self::Paused
        } else if has(&[
            "partition",
            "cut",
            "isolat",
            "one_way",
            "apart",
            "clog",
            "hold",
            "reset",
            "half_open",
        ]) {
            Self::Cut
        } else {
            Self::Trouble
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Paused => "paused",
            Self::Cut => "cut",
            Self::Trouble => "trouble",
        }
    }
}

/// The faults as bars, packed into as few rows as overlap allows.
pub(super) fn bands(all: &Gathered<'_>) -> Vec<Band> {
    let mut busy_until = Vec::new();
    all.faults.iter().take(FAULTS_MAX).map(|fault| band(fault, row(&mut busy_until, fault))).collect()
}

fn row(busy_until: &mut Vec<u64>, fault: &Fault) -> usize {
    let until = fault.until_ns.unwrap_or(fault.at_ns);
    let free = busy_until.iter().position(|busy| *busy < fault.at_ns);
    match free {
        Some(row) => busy_until[row] = until,
        None if busy_until.len() < ROWS_MAX => busy_until.push(until),
        None => return ROWS_MAX - 1,
    }
    free.unwrap_or(busy_until.len() - 1)
}

fn band(fault: &Fault, row: usize) -> Band {
    Band {
        at: ms(fault.at_ns),
        until: fault.until_ns.map(ms),
        kind: fault.kind.clone(),
        effect: Effect::of(&fault.kind).name(),
        nodes: fault.nodes.clone(),
        detail: shortened(&fault.detail, DETAIL_MAX),
        evidence: shortened(&fault.evidence, DETAIL_MAX),
        row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_overlap_get_rows_of_their_own() {
        let fault = |at_ns, until_ns| Fault {
            at_ns,
            until_ns,
            kind: "pause".into(),
            nodes: vec![1],
            detail: String::new(),
            evidence: String::new(),
        };
        let mut busy = Vec::new();
        let rows = [fault(0, Some(10)), fault(5, Some(7)), fault(8, None), fault(11, Some(12))]
            .map(|f| row(&mut busy, &f));
        assert_eq!(rows, [0, 1, 1, 0]);
        let many = (0..20).map(|_| row(&mut busy, &fault(20, Some(30)))).max();
        assert_eq!(many, Some(ROWS_MAX - 1));
    }

    #[test]
    fn classes_say_what_becomes_of_a_node() {
        let all = ["power_loss", "pause", "partition_ring", "slow_disk", "starve_cpu", "rolling_restart"]
            .map(|kind| Effect::of(kind).name());
        assert_eq!(all, ["down", "paused", "cut", "trouble", "trouble", "trouble"]);
    }
}
