//! The controller, for people and programs that run the cluster.

use std::time::Duration;

use flotilla_proto::ctrl_v1::{
    AdminResponse, Code, Directory, Join, JoinRequest, Leave, LeaveRequest, Lock, LockRequest, Move,
    MoveRequest, NewGroup, QueryRequest, Response, ShardConfig, Unlock, UnlockRequest,
};
use flotilla_types::{GroupId, ShardId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::client::{Client, until};
use crate::controller::{self, Question};
use crate::drive::{Exchange, drive, rpc};
use crate::error::{ClientError, Kind};
use crate::failure::{Failure, FailureKind};
use crate::shared::Shared;
use crate::topology::View;
use crate::trip::{ATTEMPT, Manner, Place, Target};
use crate::verdict::{Verdict, of_leader};

/// Between two tries of a change that a cloud migration holds up.
const PAUSED: Duration = Duration::from_millis(200);

/// The controller's operations. Each acts once, however often it is retried on its way.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

/// A change that the controller has committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdminDone {
    /// The latest configuration after it.
    pub config: u64,
    /// The directory's revision after it.
    pub revision: u64,
}

/// What the controller said of a configuration number.
#[derive(Clone, PartialEq, Debug)]
pub struct Configs {
    /// The one asked for; none: it is not there yet, or no longer.
    pub config: Option<ShardConfig>,
    /// The latest number.
    pub latest: u64,
    /// The oldest number that is kept.
    pub oldest: u64,
}

/// A lock that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockGrant {
    /// The fencing token: grows with every taking. Needed to give it back.
    pub token: u64,
    /// When it ends unless renewed, in milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Adds groups; shards move to them. Returns once that is committed, before anything has moved.
    pub async fn join(&self, groups: Vec<NewGroup>) -> Result<AdminDone, ClientError> {
        self.change(Change::Join(Join { groups })).await.map(AdminDone::from)
    }

    /// Removes groups; their shards move to those that remain.
    pub async fn leave(&self, gids: impl IntoIterator<Item = GroupId>) -> Result<AdminDone, ClientError> {
        let gids = gids.into_iter().map(GroupId::get).collect();
        self.change(Change::Leave(Leave { gids })).await.map(AdminDone::from)
    }

    /// Moves one shard to one group.
    pub async fn move_shard(&self, shard: ShardId, gid: GroupId) -> Result<AdminDone, ClientError> {
        let change = Move { shard: shard.get(), gid: gid.get() };
        self.change(Change::Move(change)).await.map(AdminDone::from)
    }

    /// A configuration by number; none: the latest.
    pub async fn query(&self, num: Option<u64>) -> Result<Configs, ClientError> {
        let request = QueryRequest { num, directory: num.is_none(), stale: false };
        let answer = self.ask(request).await?;
        let oldest = answer.oldest;
        Ok(Configs { config: answer.config, latest: answer.latest, oldest })
    }

    /// The directory as it is now.
    pub async fn directory(&self) -> Result<Directory, ClientError> {
        let answer = self.ask(QueryRequest { num: None, directory: true, stale: false }).await?;
        Ok(answer.directory.unwrap_or_default())
    }

    /// The configuration and directory, now and whenever this client learns of a change.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.client.shared().topology.subscribe()
    }

    /// Takes a lock, or renews it if `holder` has it already. While somebody else holds it, tries again for up to `wait`.
    pub async fn lock(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<LockGrant, ClientError> {
        let until = until(wait);
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let lock = Lock { name: name.to_owned(), holder: holder.to_owned(), ttl_ms };
        let mut backoff = Backoff::default();
        loop {
            match self.change(Change::Lock(lock.clone())).await {
                Err(held) if held.kind() == Kind::Admin(Code::Refused) && Instant::now() < until => {}
                result => {
                    let Response { token, expires_at_ms, .. } = result?;
                    return Ok(LockGrant { token, expires_at_ms });
                }
            }
            let pause = backoff.next(&*self.client.shared().env.random, Duration::ZERO);
            tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Gives a lock back. A token that no longer holds it changes nothing.
    pub async fn unlock(&self, name: &str, token: u64) -> Result<(), ClientError> {
        self.change(Change::Unlock(Unlock { name: name.to_owned(), token })).await.map(drop)
    }

    async fn ask(
        &self,
        request: QueryRequest,
    ) -> Result<flotilla_proto::ctrl_v1::QueryResponse, ClientError> {
        let manner = controller::manner(false, self.client.deadline());
        let answer = drive(self.client.shared(), &Question { request }, manner).await?;
        if request.num.is_none() {
            drop(self.client.shared().learn(&answer));
        }
        Ok(answer)
    }

    async fn change(&self, change: Change) -> Result<Response, ClientError> {
        let shared = self.client.shared();
        let deadline = self.client.deadline();
        let manner =
            Manner { place: Place::Controller, writes: true, any_replica: false, attempt: ATTEMPT, deadline };
        // 0 would mean: harmless to repeat.
        let request_id = shared.env.random.next_u64().max(1);
        let response = drive(shared, &Asked { request_id, change }, manner).await?;
        shared.topology.stale.notify_one();
        Ok(response)
    }
}

impl From<Response> for AdminDone {
    fn from(response: Response) -> Self {
        Self { config: response.config, revision: response.revision }
    }
}

#[derive(Clone)]
enum Change {
    Join(Join),
    Leave(Leave),
    Move(Move),
    Lock(Lock),
    Unlock(Unlock),
}

/// One change, as an exchange.
struct Asked {
    /// The same in every attempt.
    request_id: u64,
    change: Change,
}

impl Exchange for Asked {
    type Answer = Response;

    fn describe(&self) -> String {
        match &self.change {
            Change::Join(join) => format!("the join of {} groups", join.groups.len()),
            Change::Leave(leave) => format!("the leave of {} groups", leave.gids.len()),
            Change::Move(change) => format!("the move of shard {} to group {}", change.shard, change.gid),
            Change::Lock(lock) => format!("taking lock {:?}", lock.name),
            Change::Unlock(unlock) => format!("giving back lock {:?}", unlock.name),
        }
    }

    async fn attempt(&self, shared: &Shared, target: &Target) -> Verdict<Response> {
        let answer = match self.ask(shared, target).await {
            Ok(answer) => answer,
            Err(failure) if failure.kind == FailureKind::Malformed => {
                return Verdict::AdminRefused { code: Code::Invalid, message: failure.detail };
            }
            Err(failure) => return Verdict::Failed(failure),
        };
        if let Some(leader) = answer.leader {
            shared.topology.controllers(&leader.controllers);
            return of_leader(leader);
        }
        let response = answer.response.unwrap_or_default();
        match response.code() {
            Code::Ok => Verdict::Done(response),
            // A cloud migration holds the configuration still; the change waits for it, as long as the caller does.
            Code::Paused => Verdict::Later { after: PAUSED, elsewhere: false, why: response.message },
            code => Verdict::AdminRefused { code, message: response.message },
        }
    }
}

impl Asked {
    async fn ask(&self, shared: &Shared, target: &Target) -> Result<AdminResponse, Failure> {
        let mut client = shared.links.ctrl(&target.address)?;
        let request_id = self.request_id;
        let budget = target.budget();
        macro_rules! send {
            ($method:ident, $message:expr) => {
                rpc(target, client.$method(shared.links.request($message, budget))).await
            };
        }
        match self.change.clone() {
            Change::Join(join) => send!(join, JoinRequest { request_id, join: Some(join) }),
            Change::Leave(leave) => send!(leave, LeaveRequest { request_id, leave: Some(leave) }),
            Change::Move(change) => send!(r#move, MoveRequest { request_id, r#move: Some(change) }),
            Change::Lock(lock) => send!(lock, LockRequest { request_id, lock: Some(lock) }),
            Change::Unlock(unlock) => send!(unlock, UnlockRequest { request_id, unlock: Some(unlock) }),
        }
    }
}
