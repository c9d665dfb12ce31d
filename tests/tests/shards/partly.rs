//! B7 to B9: a group that is dead or slow holds up its own shards only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flotilla_client::Client;
use flotilla_proto::ctrl_v1::ShardConfig;
use flotilla_tests::cluster::{Cluster, key_of, shards_of};
use flotilla_tests::rows::{get_all, put_all, rows};

use crate::{FAR, NEAR};

const SHARDS: u32 = 12;
/// How long an operation on a shard may take that has nothing to do with what is dead.
const PROMPT: Duration = Duration::from_secs(2);

/// Reads and writes a key of each of these shards, each promptly, and each answered by this group.
async fn assert_served(client: &Client, shards: &[u32], gid: u64) {
    let hasty = client.with_timeout(PROMPT);
    for shard in shards {
        let key = key_of(*shard, SHARDS, 1);
        let written =
            hasty.append(key.clone(), "x").await.unwrap_or_else(|error| panic!("shard {shard}: {error}"));
        let found = hasty.get(key).await.unwrap_or_else(|error| panic!("shard {shard}: {error}"));
        assert!(
            found.is_some_and(|found| found.version == written.version && found.gid == gid),
            "shard {shard}"
        );
    }
}

/// No key of these shards can be read.
async fn assert_unserved(client: &Client, shards: &[u32]) {
    let hasty = client.with_timeout(Duration::from_secs(1));
    let reads = shards.iter().map(async |shard| (shard, hasty.get(key_of(*shard, SHARDS, 1)).await));
    for (shard, read) in futures::future::join_all(reads).await {
        assert!(read.is_err(), "shard {shard} of a dead group answered {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b7_a_dead_group_affects_its_shards_only() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, FAR)]).await;
    let data = rows("row-", 200, 50);
    put_all(&client, &data).await;
    let before = cluster.config(&client).await;

    cluster.kill9(FAR);
    cluster.leave_only(&client, &[2]).await;
    cluster
        .wait_view("group 1 knows that it is to have everything", |view| {
            let group = view.group(1).ok_or("no leader")?;
            if group.config > before.num { Ok(()) } else { Err(format!("it is at {}", group.config)) }
        })
        .await;
    assert_served(&client, &shards_of(&before, 1), 1).await;
    assert_unserved(&client, &shards_of(&before, 2)).await;

    cluster.restart(FAR);
    cluster.wait_settled(&client).await;
    assert_served(&client, &shards_of(&before, 2), 1).await;
    get_all(&client, &data).await;
    cluster.wait_torn_down(&client, 2).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_what_the_living_give_is_served() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, FAR)]).await;
    let data = rows("row-", 200, 50);
    put_all(&client, &data).await;
    let before = cluster.config(&client).await;

    cluster.kill9(FAR);
    cluster.join_only(&client, &[(3, NEAR)]).await;
    let after = cluster.config(&client).await;
    let (living, dead) = (came_from(&before, &after, 1), came_from(&before, &after, 2));
    assert!(!living.is_empty() && !dead.is_empty(), "group 3 gets shards of both: {living:?}, {dead:?}");
    for shard in &living {
        cluster.wait_phase(3, *shard, flotilla_proto::kv_v1::ShardPhase::Serving).await;
    }
    assert_served(&client, &living, 3).await;
    assert_served(&client, &shards_of(&after, 1), 1).await;
    assert_unserved(&client, &dead).await;

    cluster.restart(FAR);
    cluster.wait_settled(&client).await;
    assert_served(&client, &dead, 3).await;
    get_all(&client, &data).await;
    cluster.finish().await;
}

/// The shards that go from `from` to group 3.
fn came_from(before: &ShardConfig, after: &ShardConfig, from: u64) -> Vec<u32> {
    let had: BTreeSet<u32> = shards_of(before, from).into_iter().collect();
    shards_of(after, 3).into_iter().filter(|shard| had.contains(shard)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_progress_with_half_of_the_groups() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR), (3, FAR), (4, FAR)]).await;
    let config = cluster.config(&client).await;
    cluster.kill9(FAR);
    for gid in [1, 2] {
        assert_served(&client, &shards_of(&config, gid), gid).await;
    }
    // Also for somebody who comes only now, and knows nothing.
    let late = cluster.client_with(PROMPT).await;
    for gid in [1, 2] {
        assert_served(&late, &shards_of(&config, gid), gid).await;
    }
    cluster.restart(FAR);
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_a_restless_group_slows_nobody() {
    let cluster = Cluster::builder().nodes(6).shards(SHARDS).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    put_all(&client, &rows("row-", 300, 200)).await;

    let restless = async {
        let mut configs = vec![cluster.config(&client).await];
        for _ in 0..4 {
            cluster.join_only(&client, &[(9, FAR)]).await;
            configs.push(cluster.wait_settled(&client).await);
            cluster.leave_only(&client, &[9]).await;
            configs.push(cluster.wait_settled(&client).await);
            cluster.wait_torn_down(&client, 9).await;
        }
        configs
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let watching = tokio::spawn(latencies(cluster.client().await, stop.clone()));
    let configs = restless.await;
    stop.cancel();
    let slowest = watching.await.unwrap();
    let stays = |shard: &u32| {
        configs.iter().all(|config| config.shards[*shard as usize] == configs[0].shards[*shard as usize])
    };
    let unmoved: Vec<u32> = (0..SHARDS).filter(stays).collect();
    assert!(!unmoved.is_empty() && unmoved.len() < SHARDS as usize, "some move, some do not: {unmoved:?}");
    for shard in unmoved {
        let slowest = slowest[shard as usize];
        assert!(slowest < PROMPT, "an operation on shard {shard}, which never moved, took {slowest:?}");
        assert!(!slowest.is_zero(), "nobody asked shard {shard}");
    }
    cluster.finish().await;
}

/// The longest that an append to each shard took.
async fn latencies(client: Client, stop: tokio_util::sync::CancellationToken) -> Vec<Duration> {
    let mut slowest = vec![Duration::ZERO; SHARDS as usize];
    while !stop.is_cancelled() {
        let asked = (0..SHARDS).map(async |shard| {
            let began = Instant::now();
            client
                .put(key_of(shard, SHARDS, 2), "x")
                .await
                .unwrap_or_else(|error| panic!("shard {shard}: {error}"));
            began.elapsed()
        });
        let took = futures::future::join_all(asked).await;
        slowest.iter_mut().zip(took).for_each(|(slowest, took)| *slowest = took.max(*slowest));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    slowest
}
