//! Waits until the cluster serves, and does what only `up` can do on the way: the first groups join.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flotilla_client::{Client, ClientOptions};
use flotilla_proto::ctrl_v1::NewGroup;
use flotilla_proto::env::Environment;

use super::log_tail::tail;
use super::member::{Member, log_file};
use crate::cluster_dir::{ClusterDir, Record, Stage};
use crate::probe::{self, View};
use crate::progress::Progress;
use crate::status::{Health, judge};
use crate::{duration, exit};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);
/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// How long one attempt to let the groups join may take.
const JOIN_MAX: Duration = Duration::from_secs(10);
/// How long a cluster that served before, and serves all shards again, may take until everything else is well too.
const SETTLING_MAX: Duration = Duration::from_secs(10);
/// How many replicas a group has, if there are as many nodes.
const REPLICAS: u32 = 3;

/// Waits until everything serves that can.
pub async fn wait(dir: &mut ClusterDir, members: &mut [Member], limit: Duration) -> Result<()> {
    let progress = Progress::steps();
    let started = Instant::now();
    let mut serving_since = None;
    let mut dead = BTreeSet::new();
    let endpoints: Vec<String> = members.iter().map(|member| member.ports.grpc.to_string()).collect();
    loop {
        mourn(dir, members, &mut dead, &progress)?;
        let waiting = match look(dir, &endpoints).await? {
            Ready::Yes => break,
            Ready::But(trouble) => {
                let since = *serving_since.get_or_insert_with(Instant::now);
                let old = dir.record.stage == Stage::Complete;
                if !dead.is_empty() || (old && since.elapsed() >= SETTLING_MAX) {
                    progress.note(format_args!("all shards serve, but {trouble}"));
                    break;
                }
                trouble
            }
            Ready::No(waiting) => waiting,
        };
        if started.elapsed() >= limit {
            return Err(late(limit, &waiting));
        }
        progress.say(waiting);
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    all_alive(&dead)
}

fn late(limit: Duration, waiting: &str) -> anyhow::Error {
    let limit = duration::shown(limit);
    exit::unreachable(format!("the cluster does not serve after {limit}: {waiting}"))
}

fn all_alive(dead: &BTreeSet<u32>) -> Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let dead: Vec<_> = dead.iter().map(u32::to_string).collect();
    Err(exit::no(format!("node {} died; the others serve all shards", dead.join(", "))))
}

/// Whether the cluster serves.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Ready {
    /// Everything is well.
    Yes,
    /// All shards serve, but this is not well.
    But(String),
    /// This is being waited for.
    No(String),
}

/// Tells of nodes that died. A new cluster needs all of its nodes, and no cluster does without any.
fn mourn(
    dir: &ClusterDir,
    members: &mut [Member],
    dead: &mut BTreeSet<u32>,
    progress: &Progress,
) -> Result<()> {
    for member in members.iter_mut() {
        let Some(how) = member.ended().filter(|_| !dead.contains(&member.node)) else { continue };
        let words =
            format!("node {} {how} while starting\n{}", member.node, tail(&log_file(&dir.node(member.node))));
        if dir.record.stage != Stage::Complete {
            return Err(exit::no(words));
        }
        progress.note(words);
        dead.insert(member.node);
    }
    if dead.len() == members.len() {
        return Err(exit::no("all nodes died while starting"));
    }
    Ok(())
}

async fn look(dir: &mut ClusterDir, endpoints: &[String]) -> Result<Ready> {
    match probe::view(endpoints, LOOK_MAX).await {
        Ok(view) => advance(dir, &view, endpoints).await,
        Err(_) => Ok(Ready::No("waiting for the nodes to answer".to_owned())),
    }
}

/// Does what can be done next, and says where that leaves the cluster.
async fn advance(dir: &mut ClusterDir, view: &View, endpoints: &[String]) -> Result<Ready> {
    if view.config.is_none() || view.leader(0).is_none() {
        return Ok(Ready::No("waiting for the controller to elect a leader".to_owned()));
    }
    dir.reach(Stage::Born)?;
    if dir.record.stage != Stage::Complete {
        let missing = missing_nodes(view, dir.record.nodes);
        if missing > 0 {
            return Ok(Ready::No(format!("waiting for {missing} nodes to register")));
        }
        let missing = missing_groups(view, &dir.record);
        if !missing.is_empty() {
            let joined = Box::pin(join(dir, endpoints, missing)).await;
            let words = joined.map_or_else(|error| exit::words(&error), |()| "the groups join".to_owned());
            return Ok(Ready::No(words));
        }
    }
    let ready = judged(&judge(view), dir.record.shards);
    if ready == Ready::Yes {
        dir.reach(Stage::Complete)?;
    }
    Ok(ready)
}

fn missing_nodes(view: &View, nodes: u32) -> usize {
    (1..=nodes).filter(|node| view.directory.node(u64::from(*node)).is_none()).count()
}

/// The first groups that have not joined yet, each on nodes that follow each other.
fn missing_groups(view: &View, record: &Record) -> Vec<NewGroup> {
    let node = |group: u32, replica: u32| u64::from((group - 1 + replica) % record.nodes + 1);
    let nodes = |group| (0..REPLICAS.min(record.nodes)).map(|replica| node(group, replica)).collect();
    let groups = (1..=record.groups).map(|group| NewGroup { gid: u64::from(group), nodes: nodes(group) });
    groups.filter(|group| view.directory.group(group.gid).is_none()).collect()
}

async fn join(dir: &ClusterDir, endpoints: &[String], groups: Vec<NewGroup>) -> Result<()> {
    let options = ClientOptions {
        endpoints: endpoints.to_vec(),
        timeout: JOIN_MAX,
        cluster: Some(dir.record.cluster),
        ..ClientOptions::default()
    };
    let client =
        Client::connect(options, &Environment::real()).await.context("the groups cannot join yet")?;
    client.admin().join(groups).await.context("the groups cannot join yet")?;
    Ok(())
}

fn judged(health: &Health, shards: u32) -> Ready {
    let served = health.serving_count();
    if served + health.sealed.len() < shards as usize {
        let why = health.problems.first().map(|why| format!(" ({why})")).unwrap_or_default();
        return Ready::No(format!("{served} of {shards} shards serve{why}"));
    }
    health.problems.first().map_or(Ready::Yes, |trouble| Ready::But(trouble.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_types::ClusterId;

    #[test]
    fn groups_are_spread_over_the_nodes() {
        let groups = |nodes, groups| -> Vec<Vec<u64>> {
            let record = Record::new(ClusterId(1), nodes, groups, 64, 7100);
            missing_groups(&View::default(), &record).into_iter().map(|group| group.nodes).collect()
        };
        assert_eq!(groups(3, 2), [[1, 2, 3], [2, 3, 1]]);
        assert_eq!(groups(5, 3), [[1, 2, 3], [2, 3, 4], [3, 4, 5]]);
        assert_eq!(groups(1, 2), [[1], [1]]);
    }

    #[test]
    fn serving_all_shards_is_what_counts() {
        let serving = [(1, vec![0, 1])].into();
        let health = Health { problems: vec!["node 2 is unreachable".into()], serving, sealed: vec![] };
        assert_eq!(judged(&health, 2), Ready::But("node 2 is unreachable".into()));
        assert_eq!(judged(&Health { problems: vec![], ..health.clone() }, 2), Ready::Yes);
        assert!(matches!(judged(&health, 3), Ready::No(_)));
    }
}
