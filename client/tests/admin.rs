//! The controller: leaders, exactly once, refusals, locks; and the status of all nodes.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::time::Duration;

use common::{World, closed_port, connect};
use flotilla_client::Kind;
use flotilla_proto::ctrl_v1::{AdminResponse, Code, Leader, NewGroup, Response};
use flotilla_types::{GroupId, ShardId};
use tonic::Status;

fn done(config: u64) -> AdminResponse {
    AdminResponse { leader: None, response: Some(Response { config, token: 4, ..Response::default() }) }
}

fn refused(code: Code, message: &str) -> AdminResponse {
    let response = Response { code: code.into(), message: message.to_owned(), ..Response::default() };
    AdminResponse { leader: None, response: Some(response) }
}

#[tokio::test]
async fn a_change_goes_to_the_leader_under_one_id() {
    let world = World::new();
    let (follower, leader) = (world.start(1).await, world.start(2).await);
    let address = leader.address.clone();
    follower.on_admin(move |_, _| {
        let leader = Leader { node: 2, address: address.clone(), controllers: Vec::new() };
        Ok(AdminResponse { leader: Some(leader), response: None })
    });
    leader.on_admin(|nth, _| if nth < 2 { Err(Status::unavailable("cut")) } else { Ok(done(3)) });
    let client = connect(&[&follower]).await;
    let joined = client.admin().join(vec![NewGroup { gid: 1, nodes: vec![1, 2] }]).await.unwrap();
    assert_eq!(joined.config, 3);
    let ids = leader.state.request_ids.lock().clone();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0] && *id != 0));
    client.admin().leave([GroupId(1)]).await.unwrap();
    assert_ne!(leader.state.request_ids.lock()[3], ids[0], "another change, another id");
}

#[tokio::test]
async fn a_refusal_says_why() {
    let (_world, node) = World::single().await;
    node.on_admin(|_, _| Ok(refused(Code::NotFound, "shard 99 does not exist: there are 0 to 7")));
    let client = connect(&[&node]).await;
    let error = client.admin().move_shard(ShardId(99), GroupId(1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Admin(Code::NotFound));
    assert_eq!(error.to_string(), "shard 99 does not exist: there are 0 to 7");
}

#[tokio::test]
async fn a_lost_change_is_unknown() {
    let (_world, node) = World::single().await;
    node.on_admin(|_, _| Err(Status::unavailable("cut")));
    let admin = connect(&[&node]).await.with_timeout(Duration::from_millis(200)).admin();
    assert!(admin.leave([GroupId(1)]).await.unwrap_err().is_indeterminate());
}

#[tokio::test]
async fn what_the_node_did_not_take_is_definite() {
    let (_world, node) = World::single().await;
    node.on_admin(|_, _| Err(Status::resource_exhausted("too much is waiting")));
    let admin = connect(&[&node]).await.with_timeout(Duration::from_millis(200)).admin();
    let busy = admin.leave([GroupId(1)]).await.unwrap_err();
    assert!(!busy.is_indeterminate() && busy.is_retryable(), "{busy}");
    node.on_admin(|_, _| Err(Status::invalid_argument("the request has no body")));
    let malformed = admin.leave([GroupId(1)]).await.unwrap_err();
    assert_eq!(malformed.kind(), Kind::Admin(Code::Invalid));
}

#[tokio::test]
async fn no_leader_is_waited_for() {
    let (_world, node) = World::single().await;
    node.on_admin(|nth, _| {
        let unknown = AdminResponse { leader: Some(Leader::default()), response: None };
        Ok(if nth < 5 { unknown } else { done(2) })
    });
    let client = connect(&[&node]).await;
    client.admin().leave([GroupId(1)]).await.unwrap();
    node.on_admin(|_, _| Ok(AdminResponse { leader: Some(Leader::default()), response: None }));
    let admin = client.with_timeout(Duration::from_millis(200)).admin();
    let error = admin.leave([GroupId(1)]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.to_string().contains("no leader"), "{error}");
}

#[tokio::test]
async fn a_held_lock_is_waited_for() {
    let (_world, node) = World::single().await;
    node.on_admin(|nth, _| Ok(if nth < 3 { refused(Code::Refused, "held by b") } else { done(1) }));
    let admin = connect(&[&node]).await.admin();
    let second = Duration::from_secs(1);
    assert_eq!(admin.lock("l", "a", second, second).await.unwrap().token, 4);
    node.on_admin(|_, _| Ok(refused(Code::Refused, "held by b")));
    let error = admin.lock("l", "a", second, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Admin(Code::Refused));
    node.on_admin(|_, _| Ok(done(1)));
    admin.unlock("l", 4).await.unwrap();
}

#[tokio::test]
async fn configurations_by_number() {
    let (world, node) = World::single().await;
    world.give_all_to(1);
    let admin = connect(&[&node]).await.admin();
    assert_eq!(admin.query(None).await.unwrap().config.unwrap().num, 2);
    assert_eq!(admin.query(Some(1)).await.unwrap().config.unwrap().num, 1);
    let beyond = admin.query(Some(9)).await.unwrap();
    assert_eq!((beyond.config, beyond.latest), (None, 2));
    assert_eq!(admin.directory().await.unwrap().nodes.len(), 1);
}

#[tokio::test]
async fn every_node_is_asked_for_its_status() {
    let (world, node) = World::single().await;
    let dead = closed_port().await;
    world.node(2, &dead);
    let client = connect(&[&node]).await;
    let status = client.status().await;
    assert_eq!(status.cluster, common::CLUSTER);
    assert_eq!(status.nodes.len(), 2);
    assert_eq!(status.nodes[0].answer.as_ref().unwrap().version, "fake");
    let failure = status.nodes[1].answer.as_ref().unwrap_err();
    assert!(failure.to_string().contains(&dead), "{failure}");
    let digests = client.digests(1).await;
    assert_eq!((digests[0].node, digests[0].answer.as_ref().unwrap().digest), (1, 4));
}
