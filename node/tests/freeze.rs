//! Freezing groups from another node: what is refused, what goes on, what a dump of the frozen groups holds.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::dump::{dump_at, keys_in};
use common::{Cluster, copy, put, until};
use flotilla_cloud_migration::options::Options;
use flotilla_node::migration::dumper::{DumpTrouble, Dumper};
use flotilla_node::migration::freeze::{self, FreezeSpec};
use flotilla_proto::kv_v1::{Append, Batch, Code, CompareAndSet, Delete, Op, op};
use flotilla_types::{ConfigNum, GroupId};
use futures::future::join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SPEC: FreezeSpec = FreezeSpec { freeze: 3, migration: 9, lease_ms: 30_000 };

/// Every kind of write.
fn writes(key: &str) -> Vec<op::Kind> {
    let key = copy(key);
    let single = op::Kind::Delete(Delete { key: key.clone() });
    vec![
        put("k", "v", 0),
        op::Kind::Append(Append { key: key.clone(), suffix: copy("v") }),
        op::Kind::Delete(Delete { key: key.clone() }),
        op::Kind::CompareAndSet(CompareAndSet { key, expected: None, new: Some(copy("v")), ttl_ms: 0 }),
        op::Kind::Batch(Batch { ops: vec![Op { kind: Some(single) }] }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_group_refuses_every_write_on_every_node_and_nothing_else() {
    let cluster = Cluster::start(1, 4).await;
    assert_eq!(cluster.put("k", "before").await.code(), Code::Ok);
    let (acks, _) = cluster.freeze_all(SPEC).await;
    for (node, write) in (0..3).flat_map(|node| writes("k").into_iter().map(move |write| (node, write))) {
        let reply = cluster.at(node, "k", write.clone()).await;
        let leads = cluster.replica(node, GroupId(1)).is_leader();
        let expected = if leads { Code::ReadOnly } else { Code::WrongLeader };
        assert_eq!(reply.code(), expected, "node {node}: {write:?}");
        assert!(!leads || (reply.migration == 9 && reply.message.contains("migration 9")), "{reply:?}");
    }
    assert_eq!(cluster.get("k").await, Some(copy("before")));
    let prove = || freeze::prove(cluster.peers(1), GroupId(1), ConfigNum(1), SPEC.freeze, acks[0]);
    assert_eq!(prove().await, Ok(true));

    let began = Instant::now();
    cluster.thaw_all(SPEC.freeze).await;
    assert_eq!(cluster.put("k", "after").await.code(), Code::Ok);
    assert!(began.elapsed() < Duration::from_secs(1), "thawed in {:?}", began.elapsed());
    assert_eq!(prove().await, Ok(false));
    let late = freeze::freeze(cluster.peers(0), GroupId(1), ConfigNum(1), SPEC).await;
    assert!(late.expect_err("thawed for good").0.contains("OutDated"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_owner_is_gone_thaws_itself_and_one_that_is_renewed_does_not() {
    let cluster = Cluster::start(2, 4).await;
    let spec = FreezeSpec { lease_ms: 5000, ..SPEC };
    cluster.freeze_all(spec).await;
    let frozen = |gid: u64| (0..3).any(|node| cluster.replica(node, GroupId(gid)).machine().is_frozen());
    let began = Instant::now();
    while frozen(1) || began.elapsed() < 2 * Duration::from_millis(spec.lease_ms) {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody renews the first group's freeze");
        freeze::renew(cluster.peers(2), GroupId(2), ConfigNum(1), spec.freeze).await.expect("renews");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(frozen(2), "the second one's was renewed");
    until("the second group thaws itself", || async { !frozen(2) }).await;
    let late = freeze::renew(cluster.peers(0), GroupId(2), ConfigNum(1), spec.freeze).await;
    assert!(late.expect_err("it is over").0.contains("OutDated"));
    cluster.stop().await;
}

/// Puts keys one after the other until it is refused; what was acknowledged, in order.
async fn write_until_refused(cluster: &Cluster, writer: usize, written: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let key = format!("w{writer}-{number}");
        match cluster.put(&key, "x").await.code() {
            Code::Ok => acknowledged.push(key),
            Code::ReadOnly => return acknowledged,
            code => panic!("{key}: {code:?}"),
        }
        written.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_holds_what_was_acknowledged_before_the_freeze_alike_from_every_replica() {
    let cluster = Arc::new(Cluster::start(4, 32).await);
    cluster.op("dead", put("dead", "x", 30)).await;
    cluster.op("mortal", put("mortal", "x", 3_600_000)).await;
    cluster.put("rewritten", &"1".repeat(5000)).await;
    sleep(Duration::from_millis(50)).await;

    let written = Arc::new(AtomicUsize::new(0));
    let writers = (0..8).map(|writer| {
        let (cluster, written) = (cluster.clone(), written.clone());
        tokio::spawn(async move { write_until_refused(&cluster, writer, &written).await })
    });
    let writers: Vec<_> = writers.collect();
    until("the writers write", || async { written.load(Ordering::Relaxed) >= 50 }).await;
    let (acks, barrier) = cluster.freeze_all(SPEC).await;
    let acknowledged: Vec<String> =
        join_all(writers).await.into_iter().flat_map(|writer| writer.expect("no panic")).collect();
    println!(
        "freeze barrier of {} groups under 8 writers: {barrier:?}; {} writes before it",
        acks.len(),
        acknowledged.len()
    );
    assert!(acknowledged.len() >= 50, "the writers wrote");

    let mut record = cluster.record(SPEC, &acks);
    record.options = Some(Options { file_bytes: 2000, ..Options::default() });
    let first = dump_at(&cluster, 0, &record).await;
    for node in 1..3 {
        let other = dump_at(&cluster, node, &record).await;
        assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "the same plan");
        for (key, file) in &first {
            assert!(*file == other[key], "{key} is the same from node {node}");
        }
    }
    assert!(first.len() > 32, "some shard was cut: {} files", first.len());

    let keys = keys_in(&first);
    let lost: Vec<_> = acknowledged.iter().filter(|key| !keys.contains_key(*key)).collect();
    assert!(lost.is_empty(), "acknowledged before the freeze and not in the dump: {lost:?}");
    assert!(keys.contains_key("mortal") && !keys.contains_key("dead"), "time to live ends at the freeze");
    cluster.thaw_all(SPEC.freeze).await;
    for key in keys.keys().take(20) {
        assert_eq!(cluster.put(key, "later").await.code(), Code::Ok);
    }
    // The pin is of before the thaw: a file that is made again is still the same.
    let again = dump_at(&cluster, 1, &record).await;
    assert!(again == first, "made again after the thaw");

    for carrier in (0..3).map(|node| cluster.carrier(node)) {
        assert_eq!(carrier.local().expect("lists"), vec![9]);
        carrier.discard(9).expect("discards");
        assert_eq!(carrier.local().expect("lists"), Vec::<u64>::new());
    }
    let dumper = Dumper { replicas: cluster.nodes[0].replicas(), carrier: cluster.carrier(0) };
    let lost = dumper.plan(&record, GroupId(1), &CancellationToken::new()).await;
    assert!(matches!(lost, Err(DumpTrouble::PinLost { .. })), "{lost:?}");
    Arc::into_inner(cluster).expect("nobody else").stop().await;
}
