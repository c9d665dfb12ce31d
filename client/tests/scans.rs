//! Keys in order over all shards.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::sync::atomic::Ordering;

use common::{World, connect};
use flotilla_client::{Client, ScanOptions, ScanRange};
use flotilla_types::Bytes;

async fn keys(client: &Client, range: ScanRange, options: ScanOptions) -> Vec<Bytes> {
    let mut scan = client.scan(range, options);
    let mut keys = Vec::new();
    while let Some(page) = scan.next_page().await.unwrap() {
        assert!(!page.is_empty() && page.len() <= options.page, "a page of {}", page.len());
        keys.extend(page.into_iter().map(|(key, _)| key));
    }
    assert!(scan.next_page().await.unwrap().is_none(), "the end stays the end");
    keys
}

fn fill(world: &World, count: usize) -> Vec<Bytes> {
    let keys: Vec<Bytes> = (0..count).map(|n| format!("key{n:05}").into()).collect();
    world.rows.lock().extend(keys.iter().map(|key| (key.clone(), Bytes::from("value"))));
    keys
}

#[tokio::test]
async fn rows_come_in_order_whatever_the_page() {
    let (world, node) = World::single().await;
    let all = fill(&world, 1500);
    let client = connect(&[&node]).await;
    for page in [1, 7, 64, 1000, 10_000] {
        let options = ScanOptions { page, ..ScanOptions::default() };
        if page == 1 {
            let some = ScanOptions { limit: Some(40), ..options };
            assert_eq!(keys(&client, ScanRange::All, some).await, all[..40]);
        } else {
            assert_eq!(keys(&client, ScanRange::All, options).await, all, "pages of {page}");
        }
    }
}

#[tokio::test]
async fn ranges_prefixes_and_limits() {
    let (world, node) = World::single().await;
    let all = fill(&world, 300);
    let client = connect(&[&node]).await;
    let options = ScanOptions { page: 10, ..ScanOptions::default() };
    let range = ScanRange::Range { start: "key00017".into(), end: "key00123".into() };
    assert_eq!(keys(&client, range, options).await, all[17..123]);
    let open = ScanRange::Range { start: "key00290".into(), end: Bytes::new() };
    assert_eq!(keys(&client, open, options).await, all[290..]);
    assert_eq!(keys(&client, ScanRange::Prefix("key001".into()), options).await, all[100..200]);
    assert!(keys(&client, ScanRange::Prefix("other".into()), options).await.is_empty());
    for limit in [0, 1, 10, 11, 299, 300, 301] {
        let limited = ScanOptions { limit: Some(limit), ..options };
        assert_eq!(keys(&client, ScanRange::All, limited).await, all[..limit.min(300)]);
    }
}

#[tokio::test]
async fn keys_only_leaves_the_values_out() {
    let (world, node) = World::single().await;
    fill(&world, 5);
    let client = connect(&[&node]).await;
    let mut scan = client.scan(ScanRange::All, ScanOptions { keys_only: true, ..ScanOptions::default() });
    let page = scan.next_page().await.unwrap().unwrap();
    assert!(page.iter().all(|(_, row)| row.value.is_empty() && row.version == 1 && row.gid == 1));
}

#[tokio::test]
async fn a_small_limit_reads_little() {
    let (world, node) = World::single().await;
    fill(&world, 3000);
    let client = connect(&[&node]).await;
    let options = ScanOptions { limit: Some(5), ..ScanOptions::default() };
    assert_eq!(keys(&client, ScanRange::All, options).await.len(), 5);
    assert_eq!(node.state.scans.load(Ordering::SeqCst), common::SHARDS as usize, "each shard once");
}

#[tokio::test]
async fn an_error_loses_no_row() {
    let (world, node) = World::single().await;
    let all = fill(&world, 500);
    let client = connect(&[&node]).await.with_timeout(std::time::Duration::from_millis(200));
    let mut scan = client.scan(ScanRange::All, ScanOptions { page: 120, ..ScanOptions::default() });
    let mut got = Vec::new();
    let mut errors = 0;
    for turn in 0.. {
        node.state.refuses_scans.store(turn % 2 == 1, Ordering::SeqCst);
        match scan.next_page().await {
            Ok(Some(page)) => got.extend(page.into_iter().map(|(key, _)| key)),
            Ok(None) => break,
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 0, "a fault that did not fire proves nothing");
    assert_eq!(got, all);
}
