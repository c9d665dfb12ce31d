//! Register: a node is there, with this disk at this address.

use flotilla_types::limits::NODES_MAX;

use crate::address;
use crate::api::command::Register;
use crate::api::{Code, GroupRecord, GroupState, NodeRecord, Replica};
use crate::apply::birth::cluster_id;
use crate::draft::Draft;
use crate::machine::ShardCtrler;
use crate::refusal::{Grant, Refusal, Verdict, ensure};

/// The longest zone, in bytes.
const ZONE_BYTES_MAX: usize = 64;

/// Records a node. With another disk than before, its replicas become new members: what the old disk promised (votes, entries)
/// is gone, so whoever comes back must not speak under the old name.
pub(crate) fn register(draft: &mut Draft<'_, '_, '_>, wish: &Register) -> Verdict {
    check(draft, wish)?;
    let record = NodeRecord {
        node: wish.node,
        address: wish.address.clone(),
        zone: wish.zone.clone(),
        disk: wish.disk,
    };
    if draft.directory.node(wish.node) == Some(&record) {
        return Ok(Grant::default());
    }
    draft.put_node(record);
    // Not only replicas of the disk registered before: the controller's first ones are named before any node is registered.
    let elsewhere = |group: &&GroupRecord| {
        let mut replicas = group.replicas.iter();
        replicas.any(|replica| replica.node == wish.node && replica.disk != wish.disk)
    };
    let groups = draft.directory.groups.iter();
    let present = groups.filter(|group| group.state() != GroupState::TornDown);
    for group in present.filter(elsewhere).cloned().collect::<Vec<_>>() {
        replace_member(draft, group, wish.node, wish.disk);
    }
    Ok(Grant::default())
}

fn replace_member(draft: &mut Draft<'_, '_, '_>, mut group: GroupRecord, node: u64, disk: u64) {
    for replica in group.replicas.iter_mut().filter(|replica| replica.node == node) {
        // Disk 0 is a first controller whose disk nobody knew at the cluster's birth: this is the one.
        *replica =
            if replica.disk == 0 { Replica { disk, ..*replica } } else { draft.issue_member(node, disk) };
    }
    if !group.initialised && !can_be_founded(&group) {
        for replica in &mut group.replicas {
            *replica = draft.issue_member(replica.node, replica.disk);
        }
        group.founders.clone_from(&group.replicas);
    }
    draft.put_group(group);
}

/// Whether most founders are still there. If not, they have made nothing and never will: all members start anew. Never only
/// some of them: each initialises itself with the set it knows, and two sets have majorities that do not meet.
fn can_be_founded(group: &GroupRecord) -> bool {
    let left = group.founders.iter().filter(|founder| group.replicas.contains(founder)).count();
    2 * left > group.founders.len()
}

fn check(state: &ShardCtrler, wish: &Register) -> Result<(), Refusal> {
    let ours = &state.directory.cluster;
    if cluster_id(&wish.cluster)? != cluster_id(ours)? {
        let message = format!(
            "cluster: this is {ours}, not {}; check the node's data directory and endpoints",
            wish.cluster
        );
        return Err(Refusal::new(Code::WrongCluster, message));
    }
    ensure(wish.node >= 1, || "node: ids start at 1".to_owned())?;
    ensure(wish.disk != 0, || "disk: its id is missing".to_owned())?;
    address::check(&wish.address).map_err(|what| {
        Refusal::invalid(format!("address: {:?} is not host:port: {what}", shorten(&wish.address)))
    })?;
    ensure(wish.zone.len() <= ZONE_BYTES_MAX, || {
        format!("zone: {} bytes, the limit is {ZONE_BYTES_MAX}; shorten it", wish.zone.len())
    })?;
    if let Some(other) = state.directory.nodes.iter().find(|other| clashes(other, wish)) {
        let message = format!("address: {} is node {}'s; give each node its own", wish.address, other.node);
        return Err(Refusal::new(Code::AlreadyExists, message));
    }
    let known = state.directory.node(wish.node).is_some();
    if !known && state.directory.nodes.len() >= NODES_MAX {
        return Err(Refusal::too_many(format!("node: there are {NODES_MAX} already, which is the limit")));
    }
    Ok(())
}

fn clashes(other: &NodeRecord, wish: &Register) -> bool {
    other.node != wish.node && other.address == wish.address
}

/// A refusal does not carry megabytes back.
fn shorten(text: &str) -> String {
    text.chars().take(address::ADDRESS_BYTES_MAX).collect()
}
