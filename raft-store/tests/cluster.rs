//! Three replicas over real gRPC and real RocksDB: writes, reads, failover, restart.

mod common;

use common::machine::{APPEND, Answer, Command, PUT, Query, command, round_trips};
use common::{Cluster, PATIENCE, eventually};
use flotilla_raft_store::{GroupLimits, MemberError, ProposeError, ReadError};
use flotilla_types::MemberId;

fn value(bytes: &'static [u8]) -> Answer {
    Answer::Value(Some(bytes.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_read_and_followers_say_who_leads() {
    let cluster = Cluster::start(3, GroupLimits::default()).await;
    assert!(round_trips(&command(APPEND, "a", "1")));
    assert_eq!(cluster.propose(command(APPEND, "a", "1")).await.applied, 1);
    assert_eq!(cluster.propose(command(APPEND, "a", "2")).await.bytes, 2);
    assert_eq!(cluster.read(Query::Get("a")).await, value(b"12"));
    let leader = cluster.leader().await;
    let leading = Some((MemberId(leader.n), leader.peer()));
    for node in cluster.nodes.values().filter(|node| node.n != leader.n) {
        node.group.wait_for_leader(PATIENCE).await.expect("a leader");
        let refused = node.group.propose(command(PUT, "a", "x")).await;
        assert_eq!(refused, Err(ProposeError::NotLeader { leader: leading.clone() }));
        let refused = node.group.read(Query::Get("a")).await;
        assert_eq!(refused, Err(ReadError::NotLeader { leader: leading.clone() }));
        cluster.caught_up(node.n, leader.n).await;
        assert_eq!(node.group.read_local(Query::Get("a")), Ok(value(b"12")));
    }
    let batch = vec![command(APPEND, "b", "1"), command(APPEND, "b", "2"), command(APPEND, "b", "3")];
    let responses = leader.group.propose_many(batch).await.expect("a batch");
    assert_eq!(responses.iter().map(|response| response.bytes).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(leader.group.read(Query::Panic).await, Err(ReadError::Failed("the query panicked".into())));
    assert_eq!(leader.group.read(Query::Get("b")).await, Ok(value(b"123")));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_entries() {
    let cluster = Cluster::start(3, GroupLimits::default()).await;
    cluster.propose(command(PUT, "warm", "up")).await;
    let group = cluster.leader().await.group.clone();
    let before = group.status().last_log.expect("entries");
    let clients = (0..64).map(|client| {
        let group = group.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let key = format!("key-{client}");
                group.propose(command(APPEND, &key, "x")).await.expect("a write");
                group.read(Query::Get("key-7")).await.expect("a read");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client");
    }
    assert_eq!(cluster.read(Query::Get("key-7")).await, value(b"xxxxxxxxxxxxxxxxxxxx"));
    let entries = group.status().last_log.expect("entries") - before;
    assert!(entries < 64 * 20 / 2, "{entries} entries for {} writes", 64 * 20);
    drop(group);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_dies_and_comes_back() {
    let mut cluster = Cluster::start(3, GroupLimits::default()).await;
    cluster.propose(command(APPEND, "a", "1")).await;
    let first = cluster.leader().await.n;
    cluster.kill(first).await;
    cluster.propose(command(APPEND, "a", "2")).await;
    assert_eq!(cluster.read(Query::Get("a")).await, value(b"12"));
    cluster.start_node(first).await;
    cluster.propose(command(APPEND, "a", "3")).await;
    let leader = cluster.leader().await.n;
    cluster.caught_up(first, leader).await;
    assert_eq!(cluster.nodes[&first].group.read_local(Query::Get("a")), Ok(value(b"123")));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_die_and_come_back_with_everything() {
    let mut cluster = Cluster::start(3, GroupLimits::default()).await;
    for n in 0..50 {
        cluster.propose(command(APPEND, "a", "x")).await;
        cluster.propose(command(PUT, &format!("key-{n}"), vec![n; 1000])).await;
    }
    for n in 1..=3 {
        cluster.kill(n).await;
    }
    for n in 1..=3 {
        cluster.start_node(n).await;
    }
    assert_eq!(cluster.read(Query::Count("key-")).await, Answer::Count(50));
    assert_eq!(cluster.propose(command(APPEND, "a", "x")).await.bytes, 51);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_leader_hands_over() {
    let mut cluster = Cluster::start(3, GroupLimits::default()).await;
    cluster.propose(command(PUT, "a", "1")).await;
    let old = cluster.leader().await.n;
    let leader = cluster.nodes.remove(&old).expect("the leader");
    let started = std::time::Instant::now();
    leader.group.shutdown().await;
    cluster.propose(command(PUT, "a", "2")).await;
    assert!(started.elapsed().as_millis() < 5000, "no handover: {:?}", started.elapsed());
    leader.stop().await;
    let next = cluster.leader().await;
    let other = *cluster.nodes.keys().find(|n| **n != next.n).expect("a follower");
    eventually("the follower is known to be in step", || {
        next.group.lag().get(&MemberId(other)).copied().flatten() == Some(0)
    })
    .await;
    assert_eq!(next.group.transfer_leader(MemberId(next.n)).await, Ok(true));
    assert!(next.group.is_leader(), "it leads already");
    let refused = next.group.transfer_leader(MemberId(99)).await;
    assert!(matches!(refused, Err(MemberError::Refused(_))), "{refused:?}");
    assert_eq!(next.group.transfer_leader(MemberId(other)).await, Ok(true));
    assert_eq!(cluster.leader().await.n, other);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_cut_off_knows_no_leader() {
    let mut cluster = Cluster::start(3, GroupLimits::default()).await;
    cluster.propose(command(PUT, "a", "1")).await;
    let leader = cluster.leader().await.n;
    let alone = *cluster.nodes.keys().find(|n| **n != leader).expect("a follower");
    eventually("the leader is heard", || cluster.nodes[&alone].group.leader().is_some()).await;
    for n in (1..=3).filter(|n| *n != alone) {
        cluster.kill(n).await;
    }
    let group = &cluster.nodes[&alone].group;
    eventually("nobody leads", || group.leader().is_none() && group.status().progress.leader.is_none()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_no_replica_could_read_is_refused() {
    let cluster = Cluster::start(1, GroupLimits::default()).await;
    cluster.propose(command(PUT, "a", "1")).await;
    let nested = |depth: usize| {
        let wrap = |inner, _| Command { inner: Some(Box::new(inner)), ..command(PUT, "a", "2") };
        (0..depth).fold(command(PUT, "a", "2"), wrap)
    };
    let group = cluster.leader().await.group.clone();
    group.propose(nested(50)).await.expect("a readable one");
    let refused = group.propose(nested(150)).await;
    assert!(matches!(refused, Err(ProposeError::Invalid(_))), "{refused:?}");
    assert!(!refused.expect_err("refused").is_indeterminate());
    group.propose(command(PUT, "a", "3")).await.expect("it lives");
    drop(group);
    cluster.stop().await;
}
