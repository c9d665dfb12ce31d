//! Rows of a cluster as a whole: written many at a time, read back by scan, compared.

use bytes::Bytes;
use flotilla_client::{Client, ScanOptions, ScanRange};
use futures::{StreamExt, stream};

use crate::words::Rows;

/// How many writes are under way at a time.
const IN_FLIGHT: usize = 256;

/// So many rows with keys that begin with `prefix`, spread over all shards; values of `bytes` bytes.
pub fn rows(prefix: &str, count: usize, bytes: usize) -> Rows {
    let value = |at: usize| {
        let mut value = format!("{prefix}{at}:").into_bytes();
        value.resize(value.len().max(bytes), b'.');
        value
    };
    (0..count).map(|at| (format!("{prefix}{at:06}").into_bytes(), value(at))).collect()
}

/// Writes all rows; each must be acknowledged.
pub async fn put_all(client: &Client, rows: &Rows) {
    let puts = rows.iter().map(async |(key, value)| {
        let done = client.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)).await;
        done.map(drop).map_err(|error| format!("put {:?}: {error}", String::from_utf8_lossy(key)))
    });
    let mut puts = stream::iter(puts).buffer_unordered(IN_FLIGHT);
    while let Some(done) = puts.next().await {
        done.unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Reads every row by its key; each must be there with its value.
pub async fn get_all(client: &Client, rows: &Rows) {
    let gets = rows.iter().map(async |(key, value)| {
        let shown = String::from_utf8_lossy(key);
        match client.get(Bytes::copy_from_slice(key)).await {
            Ok(Some(found)) if found.value == value[..] => Ok(()),
            Ok(Some(found)) => Err(format!("{shown:?} is {:?}", found.value)),
            Ok(None) => Err(format!("{shown:?} is not there")),
            Err(error) => Err(format!("get {shown:?}: {error}")),
        }
    });
    let mut gets = stream::iter(gets).buffer_unordered(IN_FLIGHT);
    while let Some(done) = gets.next().await {
        done.unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Reads every row with this prefix, by scan; keys come in order, each once.
pub async fn scan_all(client: &Client, prefix: &str) -> Rows {
    let range = ScanRange::Prefix(Bytes::copy_from_slice(prefix.as_bytes()));
    let mut scan = client.scan(range, ScanOptions { page: 5000, ..ScanOptions::default() });
    let mut rows = Rows::new();
    while let Some(page) = scan.next_page().await.unwrap_or_else(|error| panic!("scan: {error}")) {
        for (key, found) in page {
            let after = rows.last_key_value().is_none_or(|(last, _)| last[..] < key[..]);
            assert!(after, "{key:?} comes out of order, or twice");
            rows.insert(key.to_vec(), found.value.to_vec());
        }
    }
    rows
}

/// The rows with this prefix are exactly these.
pub async fn assert_scan(client: &Client, prefix: &str, wanted: &Rows) {
    let found = scan_all(client, prefix).await;
    let missing = wanted.iter().find(|(key, value)| found.get(*key) != Some(value));
    let foreign = found.keys().find(|key| !wanted.contains_key(*key));
    let shown = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
    assert!(
        missing.is_none() && foreign.is_none(),
        "{} rows instead of {}: missing or different: {:?}, foreign: {:?}",
        found.len(),
        wanted.len(),
        missing.map(|(key, _)| shown(key)),
        foreign.map(shown)
    );
}
