//! Sometimes-assertions: what must have happened at least once in a night of runs, or the night has not tested it.
//!
//! A run counts what happens (`End.counts`); these names are looked for in the sum over all runs.

use std::collections::BTreeMap;

use crate::record::End;

/// A name and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sometimes {
    /// As it is counted.
    pub name: &'static str,
    /// What it means.
    pub means: &'static str,
}

const fn that(name: &'static str, means: &'static str) -> Sometimes {
    Sometimes { name, means }
}

/// Everything that must happen sometimes.
pub const ALL: [Sometimes; 14] = [
    that("elections", "a group elected a leader after its first one"),
    that("snapshots_built", "a replica built a snapshot"),
    that("snapshots_installed", "a replica installed a snapshot of its leader"),
    that("moves", "a shard reached another group"),
    that("seals", "an old owner stopped serving"),
    that("dedup_hits", "a write that arrived again was answered from its session"),
    that("wrong_group", "a group refused a key of a shard that is not its own"),
    that("stale_config", "a request of an older configuration was refused"),
    that("unknown_outcomes", "a client never learned what became of its write"),
    that("crashes", "a node died without a word"),
    that("restarts", "a node came back"),
    that("partitions", "nodes were cut off from each other"),
    that("lost_replies", "an answer was lost after the work was done"),
    that("torn_writes", "a crash kept a part of what was not synced"),
];

/// The counts of many runs together.
pub fn sum<'a>(ends: impl IntoIterator<Item = &'a End>) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in ends.into_iter().flat_map(|end| &end.counts) {
        *all.entry(name.clone()).or_default() += count;
    }
    all
}

/// What never happened.
pub fn missing(counts: &BTreeMap<String, u64>) -> Vec<Sometimes> {
    let happened = |one: &Sometimes| counts.get(one.name).is_some_and(|count| *count > 0);
    ALL.into_iter().filter(|one| !happened(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_is_named() {
        let counted =
            |name: &str, count| End { counts: BTreeMap::from([(name.to_owned(), count)]), ..End::default() };
        let mut ends: Vec<End> = ALL.iter().map(|one| counted(one.name, 1)).collect();
        assert_eq!(missing(&sum(&ends)), []);
        ends[3] = counted("moves", 0);
        assert_eq!(missing(&sum(&ends)).iter().map(|one| one.name).collect::<Vec<_>>(), ["moves"]);
    }
}
