//! Finding the group and replica that answers: hints, beliefs, dead nodes, new configurations.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Act, World, closed_port, connect, hinted, ok, options, refuse, try_connect};
use flotilla_client::Kind;
use flotilla_proto::kv_v1::{Code, Hint};

#[tokio::test]
async fn a_leader_hint_is_followed_and_remembered() {
    let world = World::new();
    let (follower, leader) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&follower, &leader]);
    world.give_all_to(1);
    let hint = leader.hint(1);
    follower.on(move |_, _| Act::Reply(hinted(Code::WrongLeader, 1, hint.clone())));
    let client = connect(&[&follower, &leader]).await;
    for _ in 0..20 {
        assert_eq!(client.put("k", "v").await.unwrap().gid, 1);
    }
    assert!(follower.seen().len() <= 1, "asked once at most");
    assert_eq!(leader.seen().len(), 20);
}

#[tokio::test]
async fn a_follower_without_a_hint_sends_us_to_the_next_replica() {
    let world = World::new();
    let nodes = [world.start(1).await, world.start(2).await, world.start(3).await];
    world.group(1, &[&nodes[0], &nodes[1], &nodes[2]]);
    world.give_all_to(1);
    for follower in &nodes[..2] {
        follower.on(|_, _| Act::Reply(refuse(Code::WrongLeader, 1)));
    }
    let client = connect(&[&nodes[0]]).await;
    client.put("k", "v").await.unwrap();
    assert_eq!(nodes[2].seen().len(), 1);
}

#[tokio::test]
async fn the_group_in_a_hint_is_asked_and_remembered() {
    let world = World::new();
    let (new_owner, old_owner) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&old_owner]);
    world.group(2, &[&new_owner]);
    world.give_all_to(2);
    let hint = Hint { gid: 1, ..Hint::default() };
    new_owner.on(move |_, _| Act::Reply(hinted(Code::NotReady, 2, hint.clone())));
    let client = connect(&[&new_owner]).await;
    for _ in 0..10 {
        assert_eq!(client.put("k", "v").await.unwrap().gid, 1, "the old owner serves while the shard moves");
    }
    assert_eq!((new_owner.seen().len(), old_owner.seen().len()), (1, 10));
    // The move is over: the old owner says so, the new one serves.
    new_owner.on(|_, command| Act::Reply(ok(command)));
    let hint = Hint { gid: 2, ..Hint::default() };
    old_owner.on(move |_, _| Act::Reply(hinted(Code::WrongGroup, 1, hint.clone())));
    for _ in 0..10 {
        assert_eq!(client.put("k", "v").await.unwrap().gid, 2);
    }
    assert_eq!(old_owner.seen().len(), 11);
}

#[tokio::test]
async fn two_groups_that_name_each_other_do_not_make_a_busy_loop() {
    let world = World::new();
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&one]);
    world.group(2, &[&two]);
    world.give_all_to(1);
    one.on(|_, _| Act::Reply(hinted(Code::WrongGroup, 1, Hint { gid: 2, ..Hint::default() })));
    two.on(|_, _| Act::Reply(hinted(Code::NotReady, 2, Hint { gid: 1, ..Hint::default() })));
    let client = connect(&[&one]).await.with_timeout(Duration::from_secs(1));
    let error = client.put("k", "v").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(!error.is_indeterminate() && error.is_retryable(), "refusals write nothing: {error}");
    let asked = one.seen().len() + two.seen().len();
    assert!((4..200).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn a_new_configuration_is_followed_when_it_is_pushed() {
    let world = World::new();
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&one]);
    world.group(2, &[&two]);
    world.give_all_to(1);
    let client = connect(&[&one]).await;
    client.put("k", "v").await.unwrap();
    let mut views = client.admin().watch();
    world.give_all_to(2);
    views.wait_for(|view| view.config.num == 2).await.unwrap();
    assert_eq!(client.put("k", "v").await.unwrap().gid, 2);
    assert_eq!(one.seen().len(), 1);
}

#[tokio::test]
async fn without_pushes_a_refusal_makes_the_client_ask() {
    let world = World::new();
    world.pushes.store(false, Ordering::SeqCst);
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&one]);
    world.group(2, &[&two]);
    world.give_all_to(1);
    let client = connect(&[&one]).await;
    client.put("k", "v").await.unwrap();
    world.give_all_to(2);
    one.on(|_, _| Act::Reply(refuse(Code::WrongGroup, 1)));
    assert_eq!(client.put("k", "v").await.unwrap().gid, 2);
    assert_eq!(client.config().num, 2);
}

#[tokio::test]
async fn before_the_first_join_a_call_waits_for_a_group() {
    let world = World::new();
    let node = world.start(1).await;
    let client = connect(&[&node]).await;
    let error = client.with_timeout(Duration::from_millis(200)).put("k", "v").await.unwrap_err();
    assert!(error.to_string().contains("belongs to no group yet"), "{error}");
    let waiting = tokio::spawn(async move { client.put("k", "v").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.group(5, &[&node]);
    world.give_all_to(5);
    assert_eq!(waiting.await.unwrap().unwrap().gid, 5);
}

#[tokio::test]
async fn a_dead_leader_is_left_for_the_next_one() {
    let world = World::new();
    let (old, new) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&old, &new]);
    world.give_all_to(1);
    let hint = old.hint(1);
    new.on(move |_, _| Act::Reply(hinted(Code::WrongLeader, 1, hint.clone())));
    let client = connect(&[&old, &new]).await;
    client.put("k", "v").await.unwrap();
    old.on(|_, _| Act::Cut);
    // For a moment the survivor still believes in the dead one.
    new.on(
        |nth, command| {
            if nth < 3 { Act::Reply(refuse(Code::WrongLeader, 1)) } else { Act::Reply(ok(command)) }
        },
    );
    client.put("k", "w").await.unwrap();
    client.put("k", "x").await.unwrap();
    let id = new.seen().last().unwrap().id.unwrap();
    assert_eq!(id.seq, 3, "one lane, three writes");
}

#[tokio::test]
async fn a_hanging_leader_is_left_for_the_next_one() {
    let world = World::new();
    let (old, new) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&old, &new]);
    world.give_all_to(1);
    for node in [&old, &new] {
        let id = node.id;
        node.on(move |_, command| if id == 1 { Act::Never } else { Act::Reply(ok(command)) });
    }
    let client = connect(&[&old, &new]).await;
    for _ in 0..3 {
        client.put("k", "v").await.unwrap();
    }
    assert!(old.seen().len() <= 1, "it hangs for one attempt at most");
}

#[tokio::test]
async fn a_stream_that_hangs_is_opened_anew() {
    let (_world, node) = World::single().await;
    node.state.hanging_streams.store(1, Ordering::SeqCst);
    let client = connect(&[&node]).await.with_timeout(Duration::from_secs(10));
    client.put("k", "v").await.unwrap();
    assert_eq!(node.state.hanging_streams.load(Ordering::SeqCst), 0, "the fault fired");
}

#[tokio::test]
async fn a_silent_new_owner_sends_us_back_to_the_earlier_one() {
    let world = World::new();
    let node = world.start(1).await;
    world.node(2, &closed_port().await);
    world.group(1, &[&node]);
    world.give_all_to(1);
    world.give_all_to(1);
    world.give_all_to(2);
    world.facts.send_modify(|(_, directory)| {
        let mut dead = directory.groups[0].clone();
        (dead.gid, dead.replicas[0].node) = (2, 2);
        directory.groups.push(dead);
        directory.revision += 1;
    });
    let client = connect(&[&node]).await;
    assert_eq!(client.put("k", "v").await.unwrap().gid, 1);
    let began = Instant::now();
    assert_eq!(client.put("k", "v").await.unwrap().gid, 1);
    assert!(began.elapsed() < Duration::from_secs(2), "remembered");
}

#[tokio::test]
async fn overload_is_answered_with_patience() {
    let (_world, node) = World::single().await;
    node.on(|nth, command| {
        let overloaded =
            flotilla_proto::kv_v1::Reply { retry_after_ms: 150, ..refuse(Code::Overloaded, command.gid) };
        if nth < 2 { Act::Reply(overloaded) } else { Act::Reply(ok(command)) }
    });
    let client = connect(&[&node]).await;
    let began = Instant::now();
    client.put("k", "v").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(node.seen().len(), 3);
}

#[tokio::test]
async fn stale_reads_take_any_replica() {
    let world = World::new();
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&one, &two]);
    world.give_all_to(1);
    let client = try_connect(options(&[&one])).await.unwrap();
    for _ in 0..60 {
        client.get_stale("k").await.unwrap();
    }
    assert!(!one.seen().is_empty() && !two.seen().is_empty(), "both are used");
}
