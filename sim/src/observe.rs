//! What the nodes say of themselves, as the record's views.

use flotilla_checker::record::{ReplicaView, ShardView, View};
use flotilla_proto::kv_v1::{GetStatusResponse, GroupStatus, ReplicaStatus, ShardPhase, ShardStatus};
use flotilla_types::GroupId;

use crate::machine::Life;
use crate::net::MachineId;
use crate::world::World;

/// One look at every machine, at one moment. With `digests`, each replica's rows are hashed.
pub fn look(world: &World, digests: bool) -> Vec<View> {
    let at_ns = world.stopwatch.now_ns();
    world.ids().into_iter().map(|id| view(world, id, at_ns, digests)).collect()
}

fn view(world: &World, id: MachineId, at_ns: u64, digests: bool) -> View {
    let replicas = world.machine(id).ask(|node| {
        let GetStatusResponse { replicas, config, .. } = node.report();
        let mut views: Vec<ReplicaView> =
            replicas.iter().map(|replica| replica_view(replica, config)).collect();
        for view in views.iter_mut().filter(|view| digests && view.problem.is_empty()) {
            // A digest is of its own index, which is the status' one: nothing runs in between.
            if let Some((applied, digest)) = node.digest(GroupId(view.gid))
                && applied == view.applied
            {
                view.digest = Some(digest);
            }
        }
        views
    });
    View { at_ns, node: id, replicas }
}

fn replica_view(replica: &ReplicaStatus, known: u64) -> ReplicaView {
    let group = replica.group.clone().unwrap_or_default();
    ReplicaView {
        gid: replica.gid,
        incarnation: replica.incarnation,
        member: replica.member,
        role: replica.role.clone(),
        term: replica.term,
        applied: replica.applied,
        committed: replica.committed,
        opening: replica.opening,
        snapshot: replica.snapshot,
        voters: replica.members.iter().filter(|member| member.voter).map(|member| member.member).collect(),
        digest: None,
        config: if replica.gid == 0 { known } else { group.config },
        debts: group.debts,
        shards: shards(&group),
        problem: replica.problem.clone(),
    }
}

fn shards(group: &GroupStatus) -> Vec<ShardView> {
    let view = |shard: &ShardStatus| ShardView {
        shard: shard.shard,
        phase: phase(shard.phase()).to_owned(),
        config: shard.config,
        version: shard.version,
        keys: shard.keys,
        bytes: shard.bytes,
    };
    group.shards.iter().map(view).collect()
}

/// A phase, as the record names it.
pub fn phase(phase: ShardPhase) -> &'static str {
    match phase {
        ShardPhase::Absent => "absent",
        ShardPhase::Pulling => "pulling",
        ShardPhase::Gcing => "gcing",
        ShardPhase::Serving => "serving",
        ShardPhase::BePulling => "be_pulling",
        ShardPhase::Sealed => "sealed",
    }
}

/// The leader of a group: of several that believe to be, the one of the greatest term.
pub fn leader(views: &[View], gid: u64) -> Option<(MachineId, &ReplicaView)> {
    let all =
        views.iter().flat_map(|view| view.replicas.iter().flatten().map(|replica| (view.node, replica)));
    let leaders = all.filter(|(_, replica)| replica.gid == gid && replica.role == "leader");
    leaders.max_by_key(|(_, replica)| (replica.incarnation, replica.term))
}

/// The nodes that host a replica of a group.
pub fn hosts(views: &[View], gid: u64) -> Vec<MachineId> {
    let hosts = |view: &&View| view.replicas.iter().flatten().any(|replica| replica.gid == gid);
    views.iter().filter(hosts).map(|view| view.node).collect()
}

/// A look by another thread while the run is stuck, in words.
pub fn try_look(world: &World) -> Vec<String> {
    let words = |id: MachineId| match world.machine(id).state.try_lock() {
        None => format!("node {id}: busy"),
        Some(state) => match &state.life {
            Life::Down => format!("node {id}: down"),
            Life::Starting(_) => format!("node {id}: starting"),
            Life::Stopping(_) => format!("node {id}: stopping"),
            Life::Up(..) => format!("node {id}: up"),
        },
    };
    world.ids().into_iter().map(words).collect()
}
