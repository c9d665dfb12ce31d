//! The client.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{Directory, ShardConfig};
use flotilla_proto::env::Environment;
use flotilla_proto::kv_v1::op::Kind;
use flotilla_proto::kv_v1::{self as kv, Code, Consistency, Op, Reply};
use flotilla_types::{Bytes, ClusterId, ShardId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::admin::Admin;
use crate::batch::{self, Batch, BatchResult};
use crate::check;
use crate::clock::SessionClock;
use crate::command::Command;
use crate::controller;
use crate::drive::drive;
use crate::error::{ClientError, Kind as ErrorKind};
use crate::lanes::{Lane, Lanes};
use crate::options::ClientOptions;
use crate::scan::{Scan, ScanOptions, ScanRange};
use crate::shared::Shared;
use crate::status::{self, ClusterStatus, ReplicaDigest};
use crate::trip::{ATTEMPT, Manner, Place};
use crate::values::{Cas, Expected, Read, Versioned, Written};
use crate::watch;

/// A client of one cluster. Cheap to clone; clones share connections, lanes and what is known of the cluster.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    timeout: Duration,
}

/// What all clones share.
pub(crate) struct Core {
    pub shared: Arc<Shared>,
    /// Who writes, for the cluster's memory of retries.
    id: u64,
    lanes: Lanes,
    clock: SessionClock,
    in_flight: Semaphore,
}

impl Drop for Core {
    fn drop(&mut self) {
        // The background tasks end with the last client.
        self.shared.env.spawner.token().cancel();
    }
}

/// How often a write is issued anew after the cluster refused its time.
const REISSUES_MAX: usize = 2;

impl Client {
    /// Connects to the cluster that the endpoints belong to: learns its id, configuration and directory from the first
    /// that answers, within the options' timeout.
    pub async fn connect(options: ClientOptions, env: &Environment) -> Result<Self, ClientError> {
        let endpoints = options.check()?;
        let core = Core {
            shared: Arc::new(Shared::new(env, endpoints, options.cluster)),
            id: env.random.next_u64(),
            lanes: Lanes::new(options.lanes),
            clock: SessionClock::new(&*env.clock),
            in_flight: Semaphore::new(options.max_in_flight),
        };
        let client = Self { core: Arc::new(core), timeout: options.timeout };
        controller::learn(client.shared(), true, client.deadline()).await?;
        client.shared().env.spawner.spawn(watch::keep_fresh(client.core.shared.clone()));
        Ok(client)
    }

    /// The same client with another timeout for each call.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { core: self.core.clone(), timeout }
    }

    /// How long each call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The value of a key, if it has one; sees every write acknowledged before the call.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Option<Versioned>, ClientError> {
        Ok(self.read(key).await?.versioned())
    }

    /// Like [`Client::get`] from any replica: may be old, but asks no leader.
    pub async fn get_stale(&self, key: impl Into<Bytes>) -> Result<Option<Versioned>, ClientError> {
        let reply = self.ask(kv::Get { key: key.into() }, Consistency::Stale).await?;
        Ok(Read::from(reply).versioned())
    }

    /// Like [`Client::get`], with what there is to know where there is no value.
    pub async fn read(&self, key: impl Into<Bytes>) -> Result<Read, ClientError> {
        Ok(self.ask(kv::Get { key: key.into() }, Consistency::Linearizable).await?.into())
    }

    /// Stores a value.
    pub async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<Written, ClientError> {
        self.store(key.into(), value.into(), 0).await
    }

    /// Stores a value that expires.
    pub async fn put_with_ttl(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<Written, ClientError> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        if ttl_ms == 0 {
            return Err(ClientError::Invalid("the ttl is under 1 ms: give the value some time".to_owned()));
        }
        self.store(key.into(), value.into(), ttl_ms).await
    }

    /// Adds bytes at the end of a value; an absent key counts as empty.
    pub async fn append(
        &self,
        key: impl Into<Bytes>,
        suffix: impl Into<Bytes>,
    ) -> Result<Written, ClientError> {
        let append = kv::Append { key: key.into(), suffix: suffix.into() };
        Ok(Written::from(&self.write(Kind::Append(append)).await?.1))
    }

    /// Removes a key; none: there was no such key.
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<Option<Written>, ClientError> {
        let reply = self.write(Kind::Delete(kv::Delete { key: key.into() })).await?.1;
        Ok((reply.code() == Code::Ok).then(|| Written::from(&reply)))
    }

    /// Stores `new` (none: removes the key) if the key is as expected.
    pub async fn compare_and_set(
        &self,
        key: impl Into<Bytes>,
        expected: Expected,
        new: Option<Bytes>,
    ) -> Result<Cas, ClientError> {
        let cas = kv::CompareAndSet { key: key.into(), expected: expected.into(), new, ttl_ms: 0 };
        let reply = self.write(Kind::CompareAndSet(cas)).await?.1;
        Ok(match reply.code() {
            Code::CompareFailed => Cas::Failed { version: reply.version },
            _ => Cas::Done(Written::from(&reply)),
        })
    }

    /// Carries out several operations on keys of one shard, all or none.
    pub async fn batch(&self, ops: impl Into<Batch>) -> Result<BatchResult, ClientError> {
        let ops = ops.into().into_ops();
        let (op, reply) = self.write(Kind::Batch(kv::Batch { ops })).await?;
        let Some(Kind::Batch(kv::Batch { ops })) = op.kind else { unreachable!("it was a batch") };
        Ok(batch::result(&ops, reply))
    }

    /// Reads keys in order, page by page; see [`Scan`].
    pub fn scan(&self, range: ScanRange, options: ScanOptions) -> Scan {
        Scan::new(self.clone(), range, options)
    }

    /// The controller: groups, shards, locks.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Asks every node for its status; a node that does not answer is named with the reason.
    pub async fn status(&self) -> ClusterStatus {
        status::of_cluster(self).await
    }

    /// Asks every replica of a group for a digest of its rows: equal at equal applied index.
    pub async fn digests(&self, gid: u64) -> Vec<ReplicaDigest> {
        status::digests(self, gid).await
    }

    /// The newest configuration this client has seen.
    pub fn config(&self) -> Arc<ShardConfig> {
        self.shared().topology.view().config
    }

    /// The newest directory this client has seen.
    pub fn directory(&self) -> Arc<Directory> {
        self.shared().topology.view().directory
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        self.shared().links.cluster().expect("learned when connecting")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cluster = self.shared().links.cluster();
        f.debug_struct("Client")
            .field("cluster", &cluster)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What calls are made of.
impl Client {
    pub(crate) fn shared(&self) -> &Shared {
        &self.core.shared
    }

    pub(crate) fn deadline(&self) -> Instant {
        until(self.timeout)
    }

    /// A place among the calls in flight.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, ClientError> {
        let entering = timeout_at(deadline, self.core.in_flight.acquire()).await;
        let permit = entering.map_err(|_| self.too_busy("too many calls are in flight in this client"))?;
        Ok(permit.expect("never closed"))
    }

    /// How a call about a shard is made.
    pub(crate) fn manner(&self, shard: ShardId, deadline: Instant) -> Manner {
        Manner { place: Place::Shard(shard), writes: false, any_replica: false, attempt: ATTEMPT, deadline }
    }

    fn too_busy(&self, why: &str) -> ClientError {
        ClientError::Timeout { operation: "the call".to_owned(), after: self.timeout, last: why.to_owned() }
    }

    async fn store(&self, key: Bytes, value: Bytes, ttl_ms: u64) -> Result<Written, ClientError> {
        Ok(Written::from(&self.write(Kind::Put(kv::Put { key, value, ttl_ms })).await?.1))
    }

    /// Checks an operation and finds its shard.
    fn shard(&self, op: &Op) -> Result<ShardId, ClientError> {
        let view = self.shared().topology.view();
        check::op(op, view.directory.shards)?;
        let shard = check::first_key(op).and_then(|key| view.shard(key));
        shard.ok_or_else(|| ClientError::Invalid("the cluster has no shards".to_owned()))
    }

    async fn ask(&self, get: kv::Get, consistency: Consistency) -> Result<Reply, ClientError> {
        let deadline = self.deadline();
        let op = Op { kind: Some(Kind::Get(get)) };
        let shard = self.shard(&op)?;
        let _place = self.enter(deadline).await?;
        let any_replica = consistency == Consistency::Stale;
        let command = Command { op, id: None, consistency, clock: &self.core.clock };
        drive(self.shared(), &command, Manner { any_replica, ..self.manner(shard, deadline) }).await
    }

    /// Carries out a write; gives the operation back with the reply.
    async fn write(&self, kind: Kind) -> Result<(Op, Reply), ClientError> {
        let deadline = self.deadline();
        let op = Op { kind: Some(kind) };
        let shard = self.shard(&op)?;
        // The lane first: a write that waits for one must not keep reads from their places.
        let lane = timeout_at(deadline, self.core.lanes.take()).await;
        let mut lane = lane.map_err(|_| self.too_busy("all lanes of this client are in use"))?;
        let _place = self.enter(deadline).await?;
        let manner = Manner { writes: true, ..self.manner(shard, deadline) };
        let consistency = Consistency::Linearizable;
        let mut command = Command { op, id: None, consistency, clock: &self.core.clock };
        let mut reissues = 0;
        loop {
            command.id = Some(self.write_id(&lane));
            let corrections = self.core.clock.corrections();
            let result = drive(self.shared(), &command, manner).await;
            let corrected = self.core.clock.corrections() != corrections;
            match result {
                // Definitely not done, and the clock has been put right meanwhile: a new write.
                Err(error) if corrected && reissues < REISSUES_MAX && is_about_time(&error) => {
                    reissues += 1;
                    lane.advance();
                }
                result => return result.map(|reply| (command.op, reply)),
            }
        }
    }

    fn write_id(&self, lane: &Lane<'_>) -> kv::WriteId {
        let issued_at_ms = self.core.clock.now_ms();
        kv::WriteId { client: self.core.id, lane: lane.id, seq: lane.seq, issued_at_ms }
    }
}

/// Whether a write may have been refused for its time of issue.
fn is_about_time(error: &ClientError) -> bool {
    matches!(error.kind(), ErrorKind::Refused(Code::SessionExpired | Code::Invalid))
}

/// So long from now; a wait without end ends in a year.
pub(crate) fn until(wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + wait.min(YEAR)
}
