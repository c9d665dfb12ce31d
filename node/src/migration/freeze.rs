//! What the owner of a migration asks of groups: become read-only, stay so, prove it, go on. Each is one attempt of a few
//! seconds, and does no harm when it is repeated.

use flotilla_cloud_migration::record::Ack;
use flotilla_proto::freeze_v1::freeze_request::Step;
use flotilla_proto::freeze_v1::{FreezeRequest, FreezeResponse};
use flotilla_proto::kv_v1::{Code, Hint};
use flotilla_shardkv::api::freeze::{Freeze, FreezeProof, RenewFreeze, Thaw};
use flotilla_types::{ConfigNum, GroupId};

use crate::peers::{Asked, Peers};
use crate::reconcile::Failure;

/// A freeze, as the record has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreezeSpec {
    /// Its id.
    pub freeze: u64,
    /// The migration it is for.
    pub migration: u64,
    /// How long a group stays frozen when it hears nothing.
    pub lease_ms: u64,
}

/// Makes a group read-only at `config`; answers once it is.
pub async fn freeze(
    peers: &Peers,
    gid: GroupId,
    config: ConfigNum,
    spec: FreezeSpec,
) -> Result<Ack, Failure> {
    let FreezeSpec { freeze, migration, lease_ms } = spec;
    let step = Freeze { freeze, migration, config: config.get(), lease_ms, now_ms: 0 };
    let answer = ask(peers, gid, config, Step::Freeze(step)).await?;
    let (index, term) = (answer.index, answer.term);
    let proof = proof(gid, answer)?;
    Ok(Ack { index, term, counters: proof.writes })
}

/// Lets the group's lease begin anew.
pub async fn renew(peers: &Peers, gid: GroupId, config: ConfigNum, freeze: u64) -> Result<(), Failure> {
    let answer = ask(peers, gid, config, Step::Renew(RenewFreeze { freeze })).await?;
    proof(gid, answer).map(drop)
}

/// Ends a freeze, and refuses it for good should it come late.
pub async fn thaw(peers: &Peers, gid: GroupId, config: ConfigNum, freeze: u64) -> Result<(), Failure> {
    let answer = ask(peers, gid, config, Step::Thaw(Thaw { freeze })).await?;
    accepted(gid, &answer)
}

/// Whether nothing was written in a group since it acknowledged: it is in this freeze, which never begins twice, and its
/// write counters are the same. False: the cut is broken.
pub async fn prove(
    peers: &Peers,
    gid: GroupId,
    config: ConfigNum,
    freeze: u64,
    ack: Ack,
) -> Result<bool, Failure> {
    let answer = ask(peers, gid, config, Step::Prove(freeze)).await?;
    accepted(gid, &answer)?;
    let same = |proof: FreezeProof| proof.writes == ack.counters && proof.config == config.get();
    Ok(answer.proof.is_some_and(same))
}

async fn ask(peers: &Peers, gid: GroupId, config: ConfigNum, step: Step) -> Result<FreezeResponse, Failure> {
    let request = FreezeRequest { gid: gid.get(), step: Some(step) };
    peers.ask(gid, config, |peer| peer.freeze(request)).await
}

fn accepted(gid: GroupId, answer: &FreezeResponse) -> Result<(), Failure> {
    match answer.code() {
        Code::Ok => Ok(()),
        code => Err(Failure(format!("group {gid} answered {code:?}: {}", answer.message))),
    }
}

fn proof(gid: GroupId, answer: FreezeResponse) -> Result<FreezeProof, Failure> {
    accepted(gid, &answer)?;
    answer.proof.ok_or_else(|| Failure(format!("group {gid} is not frozen: it was thawed a moment ago")))
}

impl Asked for FreezeResponse {
    fn parts(&self) -> (Code, Option<&Hint>, &str) {
        (self.code(), self.hint.as_ref(), &self.message)
    }

    // A leader that is not ready has the last word: the others only know who leads.
    fn wrong_place(&self) -> bool {
        self.code() == Code::WrongLeader
    }
}
