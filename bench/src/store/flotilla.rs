//! Flotilla, through its client library.

use std::time::Duration;

use bytes::Bytes;
use flotilla_client::{Client, ClientError, ClientOptions, LANES_MAX, ScanOptions, ScanRange};
use flotilla_proto::env::Environment;

use super::{Store, Trouble};

/// A client library's handle: one connection to each node.
#[derive(Clone)]
pub struct Flotilla(Client);

/// Connects, with a lane for each client.
pub(super) async fn open(endpoints: &[String], clients: usize, limit: Duration) -> Result<Flotilla, String> {
    let lanes = clients.clamp(1, LANES_MAX);
    let options = ClientOptions::new(endpoints.iter().cloned())
        .timeout(limit)
        .lanes(lanes)
        // The watcher's final reads come on top.
        .max_in_flight(lanes.max(64));
    let environment = Environment::real();
    let connecting = Box::pin(Client::connect(options, &environment));
    connecting.await.map(Flotilla).map_err(|error| error.to_string())
}

fn trouble(error: ClientError) -> Trouble {
    Trouble { unknown: error.is_indeterminate(), message: error.to_string() }
}

impl Store for Flotilla {
    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Trouble> {
        self.0.put(key, value).await.map(drop).map_err(trouble)
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Trouble> {
        self.0.get(key).await.map(|found| found.map(|found| found.value)).map_err(trouble)
    }

    async fn append(&mut self, key: Bytes, suffix: Bytes) -> Result<(), Trouble> {
        self.0.append(key, suffix).await.map(drop).map_err(trouble)
    }

    async fn scan(&mut self, start: Bytes, end: Bytes, rows: usize) -> Result<Vec<(Bytes, Bytes)>, Trouble> {
        let options = ScanOptions { page: rows, limit: Some(rows), ..ScanOptions::default() };
        let mut scan = self.0.scan(ScanRange::Range { start, end }, options);
        let mut found = Vec::with_capacity(rows);
        while let Some(page) = scan.next_page().await.map_err(trouble)? {
            found.extend(page.into_iter().map(|(key, value)| (key, value.value)));
        }
        Ok(found)
    }
}
