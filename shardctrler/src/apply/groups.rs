//! Join and Leave: groups come and go, each request in one configuration.

use std::collections::BTreeSet;

use flotilla_types::ShardConfig;
use flotilla_types::limits::{GROUPS_MAX, REPLICAS_MAX};

use crate::api::command::{Join, Leave, NewGroup};
use crate::api::{Code, GroupRecord, GroupState, Replica};
use crate::apply::migrations::check_moving;
use crate::apply::moves::check_room;
use crate::draft::Draft;
use crate::housekeeping;
use crate::machine::ShardCtrler;
use crate::rebalance::rebalance;
use crate::refusal::{Grant, Refusal, Verdict, ensure};

/// New groups, all or none. They get their share of the shards.
pub(crate) fn join(draft: &mut Draft<'_, '_, '_>, wish: &Join) -> Verdict {
    ensure(!wish.groups.is_empty(), || "groups: none named; name at least one".to_owned())?;
    check_counts(draft, wish.groups.len())?;
    let mut groups = BTreeSet::new();
    for group in &wish.groups {
        check_gid(draft, group.gid)?;
        ensure(groups.insert(group.gid), || format!("groups: group {} is named twice", group.gid))?;
        check_nodes(draft, group)?;
    }
    check_moving(draft)?;
    check_room(draft)?;
    // Member ids are issued by gid, so that the order in the request changes nothing.
    let mut groups: Vec<_> = wish.groups.iter().collect();
    groups.sort_by_key(|group| group.gid);
    let incarnation = draft.counters.config + 1;
    for group in groups {
        create(draft, group, incarnation);
    }
    balance(draft);
    Ok(Grant::default())
}

/// Groups go, all or none. Their shards go to those that stay.
pub(crate) fn leave(draft: &mut Draft<'_, '_, '_>, wish: &Leave) -> Verdict {
    ensure(!wish.gids.is_empty(), || "gids: none named; name at least one".to_owned())?;
    let mut going = BTreeSet::new();
    for gid in &wish.gids {
        check_live(draft, *gid)?;
        ensure(going.insert(*gid), || format!("gids: group {gid} is named twice"))?;
    }
    if draft.live().count() == going.len() {
        return Err(Refusal::refused("gids: no group would remain; join another one first, then retry"));
    }
    check_moving(draft)?;
    check_room(draft)?;
    let left = draft.counters.config + 1;
    let records: Vec<_> = draft.live().filter(|group| going.contains(&group.gid)).cloned().collect();
    for record in records {
        draft.put_group(GroupRecord { state: GroupState::Leaving.into(), left, ..record });
    }
    balance(draft);
    Ok(Grant::default())
}

/// Refuses unless shards can be given to, or taken from, group `gid`.
pub(crate) fn check_live(state: &ShardCtrler, gid: u64) -> Result<(), Refusal> {
    ensure(gid >= 1, || "gid: group 0 is the controller and owns no shards; groups start at 1".to_owned())?;
    match state.directory.group(gid).map(GroupRecord::state) {
        Some(GroupState::Live) => Ok(()),
        Some(GroupState::Leaving) => Err(Refusal::refused(format!("gid: group {gid} is leaving"))),
        Some(GroupState::TornDown) => Err(Refusal::not_found(format!("gid: group {gid} left and is gone"))),
        None => Err(Refusal::not_found(format!("gid: there is no group {gid}; join it first"))),
    }
}

fn check_counts(state: &ShardCtrler, new: usize) -> Result<(), Refusal> {
    let present = state.present().count();
    if present + new > GROUPS_MAX {
        return Err(Refusal::too_many(format!(
            "groups: {present} present and {new} new are more than the limit of {GROUPS_MAX}"
        )));
    }
    // Records of torn-down groups are kept while a group that settles nothing may need them. They too are bounded.
    let records = state.directory.groups.len() - 1;
    if records + new > GROUPS_MAX + state.options.torn_down_kept {
        return Err(Refusal::too_many(format!(
            "groups: the records of {} groups that left cannot be forgotten yet; {}",
            records - present,
            laggard(state)
        )));
    }
    Ok(())
}

fn check_gid(state: &ShardCtrler, gid: u64) -> Result<(), Refusal> {
    ensure(gid >= 1, || "gid: 0 is the controller's; groups start at 1".to_owned())?;
    match state.directory.group(gid).map(GroupRecord::state) {
        None | Some(GroupState::TornDown) => Ok(()),
        Some(GroupState::Live) => {
            Err(exists(format!("gid: group {gid} is there already; choose another gid")))
        }
        Some(GroupState::Leaving) => Err(exists(format!(
            "gid: group {gid} is still leaving; wait until it is torn down, or choose another gid"
        ))),
    }
}

fn exists(message: String) -> Refusal {
    Refusal::new(Code::AlreadyExists, message)
}

fn check_nodes(state: &ShardCtrler, group: &NewGroup) -> Result<(), Refusal> {
    let gid = group.gid;
    ensure(!group.nodes.is_empty(), || format!("nodes: group {gid} names none; name 1 to {REPLICAS_MAX}"))?;
    if group.nodes.len() > REPLICAS_MAX {
        let count = group.nodes.len();
        let message = format!("nodes: group {gid} names {count}, the limit is {REPLICAS_MAX}");
        return Err(Refusal::too_many(message));
    }
    let mut seen = BTreeSet::new();
    for node in &group.nodes {
        ensure(seen.insert(node), || format!("nodes: group {gid} names node {node} twice"))?;
        if state.directory.node(*node).is_none() {
            let message =
                format!("nodes: group {gid} names node {node}, which never registered; start it first");
            return Err(Refusal::not_found(message));
        }
    }
    Ok(())
}

/// Who holds everybody else back, in words.
pub(crate) fn laggard(state: &ShardCtrler) -> String {
    match state.present().min_by_key(|group| group.settled) {
        Some(group) => {
            let (gid, settled) = (group.gid, group.settled);
            format!("group {gid} has settled configuration {settled} only: bring it back, then retry")
        }
        None => "retry later".to_owned(),
    }
}

fn create(draft: &mut Draft<'_, '_, '_>, group: &NewGroup, incarnation: u64) {
    let mut replicas: Vec<Replica> = Vec::with_capacity(group.nodes.len());
    for node in &group.nodes {
        let disk = draft.directory.node(*node).expect("check_nodes found it").disk;
        replicas.push(draft.issue_member(*node, disk));
    }
    draft.put_group(GroupRecord {
        gid: group.gid,
        incarnation,
        founders: replicas.clone(),
        replicas,
        state: GroupState::Live.into(),
        // It owned nothing before.
        settled: incarnation - 1,
        ..GroupRecord::default()
    });
}

fn balance(draft: &mut Draft<'_, '_, '_>) {
    let live = draft.live().map(|group| group.gid).collect();
    let shards = rebalance(&draft.latest.shards, &live);
    let num = draft.counters.config + 1;
    draft.put_config(ShardConfig { num, shards });
    housekeeping::run(draft);
}
