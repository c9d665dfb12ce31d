//! B18, B21 to B25 and B27: moves that are watched, disturbed, undone, crossed and raced.

use std::time::Duration;

use flotilla_client::Read;
use flotilla_proto::kv_v1::{
    Code, DeleteShardsDataRequest, DeleteShardsDataResponse, GetShardsDataRequest, GetShardsDataResponse,
    ShardPhase,
};
use flotilla_tests::cluster::{Cluster, View, key_of, shards_of, verify};
use flotilla_tests::crossing::{Crossing, SOURCE, TARGET, tag_of};
use flotilla_tests::load::Appenders;
use flotilla_tests::rows::{assert_scan, get_all, put_all, rows};
use tokio::time::sleep;

use crate::{FAR, NEAR};

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_paused_source_does_not_stop_the_move() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    let leader = crossing.cluster.wait_leader(SOURCE).await;
    crossing.cluster.node(leader).pause();
    crossing.resumes_after(done).await;
    crossing.arrive().await;
    let view = crossing.cluster.view().await;
    assert!(view.silent.contains_key(&leader), "node {leader} is still paused:\n{}", view.words());
    crossing.cluster.node(leader).resume();
    crossing.finish().await;
}

/// What a look before and a look after an answer allow: a group that served in both looks, at the same configuration.
fn serves(view: &View, gid: u64, shard: u32) -> Option<u64> {
    let status = view.shard(gid, shard)?;
    // BePulling answers for the configuration before.
    match status.phase() {
        ShardPhase::Serving | ShardPhase::Gcing => Some(status.config),
        ShardPhase::BePulling => Some(status.config - 1),
        _ => None,
    }
}

fn check_answer(before: &View, after: &View, shard: u32, answer: &Read) {
    let serving =
        |view: &View| [SOURCE, TARGET].map(|gid| serves(view, gid, shard).map(|config| (gid, config)));
    if serving(before) != serving(after) {
        // Something changed between the looks: either may be right.
        return;
    }
    let said: Vec<_> = serving(before).into_iter().flatten().collect();
    let answered = (answer.gid, answer.config);
    assert!(
        said.contains(&answered),
        "{answered:?} (gid, config) answered; the status says {said:?}\n{}",
        before.words()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_the_status_tells_the_truth_at_every_moment() {
    let mut crossing = Crossing::prepare().await;
    let shard = crossing.shard;
    let key = crossing.early_key("watched");
    crossing.client.put(key.clone(), "x").await.unwrap();
    crossing.order().await;
    let (mut phases, mut bytes) = (Vec::new(), Vec::new());
    let mut rewritten = false;
    loop {
        let before = crossing.cluster.view().await;
        verify::one_server_each(&before).unwrap_or_else(|why| panic!("{why}"));
        // A sealed shard makes a read wait; the looks around it then differ.
        let answer = crossing.client.read(key.clone()).await.unwrap();
        check_answer(&before, &crossing.cluster.view().await, shard, &answer);
        let phase = (before.phase(SOURCE, shard), before.phase(TARGET, shard));
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
        bytes.extend(Crossing::progress(&before, shard).map(|moving| moving.bytes_done));
        if bytes.len() > 5 && !rewritten {
            crossing.rewrite().await;
            rewritten = true;
        }
        if phase == (ShardPhase::Absent, ShardPhase::Serving) {
            break;
        }
    }
    println!("phases (source, target): {phases:?}; {} looks at its progress", bytes.len());
    assert!(phases.contains(&(ShardPhase::BePulling, ShardPhase::Pulling)), "{phases:?}");
    assert!(bytes.is_sorted() && bytes.first() < bytes.last(), "progress only grows: {bytes:?}");

    let tag = tag_of(shard, 4);
    let found = flotilla_tests::rows::scan_all(&crossing.client, &tag).await;
    let view = crossing.cluster.view().await;
    assert_eq!(view.shard(TARGET, shard).map(|status| status.keys), Some(found.len() as u64), "keys");
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b22_a_shard_that_returns_while_its_old_rows_are_swept() {
    let cluster = Cluster::builder().shards(2).setting("chunk_bytes", 20_000).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    let shard = shards_of(&cluster.config(&client).await, 1)[0];
    let tag = tag_of(shard, 2);
    let mut data = rows(&tag, 2000, 100);
    put_all(&client, &data).await;
    let appenders = Appenders::start_on(&cluster, [format!("{tag}appended")], Duration::from_millis(5)).await;
    for round in 0..3 {
        for gid in [2, 1] {
            cluster.move_only(&client, shard, gid).await;
            cluster
                .wait_view("the shard has arrived", |view| match view.phase(gid, shard) {
                    ShardPhase::Serving | ShardPhase::Gcing => Ok(()),
                    phase => Err(format!("it is {phase:?}")),
                })
                .await;
            // New rows with old keys, while the rows of earlier lives are being swept.
            let again = rows(&tag, 100 * (round + 1), 100 + round);
            put_all(&client, &again).await;
            data.extend(again);
        }
    }
    cluster.wait_settled(&client).await;
    sleep(Duration::from_secs(1)).await;
    get_all(&client, &data).await;
    cluster.check_digests().await;
    cluster.kill9(NEAR);
    cluster.restart(NEAR);
    get_all(&client, &data).await;
    appenders.more(10).await;
    appenders.stop_and_judge(&client).await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

/// Tells a group, as the new owner would, to delete a shard that moved at `config`.
async fn tell_delete(cluster: &Cluster, gid: u64, shard: u32, config: u64) -> DeleteShardsDataResponse {
    let leader = cluster.wait_leader(gid).await;
    let request = DeleteShardsDataRequest { gid, shard, config };
    cluster.kv(leader).delete_shards_data(request).await.expect("an answer").into_inner()
}

/// Asks a group, as the new owner would, for the rest of a shard that moved at `config`, and to stop serving it.
async fn ask_seal(cluster: &Cluster, gid: u64, shard: u32, config: u64) -> GetShardsDataResponse {
    let leader = cluster.wait_leader(gid).await;
    let request = GetShardsDataRequest { gid, shard, config, seal: true, ..GetShardsDataRequest::default() };
    let mut answers = cluster.kv(leader).get_shards_data(request).await.expect("an answer").into_inner();
    answers.message().await.expect("a piece").expect("at least one")
}

#[tokio::test(flavor = "multi_thread")]
async fn b23_late_messages_have_no_effect() {
    let cluster = Cluster::builder().shards(2).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    let shard = shards_of(&cluster.config(&client).await, 1)[0];
    let data = rows(&tag_of(shard, 2), 50, 50);
    put_all(&client, &data).await;
    let there = cluster.move_only(&client, shard, 2).await;
    cluster.wait_settled(&client).await;
    let back = cluster.move_only(&client, shard, 1).await;
    cluster.wait_settled(&client).await;

    for _ in 0..2 {
        // Both moves are over: whoever asks again is told that it is done, and nothing happens.
        for (gid, config) in [(1, there), (2, back)] {
            let deleted = tell_delete(&cluster, gid, shard, config).await;
            assert_eq!(deleted.code(), Code::Ok, "group {gid}, config {config}: {deleted:?}");
            let sealed = ask_seal(&cluster, gid, shard, config).await;
            assert_eq!(sealed.code(), Code::OutDated, "group {gid}, config {config}: {}", sealed.message);
        }
        // And of what is not yet, nobody may say that it is done.
        let early = tell_delete(&cluster, 1, shard, back + 5).await;
        assert_eq!(early.code(), Code::NotReady, "{early:?}");
        let early = ask_seal(&cluster, 1, shard, back + 5).await;
        assert_eq!(early.code(), Code::NotReady, "{}", early.message);
    }
    cluster.wait_phase(1, shard, ShardPhase::Serving).await;
    get_all(&client, &data).await;
    client.put(key_of(shard, 2, 0), "still writable").await.unwrap();
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_deleted_while_moving_stays_deleted() {
    let mut crossing = Crossing::prepare().await;
    let client = crossing.client.clone();
    let (deleted, mortal, reborn) =
        (crossing.early_key("deleted"), crossing.early_key("mortal"), crossing.early_key("reborn"));
    for key in [&deleted, &reborn] {
        client.put(key.clone(), "copied early").await.unwrap();
    }
    client.put_with_ttl(mortal.clone(), "for a while", Duration::from_secs(2)).await.unwrap();
    assert!(client.get(mortal.clone()).await.unwrap().is_some(), "it lives for two seconds");
    crossing.to_mid_copy().await;
    // These keys stand before all rows, so they have been copied.
    assert!(client.delete(deleted.clone()).await.unwrap().is_some(), "it was there");
    assert!(client.delete(reborn.clone()).await.unwrap().is_some(), "it was there");
    client.put(reborn.clone(), "again").await.unwrap();
    crossing.rewrite().await;
    crossing.arrive().await;
    sleep(Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(client.get(deleted.clone()).await.unwrap(), None, "deleted before the seal");
        assert_eq!(client.get(mortal.clone()).await.unwrap(), None, "its time is over");
        assert_eq!(client.delete(mortal.clone()).await.unwrap(), None, "what has expired cannot be deleted");
        let found = client.get(reborn.clone()).await.unwrap().expect("deleted and written again");
        assert_eq!(found.value, "again");
    }
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b27_a_move_that_is_taken_back() {
    let mut crossing = Crossing::prepare().await;
    // Before the seal: the source simply serves on, or the shard makes a round trip.
    crossing.to_mid_copy().await;
    let back = crossing.cluster.move_only(&crossing.client, crossing.shard, SOURCE).await;
    crossing.rewrite().await;
    crossing.traffic(5).await;
    crossing.arrive().await;
    let key = crossing.early_key("taken-back");
    let written = crossing.client.put(key, "x").await.unwrap();
    assert_eq!((written.gid, written.config), (SOURCE, back));
    // After it: the move finishes first, and the shard comes back.
    crossing.to_mid_copy().await;
    crossing.rewrite().await;
    crossing.sealed().await;
    let back = crossing.cluster.move_only(&crossing.client, crossing.shard, SOURCE).await;
    crossing.finish_at(SOURCE, back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b25_shards_that_wait_for_each_other_arrive() {
    const SHARDS: u32 = 6;
    let cluster =
        Cluster::builder().nodes(6).shards(SHARDS).slow_moves(100_000).setting("moves_max", 1).start().await;
    let client = cluster.client().await;
    // Two groups whose nodes are apart, and one on some of both.
    cluster.join(&client, &[(1, NEAR), (2, FAR), (3, &[2, 4, 5])]).await;
    let data = rows("row-", 200, 200);
    put_all(&client, &data).await;
    let appenders = Appenders::start(&cluster, 3).await;
    let began = cluster.config(&client).await;
    // Every shard goes round, and round again, before anything has arrived.
    for round in 1..=2 {
        for shard in 0..SHARDS {
            let owner = began.shards[shard as usize];
            cluster.move_only(&client, shard, (owner - 1 + round) % 3 + 1).await;
        }
    }
    let view = cluster.view().await;
    let moving = (1..=3).filter_map(|gid| view.group(gid)).flat_map(|group| &group.shards);
    let moving = moving.filter(|shard| shard.phase() != ShardPhase::Serving).count();
    assert!(moving > 0, "everything has arrived already: nothing waited\n{}", view.words());
    let settled = cluster.wait_settled(&client).await;
    assert_eq!(settled.num, began.num + 2 * u64::from(SHARDS));
    assert_scan(&client, "row-", &data).await;
    appenders.more(10).await;
    appenders.stop_and_judge(&client).await;
    cluster.finish().await;
}
