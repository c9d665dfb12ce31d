//! What a write promises: one id for all its attempts, and an honest word on its outcome.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::time::Duration;

use common::{Act, TIME_MS, World, closed_port, connect, hinted, now_ms, ok, options, refuse, try_connect};
use flotilla_client::{Batch, BatchResult, Cas, ClientError, Expected, Kind, OpResult};
use flotilla_proto::env::{Clock, Environment};
use flotilla_proto::kv_v1::{Code, CommandRequest, Hint, Reply, WriteId};
use flotilla_types::Bytes;

fn ids(seen: &[CommandRequest]) -> Vec<WriteId> {
    seen.iter().map(|command| command.id.expect("a write has an id")).collect()
}

#[tokio::test]
async fn every_attempt_carries_the_same_id() {
    let (_world, node) = World::single().await;
    node.on(|nth, command| match nth {
        0 | 2 => Act::Cut,
        1 => Act::Reply(refuse(Code::NotReady, 1)),
        3 => Act::Reply(refuse(Code::Timeout, 1)),
        _ => Act::Reply(ok(command)),
    });
    let client = connect(&[&node]).await;
    client.append("k", "v").await.unwrap();
    let first = ids(&node.seen());
    assert_eq!(first.len(), 5);
    assert!(first.iter().all(|id| *id == first[0] && id.seq == 1), "{first:?}");
    client.append("k", "v").await.unwrap();
    let second = *ids(&node.seen()).last().unwrap();
    assert_eq!((second.client, second.lane, second.seq), (first[0].client, first[0].lane, 2));
}

#[tokio::test]
async fn a_write_that_is_lost_until_the_deadline_is_unknown() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Cut);
    let client = connect(&[&node]).await.with_timeout(Duration::from_millis(300));
    let error = client.put("k", "v").await.unwrap_err();
    assert!(error.is_indeterminate() && !error.is_retryable(), "{error}");
    let read = client.get("k").await.unwrap_err();
    assert!(!read.is_indeterminate(), "a read changes nothing: {read}");
    // The lane goes on above the lost write.
    node.on(|_, command| Act::Reply(ok(command)));
    client.put("k", "w").await.unwrap();
    assert_eq!(node.seen().last().unwrap().id.unwrap().seq, 2);
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Never);
    let client = connect(&[&node]).await.with_timeout(Duration::from_millis(200));
    assert!(client.put("k", "v").await.unwrap_err().is_indeterminate());
}

#[tokio::test]
async fn a_refusal_is_definite_only_if_nothing_was_lost_before() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Reply(refuse(Code::ReadOnly, 1)));
    let client = connect(&[&node]).await;
    let refused = client.put("k", "v").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused(Code::ReadOnly));
    assert!(!refused.is_indeterminate() && refused.is_retryable());
    for code in [Code::ReadOnly, Code::SessionExpired, Code::TooLarge] {
        let asked = node.seen().len();
        node.on(move |nth, _| if nth == asked { Act::Cut } else { Act::Reply(refuse(code, 1)) });
        let error = client.put("k", "v").await.unwrap_err();
        assert!(error.is_indeterminate(), "{code:?} after a lost attempt: {error}");
        assert!(error.to_string().contains("the test says"), "the reason is told: {error}");
    }
}

#[tokio::test]
async fn a_write_that_never_left_is_not_done() {
    let world = World::new();
    let node = world.start(1).await;
    world.node(2, &closed_port().await);
    world.group(1, &[&node]);
    world.give_all_to(1);
    world.facts.send_modify(|(_, directory)| {
        directory.groups[0].replicas[0].node = 2;
        directory.revision += 1;
    });
    let client = connect(&[&node]).await.with_timeout(Duration::from_millis(300));
    let error = client.put("k", "v").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_wrong_clock_is_put_right_by_the_first_refusal() {
    struct Broken;
    impl Clock for Broken {
        fn now_ms(&self) -> u64 {
            1_000
        }
    }
    let (_world, node) = World::single().await;
    node.on(|_, command| {
        let issued_at_ms = command.id.map_or(0, |id| id.issued_at_ms);
        let code = if issued_at_ms + 60_000 < TIME_MS { Code::SessionExpired } else { Code::Ok };
        let message = "too old".to_owned();
        Act::Reply(Reply { code: code.into(), message, gid: 1, time_ms: TIME_MS, ..Reply::default() })
    });
    let env = Environment { clock: std::sync::Arc::new(Broken), ..Environment::real() };
    let client = flotilla_client::Client::connect(options(&[&node]), &env).await.unwrap();
    client.put("k", "v").await.unwrap();
    client.put("k", "v").await.unwrap();
    let seqs: Vec<u64> = ids(&node.seen()).iter().map(|id| id.seq).collect();
    assert_eq!(seqs, [1, 2, 3], "refused, anew under another id, and then right at once");
}

#[tokio::test]
async fn a_session_that_expired_for_other_reasons_is_told() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Reply(Reply { time_ms: now_ms(), ..refuse(Code::SessionExpired, 1) }));
    let client = connect(&[&node]).await;
    let error = client.put("k", "v").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused(Code::SessionExpired));
    assert_eq!(node.seen().len(), 1);
}

#[tokio::test]
async fn outcomes_are_told_apart() {
    let (_world, node) = World::single().await;
    node.on(|_, _| Act::Reply(Reply { version: 9, gid: 1, ..Reply::refused(Code::NoKey, "") }));
    let client = connect(&[&node]).await;
    assert_eq!(client.get("k").await.unwrap(), None);
    assert_eq!(client.delete("k").await.unwrap(), None);
    let read = client.read("k").await.unwrap();
    assert_eq!((read.value, read.version, read.gid), (None, 9, 1), "the shard's counter");
    node.on(|_, _| Act::Reply(Reply { version: 5, ..Reply::refused(Code::CompareFailed, "") }));
    let cas = client.compare_and_set("k", Expected::Absent, Some("v".into())).await.unwrap();
    assert_eq!(cas, Cas::Failed { version: 5 });
    node.on(|_, command| Act::Reply(Reply { value: Some(Bytes::new()), ..ok(command) }));
    assert_eq!(client.get("k").await.unwrap().unwrap().value, "", "empty is not absent");
    assert_eq!(client.put("k", "v").await.unwrap().version, 7);
}

#[tokio::test]
async fn a_batch_tells_what_became_of_each_operation() {
    let (_world, node) = World::single().await;
    let batch = || Batch::new().put("{a}1", "x").delete("{a}2").get("{a}3");
    node.on(|_, command| {
        let one = |code: Code, version| Reply { code: code.into(), version, ..Reply::default() };
        let batch = vec![one(Code::Ok, 3), one(Code::NoKey, 3), one(Code::NoKey, 3)];
        Act::Reply(Reply { batch, version: 3, ..ok(command) })
    });
    let client = connect(&[&node]).await;
    let BatchResult::Done { results, written } = client.batch(batch()).await.unwrap() else { panic!() };
    assert_eq!(results, [OpResult::Written(written), OpResult::NoKey, OpResult::Read(None)]);
    node.on(|_, _| {
        let batch = [Code::Ok, Code::CompareFailed].map(|code| Reply {
            code: code.into(),
            version: 4,
            ..Reply::default()
        });
        Act::Reply(Reply { batch: batch.to_vec(), ..refuse(Code::CompareFailed, 1) })
    });
    assert_eq!(client.batch(batch()).await.unwrap(), BatchResult::Failed { index: 1, version: 4 });
}

#[tokio::test]
async fn what_cannot_be_valid_is_not_sent() {
    let (_world, node) = World::single().await;
    let client = connect(&[&node]).await;
    let long = vec![b'k'; 4097];
    let huge = vec![0; 8 * 1024 * 1024 + 1];
    let errors = [
        client.put("", "v").await.unwrap_err(),
        client.put(long, "v").await.unwrap_err(),
        client.append("k", huge).await.unwrap_err(),
        client.batch(Batch::new()).await.unwrap_err(),
        client.batch(Batch::new().put("a", "x").put("b", "y")).await.unwrap_err(),
        client.put_with_ttl("k", "v", Duration::ZERO).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ClientError::Invalid(_)), "{error}");
    }
    assert!(node.seen().is_empty());
}

#[tokio::test]
async fn the_largest_value_passes_both_ways() {
    let (_world, node) = World::single().await;
    node.on(|_, command| Act::Reply(Reply { value: Some(vec![1; 8 * 1024 * 1024].into()), ..ok(command) }));
    let client = connect(&[&node]).await;
    client.put("k", vec![1; 8 * 1024 * 1024]).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().unwrap().value.len(), 8 * 1024 * 1024);
}

#[tokio::test]
async fn a_timeout_without_end_is_a_long_one() {
    let (_world, node) = World::single().await;
    let client = connect(&[&node]).await.with_timeout(Duration::MAX);
    client.put("k", "v").await.unwrap();
    client.digests(1).await;
}

#[tokio::test]
async fn a_wrong_leader_after_a_lost_attempt_is_followed_under_the_same_id() {
    let world = World::new();
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.group(1, &[&one]);
    world.group(2, &[&two]);
    world.give_all_to(1);
    one.on(|nth, _| match nth {
        0 => Act::Cut,
        _ => Act::Reply(hinted(Code::WrongGroup, 1, Hint { gid: 2, ..Hint::default() })),
    });
    let client = try_connect(options(&[&one])).await.unwrap();
    assert_eq!(client.append("k", "v").await.unwrap().gid, 2);
    assert_eq!(ids(&one.seen())[0], ids(&two.seen())[0]);
}
