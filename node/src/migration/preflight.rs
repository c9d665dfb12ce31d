//! What would fail later, looked at first: the target, the groups, the nodes' disks. And what nodes say of their work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_cloud_migration::{Options, Record, State, Target};
use flotilla_proto::identity::stamp;
use flotilla_proto::migration_v1::{Check, HeldGroup, PreflightResponse, WorkRequest, WorkResponse};
use flotilla_shardctrler::api::GroupState;
use flotilla_shardkv::api::{Answer, Query};
use flotilla_types::NodeId;
use futures::future::join_all;
use tokio::time::timeout;

use super::reporter::Reporter;
use super::target;
use crate::hosted::Hosted;
use crate::replicas::Replicas;

/// How long a node may take to speak of itself.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the target may take, all looks together.
const TARGET_TIMEOUT: Duration = Duration::from_secs(20);
/// What a core dumps and sends in a second, for the estimate only.
const BYTES_PER_SECOND: u64 = 100 << 20;

/// Looks at everything and says what it found.
pub async fn look(
    replicas: &Replicas,
    target: Option<Target>,
    options: Option<Options>,
) -> PreflightResponse {
    let target = target.unwrap_or_default();
    let options = options.unwrap_or_default().filled();
    let words = target.check().and_then(|()| options.check());
    let mut checks = vec![check("options", words.map_err(|refusal| refusal.message))];
    if checks[0].ok {
        let record = Record { target: Some(target), ..Record::default() };
        let looked = timeout(TARGET_TIMEOUT, at_target(&record)).await;
        checks.push(check(
            "target",
            looked.unwrap_or_else(|_| Err("it did not answer within 20 s".to_owned())),
        ));
    }
    let nodes = ask_all(replicas, known_nodes(replicas)).await;
    let held = held(&nodes);
    checks.push(check("groups", groups(replicas, &held)));
    checks.push(check("moves", moves(replicas)));
    let bytes = held.values().map(|(bytes, _)| bytes).sum();
    checks.push(check("disks", disks(&nodes, bytes)));
    PreflightResponse { elsewhere: None, checks, bytes, seconds: (bytes / BYTES_PER_SECOND).max(1) }
}

fn check(name: &str, found: Result<(), String>) -> Check {
    let (ok, message) = (found.is_ok(), found.err().unwrap_or_default());
    Check { name: name.to_owned(), ok, message }
}

async fn at_target(record: &Record) -> Result<(), String> {
    let looked = async {
        let target = target::open(record)?;
        if target.has_manifest().await? {
            let key = "MANIFEST.json".to_owned();
            return Err(flotilla_backup::BackupError::Exists { key });
        }
        // A migration store says whether it can be written to when it is asked for a place.
        if record.target.as_ref().is_some_and(Target::is_store) {
            Ok(())
        } else {
            target.check_writable().await
        }
    };
    looked.await.map_err(|error| error.to_string())
}

fn known_nodes(replicas: &Replicas) -> BTreeSet<u64> {
    replicas.node().topology.now().directory.nodes.iter().map(|node| node.node).collect()
}

/// The bytes of each group, and whether somebody leads it.
fn held(nodes: &[WorkResponse]) -> BTreeMap<u64, (u64, bool)> {
    let mut held: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
    for HeldGroup { gid, leads, bytes } in nodes.iter().flat_map(|node| &node.groups) {
        let group = held.entry(*gid).or_default();
        *group = (group.0.max(*bytes), group.1 || *leads);
    }
    held
}

fn groups(replicas: &Replicas, held: &BTreeMap<u64, (u64, bool)>) -> Result<(), String> {
    let known = replicas.node().topology.now();
    let live =
        known.directory.groups.iter().filter(|group| group.gid > 0 && group.state() == GroupState::Live);
    let live: Vec<u64> = live.map(|group| group.gid).collect();
    if live.is_empty() {
        return Err("no group has joined: there is nothing to carry".to_owned());
    }
    let led = |gid: &u64| held.get(gid).is_some_and(|(_, led)| *led);
    let headless: Vec<String> = live.iter().filter(|gid| !led(gid)).map(u64::to_string).collect();
    if headless.is_empty() {
        return Ok(());
    }
    Err(format!("no leader answers for groups {}; bring a majority of their nodes back", headless.join(", ")))
}

fn moves(replicas: &Replicas) -> Result<(), String> {
    let known = replicas.node().topology.now();
    let kept =
        known.directory.groups.iter().filter(|group| group.gid > 0 && group.state() != GroupState::TornDown);
    let behind: Vec<String> = kept
        .filter(|group| group.settled + 1000 < known.config.num)
        .map(|group| group.gid.to_string())
        .collect();
    if behind.is_empty() {
        return Ok(());
    }
    Err(format!(
        "groups {} are far behind with their moves and may be stuck; see flotilla status",
        behind.join(", ")
    ))
}

/// Each node must have room for all that it may be given: in the worst case, everything, uncompressed.
fn disks(nodes: &[WorkResponse], bytes: u64) -> Result<(), String> {
    let tight = nodes.iter().filter(|node| !node.groups.is_empty() && node.disk_free_bytes < bytes);
    let tight: Vec<String> =
        tight.map(|node| format!("node {} has {} bytes free", node.node, node.disk_free_bytes)).collect();
    if tight.is_empty() {
        return Ok(());
    }
    Err(format!("{}; the dump needs up to {bytes} until it is sent", tight.join(", ")))
}

/// What this node says of its work.
pub fn work(replicas: &Replicas) -> WorkResponse {
    let local = replicas.node();
    let groups = replicas.all().into_iter().filter_map(|(id, hosted)| match hosted {
        Hosted::Controller(_) => None,
        Hosted::Shards(group) => {
            let bytes = match group.read_local(Query::Status) {
                Ok(Answer::Status(status)) => status.shards.iter().map(|shard| shard.bytes).sum(),
                _ => 0,
            };
            Some(HeldGroup { gid: id.gid.get(), leads: group.is_leader(), bytes })
        }
    });
    WorkResponse {
        groups: groups.collect(),
        disk_free_bytes: free_bytes(&local.options.dir),
        ..local.meters.work(local.options.node.get())
    }
}

fn free_bytes(dir: &std::path::Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What the nodes that are assigned to a migration say of their work; nothing while there is none.
pub async fn gather(replicas: &Replicas, record: &Record) -> Vec<WorkResponse> {
    if !matches!(record.state(), State::Dump | State::Upload) {
        return Vec::new();
    }
    ask_all(replicas, record.groups.iter().map(|group| group.node).filter(|node| *node > 0).collect()).await
}

async fn ask_all(replicas: &Replicas, nodes: BTreeSet<u64>) -> Vec<WorkResponse> {
    let known = replicas.node().topology.now();
    let reporter = Reporter::new(replicas.clone());
    let asked =
        nodes.into_iter().filter_map(|node| known.address(NodeId(node)).map(str::to_owned)).map(|address| {
            let reporter = reporter.clone();
            async move {
                let call = reporter.at(&address, |mut grpc, cluster| async move {
                    grpc.work(stamp(WorkRequest { id: 0 }, Some(cluster))).await
                });
                timeout(ASK_TIMEOUT, call).await.ok()?.ok()
            }
        });
    join_all(asked).await.into_iter().flatten().collect()
}
