//! Snapshots, purged logs, new members.

mod common;

use std::path::Path;

use common::machine::{APPEND, Answer, BURY, PUT, Query, command};
use common::{Cluster, Node, PATIENCE, crash_image, eventually, single};
use flotilla_raft_store::{Disk, GroupLimits, RocksDisk, RocksOptions};
use flotilla_types::MemberId;

/// A snapshot every 20 entries, and only 5 entries kept: everything that can go wrong with snapshots does so often.
fn tiny() -> GroupLimits {
    GroupLimits { snapshot_entries: 20, keep_entries: 5, tail_bytes_max: 4096, ..GroupLimits::default() }
}

async fn write_rows(cluster: &Cluster, name: &str, count: usize, bytes: usize) {
    for n in 0..count {
        cluster.propose(command(PUT, &format!("{name}-{n}"), vec![b'v'; bytes])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_lags_behind_the_log_gets_a_snapshot() {
    let mut cluster = Cluster::start(3, tiny()).await;
    write_rows(&cluster, "before", 10, 100).await;
    let leader = cluster.leader().await.n;
    let lagging = *cluster.nodes.keys().find(|n| **n != leader).expect("a follower");
    cluster.kill(lagging).await;
    write_rows(&cluster, "big", 60, 100_000).await;
    let leader = cluster.leader().await;
    eventually("the log is purged", || leader.group.status().purged > Some(40)).await;
    cluster.start_node(lagging).await;
    cluster.caught_up(lagging, cluster.leader().await.n).await;
    let node = &cluster.nodes[&lagging];
    assert!(node.group.status().snapshot > Some(40), "{:?}", node.group.status());
    assert_eq!(node.group.read_local(Query::Count("big")), Ok(Answer::Count(60)));
    assert_eq!(node.group.read_local(Query::Count("before")), Ok(Answer::Count(10)));
    // What was installed survives, and can be sent on.
    cluster.kill(lagging).await;
    cluster.start_node(lagging).await;
    cluster.propose(command(PUT, "after", "x")).await;
    cluster.caught_up(lagging, cluster.leader().await.n).await;
    let node = &cluster.nodes[&lagging];
    assert_eq!(node.group.read_local(Query::Count("big")), Ok(Answer::Count(60)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_never_purged_past_what_the_data_has_flushed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &tiny()).await;
    for n in 0u64..250 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
        if n % 50 == 49 {
            // A crash now: the data's memory is gone, the log must reach back far enough.
            let image = crash_image(dir.path());
            let again = Node::start(1, image.path(), Some(free_address()), &tiny()).await;
            again.group.wait_for_leader(PATIENCE).await.expect("a leader");
            eventually("it leads", || again.group.is_leader()).await;
            let answer = again.group.read(Query::Get("a")).await.expect("a read");
            assert_eq!(answer, Answer::Value(Some(vec![b'x'; n as usize + 1].into())));
            again.stop().await;
        }
    }
    assert!(node.group.status().purged > Some(150), "{:?}", node.group.status());
    node.stop().await;
}

fn free_address() -> String {
    "127.0.0.1:0".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go() {
    let mut cluster = Cluster::start(3, tiny()).await;
    write_rows(&cluster, "row", 50, 1000).await;
    cluster.start_node(4).await;
    let leader = cluster.leader().await;
    leader.group.add_learner(MemberId(4), cluster.nodes[&4].peer()).await.expect("a learner");
    assert!(leader.group.members().learners.contains_key(&MemberId(4)));
    eventually("the learner catches up", || {
        leader.group.lag().get(&MemberId(4)).copied().flatten() == Some(0)
    })
    .await;
    let removed = leader.n;
    let voters = (1..=4).filter(|n| *n != removed).map(MemberId).collect();
    leader.group.change_members(voters).await.expect("the change");
    let gone = cluster.nodes.remove(&removed).expect("the removed node");
    write_rows(&cluster, "later", 10, 1000).await;
    assert_eq!(cluster.read(Query::Count("later")).await, Answer::Count(10));
    assert_ne!(cluster.leader().await.n, removed);
    let members = cluster.leader().await.group.members();
    assert_eq!(members.voters.len(), 3);
    assert!(members.learners.is_empty() && !members.changing, "{members:?}");
    cluster.caught_up(4, cluster.leader().await.n).await;
    assert_eq!(cluster.nodes[&4].group.read_local(Query::Count("row")), Ok(Answer::Count(50)));
    gone.group.shutdown().await;
    gone.store.destroy_replica(common::replica(removed)).await.expect("destroy");
    assert_eq!(gone.store.replicas().expect("list"), []);
    assert!(!cluster.dir(removed).join("data").join(common::replica(removed).to_string()).exists());
    gone.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_swept_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    let rows = |name: &str| (0..3000).map(|n| command(PUT, &format!("{name}/{n}"), "x")).collect();
    node.group.propose_many(rows("dead")).await.expect("rows");
    node.group.propose_many(rows("live")).await.expect("rows");
    assert_eq!(node.group.read(Query::Count("dead/")).await, Ok(Answer::Count(3000)));
    node.group.propose(command(BURY, "", "")).await.expect("a burial");
    eventually("the garbage is gone", || {
        node.group.read_local(Query::Count("dead/")) == Ok(Answer::Count(0))
    })
    .await;
    assert_eq!(node.group.read(Query::Count("live/")).await, Ok(Answer::Count(3000)));
    node.stop().await;
}

/// The replica's live database, opened without what its log says.
fn rows_on_disk(node_dir: &Path, prefix: &str) -> usize {
    let replica_dir = node_dir.join("data").join(common::replica(1).to_string());
    let data = RocksDisk::new(&RocksOptions::default()).open_data(&replica_dir.join("db-1")).expect("open");
    let start = format!("k{prefix}").into_bytes();
    data.snapshot().scan(&start, &flotilla_types::engine::prefix_end(&start)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_not_more_durable_than_what_made_the_garbage() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    // Several flushes, so that compaction moves the rows to where files could be dropped.
    for round in 0..6 {
        let rows = (0..3000).map(|n| command(PUT, &format!("dead/{round}-{n}"), vec![b'x'; 100])).collect();
        node.group.propose_many(rows).await.expect("rows");
        node.group.snapshot_now().await.expect("a flush");
    }
    node.group.propose(command(APPEND, "dead/0-7", "y")).await.expect("a write");
    node.group.propose(command(BURY, "", "")).await.expect("a burial");
    let gone = || node.group.read_local(Query::Count("dead/")) == Ok(Answer::Count(0));
    eventually("the garbage is gone", gone).await;
    let image = crash_image(dir.path());
    // What is applied again after the crash finds what it found before it.
    assert_eq!(rows_on_disk(image.path(), "dead/"), 6 * 3000);
    let again = Node::start(1, image.path(), Some(free_address()), &GroupLimits::default()).await;
    eventually("it leads", || again.group.is_leader()).await;
    again.group.read(Query::Get("a")).await.expect("a read");
    assert_eq!(again.group.machine(), node.group.machine());
    let gone = || again.group.read_local(Query::Count("dead/")) == Ok(Answer::Count(0));
    eventually("the garbage is gone again", gone).await;
    again.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_removal_was_cut_short_does_no_harm() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    node.group.propose(command(PUT, "a", "1")).await.expect("a write");
    node.group.snapshot_now().await.expect("a snapshot");
    let started = std::time::Instant::now();
    node.group.snapshot_now().await.expect("nothing to do");
    assert!(started.elapsed() < PATIENCE, "it waits for nothing");
    node.stop().await;
    let replica_dir = dir.path().join("data").join(common::replica(1).to_string());
    let cut = replica_dir.join("snapshot-1-1-1");
    std::fs::create_dir_all(&cut).expect("create");
    std::fs::write(cut.join("000007.sst"), "half").expect("write");
    let again = Node::start(1, dir.path(), None, &GroupLimits::default()).await;
    eventually("it leads", || again.group.is_leader()).await;
    assert!(!cut.exists(), "what was being removed goes");
    assert!(again.group.status().snapshot.is_some(), "the whole one stays");
    again.stop().await;
}
