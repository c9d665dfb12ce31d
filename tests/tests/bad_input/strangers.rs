//! Endpoints that are no Flotilla node, another cluster's, or dead; and a controller that is.

use std::time::{Duration, Instant};

use flotilla_client::{Client, ClientOptions, Kind};
use flotilla_proto::ctrl_v1::QueryRequest;
use flotilla_proto::env::Environment;
use flotilla_tests::cluster::{Cluster, binary, ports};
use flotilla_types::ClusterId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::Request;

/// Listens and answers every connection with these bytes; with none, says nothing for ever.
async fn stranger(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                if says.is_empty() {
                    while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {}
                } else {
                    let _ = stream.read(&mut heard).await;
                    let _ = stream.write_all(says).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_no_flotilla_node() {
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let mute = stranger(b"").await;
    let dead = format!("127.0.0.1:{}", ports::free());
    for endpoint in [&web, &mute, &dead] {
        for command in
            [&["get", "k"][..], &["put", "k", "v"], &["ctl", "query"], &["ctl", "leave", "1"], &["status"]]
        {
            let began = Instant::now();
            let mut line = vec!["--endpoints", endpoint, "--timeout", "1s"];
            line.extend(command);
            binary::run(&line).await.expect(3, &[endpoint]);
            assert!(began.elapsed() < Duration::from_secs(6), "{line:?} took {:?}", began.elapsed());
        }
    }
    binary::run(&["--endpoints", "nonsense", "get", "k"]).await.expect(2, &["nonsense"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_cluster() {
    let cluster = Cluster::builder().shards(4).start().await;
    let mut request = Request::new(QueryRequest::default());
    let other = "0123456789abcdef0123456789abcdef";
    request.metadata_mut().insert("flotilla-cluster-id", other.parse().expect("text"));
    let status = cluster.ctrl(1).query(request).await.expect_err("another cluster's");
    assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status}");
    assert!(
        status.message().contains(other) && status.message().contains(&cluster.node(1).plan().cluster),
        "{status}"
    );

    let other: ClusterId = other.parse().expect("an id");
    let options = ClientOptions::new(cluster.endpoints()).cluster(other).timeout(Duration::from_secs(3));
    let refused = Box::pin(Client::connect(options, &Environment::real()))
        .await
        .map(drop)
        .expect_err("another cluster");
    assert_eq!(refused.kind(), Kind::WrongCluster, "{refused}");
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctl_against_a_dead_controller() {
    let cluster = Cluster::builder().nodes(6).shards(4).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, &[4, 5, 6])]).await;
    client.put("kept", "x").await.unwrap();
    // A majority of the controller is gone: it cannot answer, and must not.
    cluster.kill9(&[1, 2]);
    for command in [&["ctl", "query"][..], &["ctl", "join", "2=4"], &["ctl", "move", "0", "1"]] {
        let began = Instant::now();
        cluster.flotilla_within("2s", command).await.expect(3, &[]);
        assert!(began.elapsed() < Duration::from_secs(8), "{command:?} took {:?}", began.elapsed());
    }
    // The data plane goes on: for those who know the way, and for newcomers.
    client.put("kept", "y").await.unwrap();
    cluster.flotilla(&["get", "kept"]).await.expect(0, &["y"]);
    cluster.flotilla(&["status"]).await.expect(1, &["controller"]);
    cluster.restart(&[1, 2]);
    let shown = cluster.flotilla(&["--json", "ctl", "query"]).await.expect(0, &[]).json();
    // What was sent to a dead controller is of unknown outcome; it never arrived here, or it did as a whole.
    assert!(shown["num"].as_u64().is_some_and(|num| num <= 2), "{shown}");
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}
