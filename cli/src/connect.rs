//! A client of the cluster that `--endpoints` names, within `--timeout`.

use std::time::{Duration, Instant};

use anyhow::Result;
use flotilla_client::{Client, ClientOptions};
use flotilla_proto::env::Environment;

use crate::args::Common;
use crate::exit;

/// What a single operation gets at least, however long connecting took.
const OPERATION_MIN: Duration = Duration::from_millis(100);
/// By how much a deadline of the client library may be missed before we say so ourselves.
const GRACE: Duration = Duration::from_secs(1);

/// A client for one operation: connecting and the operation share the deadline.
pub async fn once(common: &Common) -> Result<Client> {
    let started = Instant::now();
    let client = connect(common, ClientOptions::default()).await?;
    Ok(client.with_timeout(common.timeout.saturating_sub(started.elapsed()).max(OPERATION_MIN)))
}

/// A client for many operations, each with the whole deadline, so many at a time.
pub async fn many(common: &Common, in_flight: usize) -> Result<Client> {
    let options = ClientOptions { lanes: in_flight, max_in_flight: in_flight, ..ClientOptions::default() };
    connect(common, options).await
}

async fn connect(common: &Common, options: ClientOptions) -> Result<Client> {
    let endpoints = common.endpoints.0.clone();
    let options = ClientOptions { endpoints, timeout: common.timeout, ..options };
    let environment = Environment::real();
    let connecting = Box::pin(Client::connect(options, &environment));
    match tokio::time::timeout(common.timeout + GRACE, connecting).await {
        Ok(client) => Ok(client?),
        Err(_) => Err(exit::unreachable(format!(
            "no answer from {} within {}",
            common.endpoints.0.join(", "),
            crate::duration::shown(common.timeout)
        ))),
    }
}
