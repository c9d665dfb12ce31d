//! Endpoints that are not what they should be.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::time::{Duration, Instant};

use common::{World, closed_port, options, try_connect};
use flotilla_client::{ClientError, ClientOptions, Kind};
use flotilla_types::ClusterId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Listens, and answers whatever comes with these bytes.
async fn talker(says: &'static [u8]) -> String {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                while stream.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {
                    if stream.write_all(says).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn refused(endpoint: &str) -> ClientError {
    let options = ClientOptions::new([endpoint]).timeout(Duration::from_millis(1500));
    let began = Instant::now();
    let error = try_connect(options).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3), "the deadline holds: {:?}", began.elapsed());
    assert!(error.to_string().contains(endpoint), "names the endpoint: {error}");
    assert!(!error.is_indeterminate());
    error
}

#[tokio::test]
async fn a_closed_port() {
    let error = refused(&closed_port().await).await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_web_server() {
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let error = refused(&talker(answer).await).await;
    assert_eq!(error.kind(), Kind::NotFlotilla, "{error}");
}

#[tokio::test]
async fn garbage() {
    let error = refused(&talker(b"\xff\xfe\x00 -ERR unknown command\r\n").await).await;
    assert_eq!(error.kind(), Kind::NotFlotilla, "{error}");
}

#[tokio::test]
async fn silence() {
    let error = refused(&talker(b"").await).await;
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
}

#[tokio::test]
async fn another_grpc_server() {
    let env = flotilla_proto::env::Environment::real();
    let listener = env.network.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address().to_string();
    let stop = env.spawner.token().clone();
    tokio::spawn(listener.serve(tonic::service::Routes::default(), stop));
    let error = refused(&address).await;
    assert_eq!(error.kind(), Kind::NotFlotilla, "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let error = refused("no-such-host.invalid:7101").await;
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
}

#[tokio::test]
async fn one_good_endpoint_is_enough() {
    let (_world, node) = World::single().await;
    let bad = [closed_port().await, talker(b"").await, talker(b"HTTP/1.1 404 Not Found\r\n\r\n").await];
    let endpoints = bad.into_iter().chain([node.address.clone()]);
    let client = try_connect(ClientOptions::new(endpoints)).await.unwrap();
    client.put("k", "v").await.unwrap();
}

#[tokio::test]
async fn another_cluster() {
    let world = World::of(ClusterId(0xbad));
    let node = world.start(1).await;
    let error = try_connect(options(&[&node]).cluster(ClusterId(1))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WrongCluster);
    assert!(error.to_string().contains(&node.address), "{error}");
}

#[tokio::test]
async fn a_node_that_now_belongs_to_another_cluster() {
    let (world, node) = World::single().await;
    let other = World::of(ClusterId(0xbad)).start(9).await;
    // Its port went to somebody else.
    world.facts.send_modify(|(_, directory)| directory.nodes[0].address = other.address.clone());
    let client = try_connect(options(&[&node])).await.unwrap();
    let error = client.put("k", "v").await.unwrap_err();
    assert_eq!(error.kind(), Kind::WrongCluster, "{error}");
    assert!(other.seen().is_empty(), "nothing was done there");
}

#[tokio::test]
async fn a_cluster_that_is_not_born_yet() {
    let world = World::new();
    let node = world.start(1).await;
    let born = world.facts.borrow().clone();
    world.facts.send_modify(|(_, directory)| directory.cluster.clear());
    let error = try_connect(options(&[&node]).timeout(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("its controller has not started"), "{error}");
    let connecting = tokio::spawn(try_connect(options(&[&node])));
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.facts.send_replace(born);
    connecting.await.unwrap().unwrap();
}
