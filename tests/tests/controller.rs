//! Scenarios A1 to A7: the controller, over real gRPC, as real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_client::{Client, ClientError};
use flotilla_proto::ctrl_v1::{Code, GroupState, Join, Leave, Move, NewGroup, ShardConfig};
use flotilla_proto::net::Lane;
use flotilla_tests::cluster::{Cluster, Wish, eventually, new_groups, shards_of};
use flotilla_types::GroupId;
use futures::future::join_all;
use tokio::time::sleep;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

const ALL: &[u64] = &[1, 2, 3];

/// How many shards each group owns.
fn counts(config: &ShardConfig) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for gid in &config.shards {
        *counts.entry(*gid).or_default() += 1;
    }
    counts
}

/// Every shard is on one of these groups, and none has two more than another.
#[track_caller]
fn assert_balanced(config: &ShardConfig, gids: &[u64]) {
    let mut counts = counts(config);
    for gid in gids {
        counts.entry(*gid).or_default();
    }
    let named: BTreeSet<u64> = counts.keys().copied().collect();
    assert_eq!(named, gids.iter().copied().collect(), "{config:?}");
    let (least, most) = (counts.values().min(), counts.values().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{counts:?}");
}

/// The nodes of a group's replicas, as the directory has them.
async fn members(cluster: &Cluster, client: &Client, gid: u64) -> Vec<u64> {
    let directory = cluster.directory(client).await;
    let group = directory.group(gid).unwrap_or_else(|| panic!("no group {gid} in {directory:?}"));
    group.replicas.iter().map(|replica| replica.node).collect()
}

/// Every configuration from 1 on.
async fn history(client: &Client, latest: u64) -> Vec<ShardConfig> {
    let mut history = Vec::new();
    for num in 1..=latest {
        let config =
            client.admin().query(Some(num)).await.unwrap_or_else(|error| panic!("query {num}: {error}"));
        history.push(config.config.unwrap_or_else(|| panic!("configuration {num} of {latest} is gone")));
    }
    history
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_join_and_leave() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;

    cluster.join_only(&client, &[(1, &[1, 2, 3])]).await;
    assert_balanced(&cluster.config(&client).await, &[1]);
    assert_eq!(members(&cluster, &client, 1).await, [1, 2, 3]);

    cluster.join_only(&client, &[(2, &[3, 1])]).await;
    assert_balanced(&cluster.config(&client).await, &[1, 2]);
    assert_eq!(members(&cluster, &client, 2).await, [3, 1]);

    cluster.leave_only(&client, &[1]).await;
    assert_balanced(&cluster.config(&client).await, &[2]);
    let refused = client.admin().leave([GroupId(2)]).await.expect_err("the last group cannot leave");
    assert!(matches!(refused, ClientError::Admin { code: Code::Refused, .. }), "{refused}");

    let latest = cluster.config(&client).await;
    assert_eq!(latest.num, 3, "a refusal makes no configuration");
    cluster.wait_torn_down(&client, 1).await;
    let before = history(&client, latest.num).await;
    for node in ALL {
        cluster.stop(&[*node]).await;
        cluster.restart(&[*node]);
        cluster.wait_leader(0).await;
        assert_eq!(history(&client, latest.num).await, before, "after node {node} was stopped and started");
    }
    cluster.kill9(ALL);
    cluster.restart(ALL);
    assert_eq!(history(&client, latest.num).await, before, "after all were killed and started");
    assert_eq!(
        cluster.directory(&client).await.group(1).map(|group| group.state()),
        Some(GroupState::TornDown)
    );
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_move_by_hand() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3]), (2, &[1, 2, 3])]).await;
    let wanted = |shard: u32| if shard < 5 { 2 } else { 1 };

    let mut config = cluster.config(&client).await;
    for shard in 0..10 {
        let moved = config.shards[shard as usize] != wanted(shard);
        let num = cluster.move_only(&client, shard, wanted(shard)).await;
        assert_eq!(
            num,
            config.num + u64::from(moved),
            "shard {shard} was at {}",
            config.shards[shard as usize]
        );
        config = cluster.config(&client).await;
    }
    assert_eq!(config.shards, (0..10).map(wanted).collect::<Vec<_>>());
    let again = cluster.move_only(&client, 0, 2).await;
    assert_eq!(again, config.num, "nothing changed, so the number does not either");
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_ten_admins_at_once() {
    // Ten shards: at times there are more groups than shards.
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join_only(&client, &[(1000, &[1, 2, 3])]).await;
    let admins = (1..=10_u64).map(|admin| {
        let cluster = &cluster;
        async move {
            let client = cluster.client().await;
            let node = 1 + admin % 3;
            let (stays, goes) = (admin, 100 + admin);
            cluster.join_only(&client, &[(stays, &[node])]).await;
            cluster.join_only(&client, &[(goes, &[node])]).await;
            cluster.leave_only(&client, &[goes]).await;
        }
    });
    join_all(admins).await;
    let remaining: Vec<u64> = (1..=10).chain([1000]).collect();
    let config = cluster.config(&client).await;
    assert_eq!(config.num, 1 + 30, "each request made one configuration");
    let directory = cluster.directory(&client).await;
    let live = directory.groups.iter().filter(|group| group.gid > 0 && group.state() == GroupState::Live);
    assert_eq!(live.map(|group| group.gid).collect::<Vec<_>>(), remaining);
    let mut counts = counts(&config);
    assert!(counts.keys().all(|gid| remaining.contains(gid)), "{config:?}");
    for gid in &remaining {
        counts.entry(*gid).or_default();
    }
    assert!(counts.values().all(|count| *count <= 1), "ten shards on eleven groups: {counts:?}");
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

/// How many shards at least must change owner from `old` so that every live group of `new` has its share.
fn fewest_moves(old: &ShardConfig, new: &ShardConfig) -> usize {
    let shares = counts(new);
    let kept =
        counts(old).into_iter().map(|(gid, had)| had.min(shares.get(&gid).copied().unwrap_or_default()));
    old.shards.len() - kept.sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_as_few_shards_move_as_possible() {
    let cluster = Cluster::builder().shards(64).start().await;
    let client = cluster.client().await;
    cluster.join_only(&client, &[(1, &[1])]).await;
    let mut old = cluster.config(&client).await;
    let steps: [(&[u64], &[u64]); 6] =
        [(&[2], &[]), (&[3, 4, 5], &[]), (&[], &[2]), (&[6], &[]), (&[], &[1, 4]), (&[7, 8], &[])];
    for (joining, leaving) in steps {
        let groups: Vec<(u64, &[u64])> = joining.iter().map(|gid| (*gid, &ALL[..1])).collect();
        if leaving.is_empty() {
            cluster.join_only(&client, &groups).await;
        } else {
            cluster.leave_only(&client, leaving).await;
        }
        let new = cluster.config(&client).await;
        assert_eq!(new.num, old.num + 1, "several groups in one request are one configuration");
        let moved: Vec<(u64, u64)> = old
            .shards
            .iter()
            .copied()
            .zip(new.shards.iter().copied())
            .filter(|(from, to)| from != to)
            .collect();
        assert_eq!(moved.len(), fewest_moves(&old, &new), "+{joining:?} -{leaving:?}: {moved:?}");
        for (from, to) in moved {
            let fits = if leaving.is_empty() { joining.contains(&to) } else { leaving.contains(&from) };
            assert!(fits, "+{joining:?} -{leaving:?}: a shard went from {from} to {to}");
        }
        let live: Vec<u64> = counts(&new).into_keys().collect();
        assert_balanced(&new, &live);
        old = new;
    }
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_every_replica_answers_the_same() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(3, &[2, 1]), (7, &[3, 1]), (5, &[1, 2, 3])]).await;
    cluster.move_only(&client, 0, 7).await;
    let settled = cluster.wait_settled(&client).await;
    let first = same_everywhere(&cluster, settled.num).await;

    let leader = cluster.wait_leader(0).await;
    cluster.stop(&[leader]).await;
    cluster.wait_leader_other_than(0, leader).await;
    cluster.restart(&[leader]);
    assert_eq!(same_everywhere(&cluster, settled.num).await, first, "after the leader was stopped");

    // And a rebalance by another leader is one that all agree on, too.
    let num = cluster.leave(&client, &[5]).await;
    same_everywhere(&cluster, num).await;
    cluster.finish().await;
}

/// Every replica's every configuration, by its own word; they must be equal once all have applied `latest`.
async fn same_everywhere(cluster: &Cluster, latest: u64) -> Vec<ShardConfig> {
    let mut said = Vec::new();
    for node in ALL {
        let mut configs = Vec::new();
        for num in 1..=latest {
            let config =
                eventually(&format!("node {node} answers {num}"), Duration::from_secs(20), async || {
                    let answer =
                        cluster.query_stale(*node, Some(num)).await.map_err(|status| status.to_string())?;
                    answer.config.ok_or(format!("it has none; its latest is {}", answer.latest))
                })
                .await;
            configs.push(config);
        }
        said.push(configs);
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "replicas differ: {said:#?}");
    said.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_bad_input_is_refused_and_changes_nothing() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3])]).await;
    let before = cluster.config(&client).await;

    for (name, wish, code, words) in bad_wishes() {
        let response = cluster.wish(wish).await;
        assert_eq!(response.code(), code, "{name}: {response:?}");
        for word in words {
            assert!(response.message.contains(word), "{name}: {:?} does not say {word:?}", response.message);
        }
        assert_eq!(response.config, before.num, "{name}: the configuration changed");
    }
    assert_eq!(cluster.config(&client).await, before);
    assert_eq!(cluster.directory(&client).await.groups.len(), 2, "the controller and group 1");

    cluster.kill9(ALL);
    cluster.restart(ALL);
    for (name, wish, code, _) in bad_wishes() {
        assert_eq!(cluster.wish(wish).await.code(), code, "{name}, after a restart");
    }
    assert_eq!(cluster.config(&client).await, before);

    // A retry of one request acts once, and an answer lost is an answer given again.
    let two = Wish::Join(Join { groups: new_groups(&[(2, &[1, 2, 3])]) });
    let first = cluster.wish_as(4711, two.clone()).await;
    let second = cluster.wish_as(4711, two).await;
    assert_eq!((first.code(), &first), (Code::Ok, &second));
    assert_eq!(cluster.config(&client).await.num, before.num + 1);
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

/// What the controller must refuse, how, and which words must be in the refusal.
fn bad_wishes() -> Vec<(&'static str, Wish, Code, &'static [&'static str])> {
    let join =
        |gid: u64, nodes: &[u64]| Wish::Join(Join { groups: vec![NewGroup { gid, nodes: nodes.to_vec() }] });
    let leave = |gids: &[u64]| Wish::Leave(Leave { gids: gids.to_vec() });
    let twice = Wish::Join(Join { groups: new_groups(&[(8, &[1]), (8, &[2])]) });
    let half = Wish::Join(Join { groups: new_groups(&[(8, &[1]), (9, &[77])]) });
    vec![
        ("join of an existing gid", join(1, &[1, 2, 3]), Code::AlreadyExists, &["group 1", "gid"]),
        ("join of gid 0", join(0, &[1]), Code::Invalid, &["gid", "0"]),
        ("join without groups", Wish::Join(Join::default()), Code::Invalid, &["groups"]),
        ("join without members", join(8, &[]), Code::Invalid, &["nodes", "group 8"]),
        ("join with a member twice", join(8, &[1, 2, 1]), Code::Invalid, &["nodes", "twice"]),
        ("join with an unknown node", join(8, &[1, 2, 99]), Code::NotFound, &["node 99"]),
        ("join with too many members", join(8, &[1; 10]), Code::TooMany, &["10", "9"]),
        ("join of a gid twice", twice, Code::Invalid, &["group 8", "twice"]),
        ("join of which half is good", half, Code::NotFound, &["node 77"]),
        ("leave of what is not there", leave(&[42]), Code::NotFound, &["group 42"]),
        ("leave of gid 0", leave(&[0]), Code::Invalid, &["group 0"]),
        ("leave of nothing", leave(&[]), Code::Invalid, &["gids"]),
        ("leave of half nothing", leave(&[1, 42]), Code::NotFound, &["group 42"]),
        ("leave of the last group", leave(&[1]), Code::Refused, &["no group would remain"]),
        ("leave of one twice", leave(&[1, 1]), Code::Invalid, &["twice"]),
        (
            "move of a shard out of range",
            Wish::Move(Move { shard: 10, gid: 1 }),
            Code::NotFound,
            &["shard", "0 to 9"],
        ),
        ("move to an unknown gid", Wish::Move(Move { shard: 0, gid: 42 }), Code::NotFound, &["group 42"]),
        ("move to nobody", Wish::Move(Move { shard: 0, gid: 0 }), Code::Invalid, &["group 0"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_an_idle_controller_writes_nothing() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[1, 2, 3])]).await;
    let leader = cluster.wait_leader(0).await;
    // What the groups still report after settling has been reported.
    let before = quiet_log(&cluster, leader).await;

    let config = cluster.config(&client).await;
    for num in (0..=config.num).cycle().take(500) {
        client.admin().query(Some(num)).await.unwrap_or_else(|error| panic!("query {num}: {error}"));
    }
    sleep(Duration::from_secs(2)).await;
    let after = cluster.ctrl_status(leader).await.expect("the leader answers");
    assert_eq!((after.last_log, after.term), before, "log index and term after 500 queries and 2 s of peace");
    assert_eq!(shards_of(&config, 1).len(), 10);
    cluster.finish().await;
}

/// Last log index and term of the controller, once they have been the same for a second.
async fn quiet_log(cluster: &Cluster, leader: u64) -> (u64, u64) {
    let mut seen = (0, 0);
    for _ in 0..20 {
        let status = cluster.ctrl_status(leader).await.expect("the leader answers");
        let now = (status.last_log, status.term);
        if now == seen && now.0 > 0 {
            return now;
        }
        seen = now;
        sleep(Duration::from_secs(1)).await;
    }
    panic!("the controller's log grew for 20 s, to {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer_standard_tools() {
    let cluster = Cluster::builder().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, ALL)]).await;
    let service = || {
        let address = &cluster.endpoints()[0];
        cluster.env().network.connect(address, Lane::Client).expect("an address")
    };
    let health = || async {
        let request = HealthCheckRequest { service: "flotilla.kv.v1.ShardKvService".to_owned() };
        let answer =
            HealthClient::new(service()).check(request).await.map_err(|status| status.to_string())?;
        let serving = answer.get_ref().status == i32::from(ServingStatus::Serving);
        if serving { Ok(()) } else { Err(format!("{answer:?}")) }
    };
    eventually("the node says that it serves", Duration::from_secs(10), health).await;

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = ServerReflectionClient::new(service())
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .expect("reflection answers")
        .into_inner()
        .message()
        .await
        .expect("a message");
    let answer = format!("{answer:?}");
    for name in
        ["flotilla.kv.v1.ShardKvService", "flotilla.ctrl.v1.ShardCtrlerService", "grpc.health.v1.Health"]
    {
        assert!(answer.contains(name), "{name} is not among {answer}");
    }

    // With two of three nodes gone nobody leads, and the node must not call itself fit.
    cluster.kill9(&[2, 3]);
    let unfit = || async { if health().await.is_err() { Ok(()) } else { Err("still serving".to_owned()) } };
    eventually("the lonely node says that it does not serve", Duration::from_secs(20), unfit).await;
    cluster.restart(&[2, 3]);
    eventually("it serves again", Duration::from_secs(20), health).await;
    cluster.finish().await;
}
