//! Redis, through the crate `redis`. One connection carries many operations at a time: the crate pipelines them.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};

use super::{Store, Trouble};

/// A connection to the server.
#[derive(Clone)]
pub struct Redis(MultiplexedConnection);

/// Connects.
pub(super) async fn open(endpoints: &[String], at: usize, limit: Duration) -> Result<Redis, String> {
    let endpoint = endpoints.get(at % endpoints.len().max(1)).ok_or("no endpoint is given")?;
    let client = Client::open(format!("redis://{endpoint}/")).map_err(|error| error.to_string())?;
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    let connecting = Box::pin(client.get_multiplexed_async_connection_with_config(&config));
    connecting.await.map(Redis).map_err(|error| error.to_string())
}

/// An answer that says no means that nothing was done; after anything else nobody knows.
fn trouble(error: RedisError) -> Trouble {
    Trouble { unknown: error.code().is_none(), message: error.to_string() }
}

impl Redis {
    async fn ask<T: FromRedisValue>(&mut self, command: Cmd) -> Result<T, Trouble> {
        command.query_async(&mut self.0).await.map_err(trouble)
    }
}

impl Store for Redis {
    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Trouble> {
        let mut set = redis::cmd("SET");
        set.arg(&key[..]).arg(&value[..]);
        self.ask(set).await
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Trouble> {
        let mut get = redis::cmd("GET");
        get.arg(&key[..]);
        self.ask::<Option<Vec<u8>>>(get).await.map(|found| found.map(Bytes::from))
    }

    async fn append(&mut self, key: Bytes, suffix: Bytes) -> Result<(), Trouble> {
        let mut append = redis::cmd("APPEND");
        append.arg(&key[..]).arg(&suffix[..]);
        self.ask(append).await
    }

    async fn scan(&mut self, _: Bytes, _: Bytes, _: usize) -> Result<Vec<(Bytes, Bytes)>, Trouble> {
        Err(Trouble { unknown: false, message: "redis has no scan in key order".to_owned() })
    }
}
