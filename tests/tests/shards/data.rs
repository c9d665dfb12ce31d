//! B12 and B13: any bytes, and sizes up to the limits and past them.

use bytes::Bytes;
use flotilla_client::{ClientError, Kind};
use flotilla_proto::kv_v1::Code;
use flotilla_tests::cluster::Cluster;
use flotilla_tests::raw::{put, write_id};
use flotilla_tests::rows::{get_all, put_all};
use flotilla_tests::words::{Rows, awkward};
use flotilla_types::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use tokio::task::JoinSet;

use crate::NEAR;

#[tokio::test(flavor = "multi_thread")]
async fn b12_any_bytes() {
    let cluster = Cluster::builder().shards(16).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR), (2, NEAR)]).await;
    let rows = awkward();
    put_all(&client, &rows).await;
    get_all(&client, &rows).await;
    // Through moves, a scan and a restart as well.
    cluster.join(&client, &[(3, NEAR)]).await;
    cluster.kill9(NEAR);
    cluster.restart(NEAR);
    get_all(&client, &rows).await;
    let found: Rows = flotilla_tests::rows::scan_all(&client, "").await;
    assert!(found == rows, "{} rows by scan instead of {}", found.len(), rows.len());
    cluster.wait_settled(&client).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b13_many_clients_with_large_values() {
    const CLIENTS: usize = 64;
    let cluster = Cluster::builder().shards(8).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    let term = cluster.view().await.leader(1).map(|seen| seen.replica.term);
    let mut puts = JoinSet::new();
    for at in 0..CLIENTS {
        let client = cluster.client().await;
        puts.spawn(async move {
            let value = Bytes::from(vec![at as u8; 1_000_000]);
            client.put(format!("large-{at}"), value).await.map(drop)
        });
    }
    for done in puts.join_all().await {
        done.unwrap_or_else(|error| panic!("a large put: {error}"));
    }
    for at in 0..CLIENTS {
        let found = client.get(format!("large-{at}")).await.unwrap().expect("it was put");
        assert!(
            found.value.len() == 1_000_000 && found.value.iter().all(|byte| *byte == at as u8),
            "large-{at}"
        );
    }
    println!(
        "leader's term before and after: {term:?}, {:?}",
        cluster.view().await.leader(1).map(|s| s.replica.term)
    );
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b13_what_is_too_large_is_refused_by_name_and_limit() {
    let cluster = Cluster::builder().shards(1).start().await;
    let client = cluster.client().await;
    cluster.join(&client, &[(1, NEAR)]).await;
    let key = |bytes: usize| Bytes::from(vec![b'k'; bytes]);
    let value = |bytes: usize| Bytes::from(vec![b'v'; bytes]);
    client.put(key(KEY_BYTES_MAX), value(VALUE_BYTES_MAX)).await.expect("exactly at both limits");
    let found = client.get(key(KEY_BYTES_MAX)).await.unwrap().expect("it was put");
    assert_eq!(found.value.len(), VALUE_BYTES_MAX);

    // Straight to a node, whatever the library thinks of it.
    let long_key = put(write_id(1, 1), key(KEY_BYTES_MAX + 1), "x");
    let long_value = put(write_id(2, 1), "key", value(VALUE_BYTES_MAX + 1));
    for (command, what, limit) in [(long_key, "key", KEY_BYTES_MAX), (long_value, "value", VALUE_BYTES_MAX)] {
        let reply = cluster.command(&[1], &command).await;
        assert_eq!(reply.code(), Code::TooLarge, "{reply:?}");
        assert!(
            reply.message.contains(what) && reply.message.contains(&limit.to_string()),
            "{}",
            reply.message
        );
    }
    // An append may not grow a value past the limit.
    let grown = client.append(key(KEY_BYTES_MAX), "x").await.expect_err("the value is full");
    assert_eq!(grown.kind(), Kind::Refused(Code::TooLarge), "{grown}");

    // And through the library.
    for error in [
        client.put(key(KEY_BYTES_MAX + 1), "x").await.expect_err("a long key"),
        client.put("key", value(VALUE_BYTES_MAX + 1)).await.expect_err("a long value"),
        client.batch(too_many()).await.expect_err("a long batch"),
    ] {
        let clear =
            matches!(error, ClientError::Invalid(_) | ClientError::Refused { code: Code::TooLarge, .. });
        let limits = [KEY_BYTES_MAX, VALUE_BYTES_MAX, BATCH_OPS_MAX].map(|limit| limit.to_string());
        let named = limits.iter().any(|limit| error.to_string().contains(limit));
        assert!(clear && named, "{error}");
    }
    assert_eq!(client.get("key").await.unwrap(), None, "a refusal writes nothing");
    cluster.finish().await;
}

fn too_many() -> flotilla_client::Batch {
    (0..=BATCH_OPS_MAX).fold(flotilla_client::Batch::new(), |batch, _| batch.put("key", "x"))
}
