//! B11 and B26: a write acts once however often it is sent, and what is forgotten is refused.

use flotilla_proto::kv_v1::{Code, CommandRequest, Reply};
use flotilla_tests::cluster::{Cluster, key_of};
use flotilla_tests::raw::{append, get, now_ms, put, write_id};
use flotilla_types::slot::shard_of_key;

use crate::NEAR;

const SHARDS: u32 = 4;
const KEY: &str = "retried";

/// What must be the same in every answer to one write.
fn essence(reply: &Reply) -> (Code, u64) {
    (reply.code(), reply.version)
}

async fn assert_again(cluster: &Cluster, write: &CommandRequest, first: &Reply, when: &str) {
    let again = cluster.command(&[1, 2], write).await;
    assert_eq!(essence(&again), essence(first), "{when}: {again:?}");
    let found = cluster.command(&[1, 2], &get(KEY)).await;
    assert_eq!(found.value.as_deref(), Some(&b"once"[..]), "{when}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_retry_acts_once_wherever_it_arrives() {
    let cluster = Cluster::builder().shards(SHARDS).tiny_snapshots().start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    let shard = shard_of_key(KEY.as_bytes(), SHARDS).get();
    cluster.move_only(&client, shard, 1).await;
    cluster.wait_settled(&client).await;
    let write = append(write_id(77, 1), KEY, "once");
    let first = cluster.command(&[1, 2], &write).await;
    assert_eq!(first.code(), Code::Ok, "{first:?}");
    assert_again(&cluster, &write, &first, "at once").await;

    let leader = cluster.wait_leader(1).await;
    cluster.kill9(&[leader]);
    cluster.wait_leader_other_than(1, leader).await;
    assert_again(&cluster, &write, &first, "after the leader died").await;
    cluster.restart(&[leader]);

    for gid in [2, 1] {
        cluster.move_only(&client, shard, gid).await;
        cluster.wait_settled(&client).await;
        assert_again(&cluster, &write, &first, &format!("after the shard moved to group {gid}")).await;
    }
    for nth in 0..60 {
        client.put(key_of(shard, SHARDS, 3), format!("{nth}")).await.unwrap();
    }
    cluster
        .wait_view("a snapshot is taken", |view| {
            let seen = view.leader(1).ok_or("no leader")?;
            if seen.replica.purged > 0 { Ok(()) } else { Err("nothing is purged".to_owned()) }
        })
        .await;
    assert_again(&cluster, &write, &first, "after a snapshot").await;

    cluster.kill9(NEAR);
    cluster.restart(NEAR);
    assert_again(&cluster, &write, &first, "after a restart of everything").await;
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_a_retry_older_than_the_window_is_refused_not_applied() {
    let cluster = Cluster::builder().shards(1).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    client.put(KEY, "once").await.unwrap();
    // Sent first before the window, or so it says: if it was applied then, its row has left.
    let mut id = write_id(78, 1);
    id.issued_at_ms = now_ms() - 2 * 60 * 60 * 1000;
    for _ in 0..2 {
        let late = cluster.command(&[1], &append(id, KEY, " and again")).await;
        assert_eq!(late.code(), Code::SessionExpired, "{late:?}");
        assert!(late.message.contains("not applied"), "{}", late.message);
    }
    let found = cluster.command(&[1], &get(KEY)).await;
    assert_eq!(found.value.as_deref(), Some(&b"once"[..]), "the late retry was applied");
    // And one overtaken by a newer write of its lane.
    let (old, new) = (write_id(79, 1), write_id(79, 2));
    assert_eq!(cluster.command(&[1], &put(new, KEY, "newer")).await.code(), Code::Ok);
    assert_eq!(cluster.command(&[1], &put(old, KEY, "older")).await.code(), Code::SessionExpired);
    let found = cluster.command(&[1], &get(KEY)).await;
    assert_eq!(found.value.as_deref(), Some(&b"newer"[..]));
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b26_a_write_from_the_future_is_refused() {
    let cluster = Cluster::builder().shards(1).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    client.put("other", "x").await.unwrap();
    let mut id = write_id(79, 1);
    id.issued_at_ms = now_ms() + 24 * 60 * 60 * 1000;
    let reply = cluster.command(&[1], &put(id, KEY, "tomorrow")).await;
    assert_eq!(reply.code(), Code::Invalid, "{reply:?}");
    assert!(reply.message.contains("clock"), "{}", reply.message);
    assert_eq!(cluster.command(&[1], &get(KEY)).await.code(), Code::NoKey);
    cluster.finish().await;
}
