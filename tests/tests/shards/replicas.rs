//! B19: groups of one and of five replicas, and a replica whose disk is lost.

use flotilla_tests::cluster::{Cluster, View, binary};
use flotilla_tests::load::Appenders;
use flotilla_tests::rows::{assert_scan, get_all, put_all, rows};

const ALL: &[u64] = &[1, 2, 3, 4, 5];

#[tokio::test(flavor = "multi_thread")]
async fn b19_groups_of_one_and_of_five() {
    let cluster = Cluster::builder().nodes(5).shards(6).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[4])]).await;
    let data = rows("row-", 300, 50);
    put_all(&client, &data).await;
    cluster.join(&client, &[(5, ALL)]).await;
    assert_eq!(cluster.view().await.replicas(5).count(), 5);
    get_all(&client, &data).await;
    let appenders = Appenders::start(&cluster, 4).await;
    appenders.more(20).await;
    // The only replica of a group, and one that five can spare.
    cluster.kill9(&[4]);
    cluster.restart(&[4]);
    appenders.more(20).await;
    // Of five, two may be gone.
    cluster.kill9(&[5, 3]);
    appenders.more(20).await;
    cluster.restart(&[5, 3]);
    appenders.stop_and_judge(&client).await;
    assert_scan(&client, "row-", &data).await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

/// The member that a group has on a node, and whether it votes, as its leader says. While a member is being replaced,
/// there are two of them for a moment, the old one and a learner: then none.
fn member_on(view: &View, gid: u64, node: u64) -> Option<(u64, bool)> {
    let leader = view.leader(gid)?;
    let mut members = leader.replica.members.iter().filter(|member| member.node == node);
    let only = members.next()?;
    members.next().is_none().then_some((only.member, only.voter))
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_a_wiped_replica_comes_back_as_another_member() {
    let cluster = Cluster::builder().nodes(5).shards(2).tiny_snapshots().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, ALL)]).await;
    let data = rows("row-", 300, 50);
    put_all(&client, &data).await;
    for (key, value) in data.iter().take(60) {
        // One at a time: an entry each.
        client.put(key.clone(), value.clone()).await.unwrap();
    }
    // A snapshot is built and the log before it dropped a moment after the writes that call for it.
    cluster
        .wait_view("the log is compacted: only a snapshot can help", |view| {
            let purged = view.leader(1).ok_or("nobody leads")?.replica.purged;
            if purged > 0 { Ok(()) } else { Err("nothing is purged".to_owned()) }
        })
        .await;
    // A node without the controller that does not lead.
    let leader = cluster.wait_leader(1).await;
    let victim = if leader == 5 { 4 } else { 5 };
    let before = cluster.view().await;
    let term = before.leader(1).expect("a leader").replica.term;
    let (old, _) = member_on(&before, 1, victim).expect("a member on each node");

    let appenders = Appenders::start(&cluster, 2).await;
    cluster.kill9(&[victim]);
    cluster.node(victim).wipe();
    appenders.more(20).await;
    cluster.restart(&[victim]);
    let new = cluster
        .wait_view("the wiped replica is a voter again, under another id, and has caught up", |view| {
            let (member, voter) = member_on(view, 1, victim).ok_or("it is no member, or two")?;
            let replica = view.replicas(1).find(|seen| seen.node == victim).ok_or("it is not there")?.replica;
            let caught_up =
                replica.snapshot > 0 && replica.applied >= before.leader(1).map_or(0, |l| l.replica.applied);
            if member != old && voter && replica.member == member && caught_up {
                Ok(member)
            } else {
                Err(format!("member {member} (was {old}), voter: {voter}, applied {}", replica.applied))
            }
        })
        .await;
    assert!(new > old, "ids are never used again");
    let after = cluster.view().await;
    assert_eq!(after.leader(1).expect("a leader").replica.term, term, "the term rose");
    appenders.more(20).await;
    appenders.stop_and_judge(&client).await;
    get_all(&client, &data).await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_a_wiped_controller_never_votes_as_the_old_one() {
    let cluster = Cluster::builder().shards(2).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3])]).await;
    let victim = cluster.view().await.followers(0)[0];
    let (old, _) = member_on(&cluster.view().await, 0, victim).expect("a member on each node");
    cluster.kill9(&[victim]);
    cluster.node(victim).wipe();
    // To be born again would mean to forget what it promised.
    let run = binary::run(&cluster.node(victim).arguments(true)).await;
    run.expect(1, &["--bootstrap", "disk"]);

    cluster.restart(&[victim]);
    cluster
        .wait_view("the wiped controller is a voter again, under another id", |view| {
            let (member, voter) = member_on(view, 0, victim).ok_or("it is no member, or two")?;
            let there = view.replicas(0).any(|seen| seen.node == victim && seen.replica.member == member);
            if member != old && voter && there {
                Ok(())
            } else {
                Err(format!("member {member}, voter: {voter}"))
            }
        })
        .await;
    // It counts: with it and one other there is a majority.
    let other = cluster.nodes().into_iter().find(|node| *node != victim).expect("three nodes");
    cluster.kill9(&[other]);
    cluster.join_only(&client, &[(2, &[1, 2, 3])]).await;
    cluster.restart(&[other]);
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}
