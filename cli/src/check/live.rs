//! `flotilla check` on a live cluster: replicas of a group at the same applied index hold the same bytes (I6), and the
//! groups' shards make up the whole key space (I7, in `key_space`).
//!
//! Replicas are asked one by one, and a group in use moves on meanwhile. So each is asked again and again, and what is
//! compared are digests taken at the same index. A pair that differs there settles the matter at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use flotilla_proto::ctrl_v1::{Directory, GroupRecord};
use futures::future::join_all;
use serde_json::{Value, json};

use super::key_space;
use crate::args::Common;
use crate::probe::{self, Prober};
use crate::progress::Progress;
use crate::status::{group_name, groups};
use crate::table::{self, table};
use crate::{exit, output};

/// How often replicas are asked until they have been seen at the same index.
const ATTEMPTS: u32 = 25;
/// The same, where a replica does not answer.
const ATTEMPTS_AWAY: u32 = 3;
/// The wait between two rounds.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(150);

/// One replica: what it said, by applied index, or why it said nothing last time.
#[derive(Clone, Debug, Default)]
struct Replica {
    node: u64,
    address: String,
    digests: BTreeMap<u64, u64>,
    trouble: Option<String>,
}

/// What there is to say of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    /// All replicas hold the same at this index.
    Equal { applied: u64, digest: u64 },
    /// These two nodes differ at this index.
    Different { applied: u64, nodes: (u64, u64) },
    /// Not known, and why.
    Unknown(String),
}

/// `flotilla check`.
pub async fn run(common: &Common) -> Result<()> {
    let view = probe::view(&common.endpoints.0, common.timeout).await?;
    if view.directory.groups.is_empty() {
        return Err(exit::unreachable("no replica of the controller answers, so the replicas are not known"));
    }
    let prober = Prober::new(common.timeout);
    let mut found = Vec::new();
    let progress = Progress::count(Some(groups(&view).count() as u64));
    for group in groups(&view) {
        progress.label(group_name(group.gid));
        found.push((group.gid, examine(&prober, &view.directory, group).await));
        progress.advance(1);
    }
    drop(progress);
    let problems = key_space::problems(common).await?;
    show(common, &found, &problems)
}

async fn examine(prober: &Prober, directory: &Directory, group: &GroupRecord) -> (Verdict, Vec<Replica>) {
    let address = |node: u64| directory.node(node).map(|record| record.address.clone()).unwrap_or_default();
    let replica = |node: u64| Replica { node, address: address(node), ..Replica::default() };
    let mut replicas: Vec<_> = group.replicas.iter().map(|known| replica(known.node)).collect();
    let mut verdict = Verdict::Unknown("it has no replicas".to_owned());
    for attempt in 1..=ATTEMPTS {
        join_all(replicas.iter_mut().map(|replica| ask(prober, group.gid, replica))).await;
        verdict = compare(&replicas);
        let away = replicas.iter().any(|replica| replica.trouble.is_some());
        if !matches!(verdict, Verdict::Unknown(_)) || (away && attempt >= ATTEMPTS_AWAY) {
            break;
        }
        tokio::time::sleep(ATTEMPT_INTERVAL).await;
    }
    (verdict, replicas)
}

async fn ask(prober: &Prober, gid: u64, replica: &mut Replica) {
    replica.trouble = match prober.digest(&replica.address, gid).await {
        Ok(answer) if answer.found => {
            replica.digests.insert(answer.applied, answer.digest);
            None
        }
        Ok(_) => Some("it has no such replica".to_owned()),
        Err(why) => Some(why),
    };
}

fn compare(replicas: &[Replica]) -> Verdict {
    if let Some(different) = difference(replicas) {
        return different;
    }
    if let Some((node, why)) =
        replicas.iter().find_map(|replica| Some((replica.node, replica.trouble.as_ref()?)))
    {
        return Verdict::Unknown(format!("node {node}: {why}"));
    }
    let common = replicas.iter().map(|replica| replica.digests.keys().copied().collect::<BTreeSet<u64>>());
    match (common.reduce(|all, one| &all & &one).and_then(|all| all.last().copied()), replicas.first()) {
        (Some(applied), Some(first)) => Verdict::Equal { applied, digest: first.digests[&applied] },
        _ => Verdict::Unknown("it is too busy: its replicas were never seen at the same index".to_owned()),
    }
}

fn difference(replicas: &[Replica]) -> Option<Verdict> {
    let mut seen: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for replica in replicas {
        for (applied, digest) in &replica.digests {
            let (node, other) = *seen.entry(*applied).or_insert((replica.node, *digest));
            if other != *digest {
                return Some(Verdict::Different { applied: *applied, nodes: (node, replica.node) });
            }
        }
    }
    None
}

fn show(common: &Common, found: &[(u64, (Verdict, Vec<Replica>))], problems: &[String]) -> Result<()> {
    let equal = found.iter().all(|(_, (verdict, _))| matches!(verdict, Verdict::Equal { .. }));
    if common.json {
        let groups: Vec<_> =
            found.iter().map(|(gid, (verdict, replicas))| group(*gid, verdict, replicas)).collect();
        let key_space = json!({ "whole": problems.is_empty(), "problems": problems });
        output::json(&json!({ "equal": equal, "groups": groups, "key_space": key_space }))?;
    } else {
        output::raw(&[text(found).as_bytes()])?;
        if equal {
            output::line("all replicas are equal")?;
        }
        if problems.is_empty() {
            output::line("the groups' shards make up the whole key space")?;
        }
    }
    if equal && problems.is_empty() { Ok(()) } else { Err(exit::no(complaint(found, problems))) }
}

fn complaint(found: &[(u64, (Verdict, Vec<Replica>))], problems: &[String]) -> String {
    let one = |(gid, (verdict, _)): &(u64, (Verdict, Vec<Replica>))| match verdict {
        Verdict::Equal { .. } => None,
        Verdict::Different { applied, nodes: (a, b) } => {
            let name = group_name(*gid);
            Some(format!("{name}: nodes {a} and {b} DIFFER at index {applied}: one of them is corrupt"))
        }
        Verdict::Unknown(why) => Some(format!("{} could not be compared: {why}", group_name(*gid))),
    };
    found.iter().filter_map(one).chain(problems.iter().cloned()).collect::<Vec<_>>().join("; ")
}

fn text(found: &[(u64, (Verdict, Vec<Replica>))]) -> String {
    let mut rows = table(["group", "replicas", ">index", "digest", "verdict"]);
    for (gid, (verdict, replicas)) in found {
        let (applied, digest, words) = match verdict {
            Verdict::Equal { applied, digest } => (applied.to_string(), format!("{digest:016x}"), "equal"),
            Verdict::Different { applied, .. } => (applied.to_string(), "-".to_owned(), "DIFFERENT"),
            Verdict::Unknown(_) => ("-".to_owned(), "-".to_owned(), "not known"),
        };
        let nodes: Vec<_> = replicas.iter().map(|replica| replica.node.to_string()).collect();
        rows.add_row([group_name(*gid), nodes.join(","), applied, digest, words.to_owned()]);
    }
    table::text(&rows)
}

/// `equal` is true, false, or null where it is not known.
fn group(gid: u64, verdict: &Verdict, replicas: &[Replica]) -> Value {
    let (equal, applied, why) = match verdict {
        Verdict::Equal { applied, .. } => (Some(true), Some(*applied), None),
        Verdict::Different { applied, .. } => (Some(false), Some(*applied), None),
        Verdict::Unknown(why) => (None, None, Some(why)),
    };
    let replica = |replica: &Replica| {
        let said = applied.and_then(|applied| replica.digests.get(&applied));
        let digest = said.map(|digest| format!("{digest:016x}"));
        json!({ "node": replica.node, "digest": digest, "trouble": replica.trouble })
    };
    let replicas: Vec<_> = replicas.iter().map(replica).collect();
    json!({ "gid": gid, "equal": equal, "applied": applied, "why": why, "replicas": replicas })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(node: u64, digests: &[(u64, u64)]) -> Replica {
        Replica { node, digests: digests.iter().copied().collect(), ..Replica::default() }
    }

    #[test]
    fn digests_count_at_equal_indices_only() {
        let equal = [replica(1, &[(5, 50), (6, 60)]), replica(2, &[(6, 60), (9, 90)])];
        assert_eq!(compare(&equal), Verdict::Equal { applied: 6, digest: 60 });
        let never = [replica(1, &[(5, 50)]), replica(2, &[(6, 60)])];
        assert!(matches!(compare(&never), Verdict::Unknown(_)));
    }

    #[test]
    fn a_saboteur_is_found() {
        let bad = [replica(1, &[(5, 50)]), replica(2, &[(5, 50), (7, 70)]), replica(3, &[(7, 71)])];
        assert_eq!(compare(&bad), Verdict::Different { applied: 7, nodes: (2, 3) });
    }

    #[test]
    fn a_replica_that_does_not_answer_is_no_proof() {
        let mut away = [replica(1, &[(5, 50)]), replica(2, &[(5, 50)])];
        away[1].trouble = Some("connection refused".into());
        assert_eq!(compare(&away), Verdict::Unknown("node 2: connection refused".into()));
    }
}
