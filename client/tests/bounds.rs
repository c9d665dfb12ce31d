//! Nothing grows without bound, and much travels together.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Act, World, connect, ok, options, try_connect};
use flotilla_client::Kind;
use futures::future::join_all;

#[tokio::test]
async fn writes_wait_for_a_lane() {
    let (_world, node) = World::single().await;
    node.on(|_, command| Act::After(Duration::from_millis(20), ok(command)));
    let client = try_connect(options(&[&node]).lanes(3)).await.unwrap();
    let writes = (0..30).map(|n| client.put(format!("k{n}"), "v"));
    assert!(join_all(writes).await.iter().all(Result::is_ok));
    assert_eq!(node.state.in_flight_max.load(Ordering::SeqCst), 3);
    let lanes: std::collections::BTreeSet<u32> = node.seen().iter().map(|it| it.id.unwrap().lane).collect();
    assert_eq!(lanes.len(), 3);
}

#[tokio::test]
async fn a_call_that_finds_no_lane_in_time_has_done_nothing() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Never);
    let client = try_connect(options(&[&node]).lanes(1)).await.unwrap();
    let stuck = tokio::spawn({
        let client = client.with_timeout(Duration::from_secs(1));
        async move { client.put("a", "v").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = client.with_timeout(Duration::from_millis(100)).put("b", "v").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("lanes"), "{error}");
    assert!(stuck.await.unwrap().unwrap_err().is_indeterminate());
}

#[tokio::test]
async fn reads_are_bounded_too() {
    let (_world, node) = World::single().await;
    node.on(|_, command| Act::After(Duration::from_millis(10), ok(command)));
    let client = try_connect(options(&[&node]).max_in_flight(5)).await.unwrap();
    assert!(join_all((0..50).map(|_| client.get("k"))).await.iter().all(Result::is_ok));
    assert_eq!(node.state.in_flight_max.load(Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_share_messages() {
    let (_world, node) = World::single().await;
    let client = try_connect(options(&[&node]).lanes(1000).max_in_flight(1000)).await.unwrap();
    client.put("warm", "up").await.unwrap();
    let before = node.state.messages.load(Ordering::SeqCst);
    let writes = (0..1000).map(|n| client.put(format!("k{n}"), "v"));
    assert!(join_all(writes).await.iter().all(Result::is_ok));
    let messages = node.state.messages.load(Ordering::SeqCst) - before;
    assert!(messages <= 250, "1000 writes in {messages} messages");
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_others() {
    let (_world, node) = World::single().await;
    node.on(|nth, command| if nth == 0 { Act::Never } else { Act::Reply(ok(command)) });
    let client = connect(&[&node]).await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.get("slow").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fast = client.with_timeout(Duration::from_secs(1));
    for _ in 0..50 {
        fast.get("fast").await.unwrap();
    }
    slow.await.unwrap().expect("the second attempt is answered");
}

#[tokio::test]
async fn a_cancelled_call_gives_its_place_back() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Never);
    let client = try_connect(options(&[&node]).lanes(1).max_in_flight(1)).await.unwrap();
    for _ in 0..5 {
        let cut_short = tokio::time::timeout(Duration::from_millis(20), client.put("k", "v")).await;
        assert!(cut_short.is_err());
    }
    node.on(|_, command| Act::Reply(ok(command)));
    client.put("k", "v").await.unwrap();
    assert_eq!(node.seen().last().unwrap().id.unwrap().seq, 6, "each write has its own number");
}

#[tokio::test]
async fn the_background_ends_with_the_last_client() {
    let (_world, node) = World::single().await;
    let client = connect(&[&node]).await;
    let clone = client.clone();
    client.put("k", "v").await.unwrap();
    wait_for_watchers(&node, 1).await;
    drop(client);
    clone.put("k", "v").await.unwrap();
    assert_eq!(node.state.watchers.load(Ordering::SeqCst), 1);
    drop(clone);
    wait_for_watchers(&node, 0).await;
}

async fn wait_for_watchers(node: &common::Node, count: usize) {
    for _ in 0..200 {
        if node.state.watchers.load(Ordering::SeqCst) == count {
            return;
        }
        // A server notices a closed stream when it next writes.
        node.state.world.facts.send_modify(|_| {});
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} watchers");
}

#[tokio::test]
async fn calls_may_be_spawned() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (_world, node) = World::single().await;
    let client = connect(&[&node]).await;
    is_send(client.get("k")).await.unwrap();
    is_send(client.put("k", "v")).await.unwrap();
    is_send(client.status()).await;
    is_send(client.digests(1)).await;
    is_send(client.admin().query(None)).await.unwrap();
    let mut scan = client.scan(flotilla_client::ScanRange::All, Default::default());
    is_send(scan.next_page()).await.unwrap();
}
