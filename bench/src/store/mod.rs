//! What is measured, seen from a client: the few calls that all targets have, through their own client libraries.

mod etcd;
mod flotilla;
mod redis;

use std::time::Duration;

use bytes::Bytes;

use crate::error::BenchError;
use crate::target::Target;

/// One operation may take no longer, everywhere: the witness remembers replaced values for longer than that.
pub const OPERATION_MAX: Duration = Duration::from_secs(10);

/// A connection to what is measured; clones share it.
pub trait Store: Clone + Send + 'static {
    /// Stores a whole value.
    fn put(&mut self, key: Bytes, value: Bytes) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Reads a value, linearizably.
    fn get(&mut self, key: Bytes) -> impl Future<Output = Result<Option<Bytes>, Trouble>> + Send;
    /// Adds to the end of a value.
    fn append(&mut self, key: Bytes, suffix: Bytes) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Reads the first `rows` keys from `start` up to but without `end`, in key order.
    fn scan(
        &mut self,
        start: Bytes,
        end: Bytes,
        rows: usize,
    ) -> impl Future<Output = Result<Vec<(Bytes, Bytes)>, Trouble>> + Send;
}

/// An operation that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Whether it may have been done nevertheless.
    pub unknown: bool,
    /// What the client library says.
    pub message: String,
}

/// A connection to any target.
#[derive(Clone)]
pub enum AnyStore {
    /// To a Flotilla cluster.
    Flotilla(flotilla::Flotilla),
    /// To an etcd cluster.
    Etcd(etcd::Etcd),
    /// To a Redis server.
    Redis(redis::Redis),
}

impl AnyStore {
    /// Opens one connection for so many clients; `at` says which of several it is. Opening it and each operation may take `limit`,
    /// operations `OPERATION_MAX` at most.
    pub async fn open(
        target: Target,
        endpoints: &[String],
        at: usize,
        clients: usize,
        limit: Duration,
    ) -> Result<Self, BenchError> {
        let each = limit.min(OPERATION_MAX);
        let opening = async {
            match target {
                Target::Flotilla => flotilla::open(endpoints, clients, each).await.map(Self::Flotilla),
                Target::Etcd => etcd::open(endpoints, each).await.map(Self::Etcd),
                Target::Redis => redis::open(endpoints, at, each).await.map(Self::Redis),
            }
        };
        let opened = tokio::time::timeout(limit, Box::pin(opening)).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
        let endpoints = endpoints.join(",");
        opened.map_err(|why| BenchError::Connect { target: target.name(), endpoints, why })
    }
}

macro_rules! each {
    ($store:expr, $inner:ident => $call:expr) => {
        match $store {
            AnyStore::Flotilla($inner) => $call.await,
            AnyStore::Etcd($inner) => $call.await,
            AnyStore::Redis($inner) => $call.await,
        }
    };
}

impl Store for AnyStore {
    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Trouble> {
        each!(self, store => store.put(key, value))
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Trouble> {
        each!(self, store => store.get(key))
    }

    async fn append(&mut self, key: Bytes, suffix: Bytes) -> Result<(), Trouble> {
        each!(self, store => store.append(key, suffix))
    }

    async fn scan(&mut self, start: Bytes, end: Bytes, rows: usize) -> Result<Vec<(Bytes, Bytes)>, Trouble> {
        each!(self, store => store.scan(start, end, rows))
    }
}
