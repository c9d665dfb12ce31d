//! Bootstrap: the cluster's name, its number of shards and its controller, fixed for ever.

use std::collections::BTreeSet;

use flotilla_types::limits::{REPLICAS_MAX, SHARDS_MAX};
use flotilla_types::{ClusterId, ShardConfig};

use crate::api::command::Bootstrap;
use crate::api::{Code, GroupRecord, GroupState};
use crate::draft::Draft;
use crate::refusal::{Grant, Refusal, Verdict, ensure};

/// The first member id that the controller issues. Below it are its own first members, who choose theirs.
pub(crate) const MEMBER_FIRST: u64 = 1000;

/// Bears the cluster; the same again is done already.
pub(crate) fn bootstrap(draft: &mut Draft<'_, '_, '_>, wish: &Bootstrap) -> Verdict {
    check(wish)?;
    // Hexadecimal digits have two cases; from here on there is one.
    let wish = &Bootstrap { cluster: cluster_id(&wish.cluster)?.to_string(), ..wish.clone() };
    if let Some(birth) = &draft.birth {
        same_as(birth, wish)?;
        return Ok(Grant::default());
    }
    draft.put_birth(wish);
    draft.counters().member_next = MEMBER_FIRST;
    draft.put_config(ShardConfig { num: 0, shards: vec![0; wish.shards as usize] });
    // This command is in the log of the controller's group: so that group is initialised.
    draft.put_group(GroupRecord {
        gid: 0,
        replicas: wish.controllers.clone(),
        state: GroupState::Live.into(),
        initialised: true,
        ..GroupRecord::default()
    });
    Ok(Grant::default())
}

/// The cluster id in `text`.
pub(crate) fn cluster_id(text: &str) -> Result<ClusterId, Refusal> {
    text.parse().map_err(|error| Refusal::invalid(format!("cluster: {error}")))
}

fn check(wish: &Bootstrap) -> Result<(), Refusal> {
    cluster_id(&wish.cluster)?;
    ensure((1..=SHARDS_MAX).contains(&wish.shards), || {
        format!("shards: {} is not in 1..={SHARDS_MAX}; choose a number in that range", wish.shards)
    })?;
    let replicas = &wish.controllers;
    ensure((1..=REPLICAS_MAX).contains(&replicas.len()), || {
        format!("controllers: {} replicas, not 1 to {REPLICAS_MAX}; name that many nodes", replicas.len())
    })?;
    let (mut nodes, mut members) = (BTreeSet::new(), BTreeSet::new());
    for replica in replicas {
        ensure(replica.node >= 1 && nodes.insert(replica.node), || {
            format!("controllers: node {} is 0 or named twice; name each node once, from 1", replica.node)
        })?;
        ensure((1..MEMBER_FIRST).contains(&replica.member) && members.insert(replica.member), || {
            format!("controllers: member id {} is named twice or not in 1..{MEMBER_FIRST}", replica.member)
        })?;
    }
    Ok(())
}

fn same_as(birth: &Bootstrap, wish: &Bootstrap) -> Result<(), Refusal> {
    if birth.cluster != wish.cluster {
        let message = format!("cluster: this is {}, not {}", birth.cluster, wish.cluster);
        return Err(Refusal::new(Code::WrongCluster, message));
    }
    if birth.shards != wish.shards || birth.controllers != wish.controllers {
        return Err(Refusal::refused(format!(
            "cluster {} is born already, with {} shards and other settings than these; they stay",
            birth.cluster, birth.shards
        )));
    }
    Ok(())
}
