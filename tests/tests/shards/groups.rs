//! B1 to B6 and B14: groups come, go, stop and start, and the data stays what it was.

use std::time::Duration;

use flotilla_checker::record::Outcome;
use flotilla_checker::{Limits, judge_within};
use flotilla_tests::cluster::{Cluster, key_of, shards_of};
use flotilla_tests::load::{Appenders, Sharers};
use flotilla_tests::proxy::Weather;
use flotilla_tests::rows::{assert_scan, get_all, put_all, rows};

use crate::{FAR, NEAR};

const SHARDS: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn b1_static_groups() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, FAR)]).await;
    let config = cluster.config(&client).await;
    let keys: Vec<String> = (0..SHARDS).map(|shard| key_of(shard, SHARDS, 0)).collect();
    for key in &keys {
        client.put(key.clone(), format!("value of {key}")).await.unwrap();
    }

    cluster.kill9(FAR);
    let hasty = client.with_timeout(Duration::from_secs(2));
    let answers =
        keys.iter().map(async |key| hasty.get(key.clone()).await.map(|found| found.map(|found| found.value)));
    let answers = futures::future::join_all(answers).await;
    for ((shard, key), answer) in (0..SHARDS).zip(&keys).zip(answers) {
        let alive = shards_of(&config, 1).contains(&shard);
        assert_eq!(answer.is_ok(), alive, "{key} of shard {shard}: {answer:?}");
        assert!(!alive || answer.unwrap().unwrap() == format!("value of {key}"), "{key}");
    }

    cluster.restart(FAR);
    for key in &keys {
        let found = client.get(key.clone()).await.unwrap().expect("it was put");
        assert_eq!(found.value, format!("value of {key}"));
    }
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b2_data_follows_joins_and_leaves() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, FAR)]).await;
    let first = rows("first-", 500, 100);
    put_all(&client, &first).await;
    cluster.join(&client, &[(2, NEAR)]).await;
    get_all(&client, &first).await;
    let second = rows("second-", 500, 100);
    put_all(&client, &second).await;
    cluster.leave(&client, &[1]).await;
    cluster.wait_torn_down(&client, 1).await;
    cluster.stop(FAR).await;
    get_all(&client, &first).await;
    assert_scan(&client, "second-", &second).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_snapshots_all_the_time() {
    let cluster = Cluster::builder().shards(SHARDS).tiny_snapshots().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    let data = rows("row-", 600, 50);
    for (key, value) in data.iter().take(100) {
        // One at a time: many entries, many snapshots.
        client.put(key.clone(), value.clone()).await.unwrap();
    }
    put_all(&client, &data).await;
    cluster.join(&client, &[(2, NEAR)]).await;
    cluster.leave(&client, &[1]).await;
    cluster.join(&client, &[(3, NEAR)]).await;
    get_all(&client, &data).await;
    cluster
        .wait_view("logs are compacted behind snapshots", |view| {
            let compacted =
                |gid| view.replicas(gid).all(|seen| seen.replica.snapshot > 0 && seen.replica.purged > 0);
            if compacted(2) && compacted(0) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;

    cluster.kill9(NEAR);
    cluster.restart(NEAR);
    assert_scan(&client, "row-", &data).await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_replica_that_missed_configurations() {
    let cluster = Cluster::builder().shards(SHARDS).tiny_snapshots().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    let data = rows("row-", 300, 50);
    put_all(&client, &data).await;

    cluster.stop(&[3]).await;
    for shard in 0..4 {
        cluster.move_only(&client, shard, 1).await;
        cluster.move_only(&client, shard, 2).await;
    }
    // On the nodes that are awake: a group that begins while one of its nodes sleeps.
    cluster.join(&client, &[(3, NEAR)]).await;
    cluster.leave(&client, &[1]).await;
    let latest = cluster.config(&client).await.num;
    assert!(latest >= 6, "the sleeper misses several configurations, not {latest}");

    cluster.restart(&[3]);
    for gid in [2, 3] {
        lead_from(&cluster, gid, 3).await;
    }
    get_all(&client, &data).await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

/// Stops whoever leads a group until `node` does.
async fn lead_from(cluster: &Cluster, gid: u64, node: u64) {
    for _ in 0..20 {
        let leader = cluster.wait_leader(gid).await;
        if leader == node {
            return;
        }
        cluster.stop(&[leader]).await;
        cluster.wait_leader_other_than(gid, leader).await;
        cluster.restart(&[leader]);
        cluster
            .wait_view("the one that was stopped has caught up", |view| {
                let behind = |seen: &flotilla_tests::cluster::Seen<'_>| seen.replica.applied == 0;
                let all =
                    view.replicas(gid).count() == NEAR.len() && !view.replicas(gid).any(|seen| behind(&seen));
                all.then_some(()).ok_or("not all replicas are up".to_owned())
            })
            .await;
    }
    panic!("node {node} never led group {gid}, in twenty elections");
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_concurrent_appenders() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).tiny_snapshots().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    let appenders = Appenders::start(&cluster, 10).await;
    appenders.more(100).await;
    cluster.join_only(&client, &[(2, FAR)]).await;
    cluster.join_only(&client, &[(3, &[2, 4, 6])]).await;
    appenders.more(100).await;
    cluster.kill9(&[4]);
    cluster.leave_only(&client, &[1]).await;
    appenders.more(100).await;
    cluster.restart(&[4]);
    cluster.kill9(&[5, 6]);
    cluster.restart(&[5, 6]);
    cluster.wait_settled(&client).await;
    cluster.wait_torn_down(&client, 1).await;
    cluster.join_only(&client, &[(1, NEAR)]).await;
    cluster.leave_only(&client, &[2]).await;
    cluster.stop(&[4]).await;
    appenders.more(100).await;
    cluster.restart(&[4]);
    cluster.wait_settled(&client).await;
    appenders.more(100).await;
    appenders.stop_and_judge(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_unreliable_network() {
    // Each piece may hold many messages, and a cut loses all that are under way, so fewer cuts than a tenth of the
    // pieces lose more than a tenth of the messages.
    let weather = Weather { delay_max: Duration::from_millis(26), cut_per_mille: 15 };
    let cluster = Cluster::builder()
        .nodes(4)
        .shards(SHARDS)
        .tiny_snapshots()
        .setting("heartbeat_ms", 150)
        .setting("election_min_ms", 600)
        .setting("election_max_ms", 1200)
        .weather(weather)
        .start()
        .await;
    let client = cluster.client_with(Duration::from_secs(60)).await;
    cluster.join_only(&client, &[(1, NEAR)]).await;
    let appenders = Appenders::start(&cluster, 10).await;
    let shared: Vec<String> = (0..3).map(|at| format!("shared-{at}")).collect();
    let sharers = Sharers::start(&cluster, 5, &shared, 60).await;
    appenders.more(50).await;
    cluster.join_only(&client, &[(2, &[2, 3, 4])]).await;
    appenders.more(50).await;
    cluster.join_only(&client, &[(3, &[4, 1, 2])]).await;
    cluster.leave_only(&client, &[1]).await;
    appenders.more(50).await;
    let history = sharers.done().await;

    let cuts: u64 = cluster.nodes().into_iter().map(|node| cluster.proxy(node).cuts()).sum();
    assert!(cuts > 50, "only {cuts} connections were cut: the network was good");
    cluster.nodes().into_iter().for_each(|node| cluster.proxy(node).calm());
    appenders.stop_and_judge(&client).await;
    let counted = history.iter().filter(|op| !matches!(op.outcome, Outcome::Fail { .. })).count();
    println!("{counted} operations on shared keys, {cuts} connections cut");
    assert!(counted > 200, "only {counted} operations on shared keys");
    let limits = Limits { shards: Some(SHARDS), ..Limits::default() };
    let verdicts = judge_within(&history, &limits);
    let wrong: Vec<_> = verdicts.violations().map(|violation| &violation.what[..]).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(verdicts.each.iter().any(|verdict| verdict.by == "B" && verdict.keys > 0), "{:?}", verdicts.each);
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_scale_out_and_in() {
    const KEYS: usize = 100_000;
    let cluster = Cluster::builder().shards(16).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    let data = rows("row-", KEYS, 20);
    let appenders = Appenders::start(&cluster, 4).await;
    put_all(&client, &data).await;
    cluster.join(&client, &[(2, NEAR)]).await;
    cluster.join(&client, &[(3, NEAR)]).await;
    appenders.more(50).await;
    cluster.leave(&client, &[2, 3]).await;
    appenders.stop_and_judge(&client).await;
    assert_scan(&client, "row-", &data).await;
    let held =
        cluster.view().await.group(1).map(|group| group.shards.iter().map(|shard| shard.keys).sum::<u64>());
    assert_eq!(held, Some(KEYS as u64 + 4), "rows, and a key for each appender, are all that there is");
    cluster.wait_torn_down(&client, 2).await;
    cluster.wait_torn_down(&client, 3).await;
    cluster.finish().await;
}
