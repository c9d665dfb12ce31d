//! What a run counts, under the names that sometimes-assertions look for ([`flotilla_checker::sometimes`]).

use std::collections::BTreeMap;

/// The names under which a night of runs is asked whether everything has happened, and ours.
const SOMETIMES: [(&str, &str); 14] = [
    ("elections", "election_won"),
    ("snapshots_built", "snapshot_built"),
    ("snapshots_installed", "snapshot_installed"),
    ("moves", "move_installed"),
    ("seals", "move_sealed"),
    ("dedup_hits", "dedup_hit"),
    ("wrong_group", "wrong_group_answered"),
    ("stale_config", "stale_config_refused"),
    ("unknown_outcomes", "unknown"),
    ("crashes", "event_crashed"),
    ("restarts", "event_started"),
    ("partitions", "fault_partition"),
    ("lost_replies", "net_lost_reply"),
    ("torn_writes", "torn_changes"),
];

/// The counts, with those under our names repeated under the names that are looked for.
pub fn named(mut counts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    for (name, ours) in SOMETIMES {
        let count = counts.get(ours).copied().unwrap_or(0);
        counts.insert(name.to_owned(), count);
    }
    counts
}
