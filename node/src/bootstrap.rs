//! The birth of a cluster: the first leader of the controller records its name, its shards and its replicas.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::QueryRequest;
use flotilla_raft_store::Group;
use flotilla_shardctrler::ShardCtrler;
use flotilla_shardctrler::api::command::{Bootstrap, Kind};
use flotilla_shardctrler::api::{Code, Command, Replica};
use tokio::time::timeout;
use tracing::{error, info};

use crate::error::NodeError;
use crate::replicas::Local;

/// How often to look again while another replica leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Refuses to create a cluster that knows this node under another disk already: the directory was wiped, and the node
/// would vote again under a name whose promises are lost. Nobody answering is the normal case of a new cluster.
pub async fn refuse_second_birth(local: &Local) -> Result<(), NodeError> {
    let options = &local.options;
    let own = local.store.identity().disk.get();
    let others = options.controllers.iter().filter(|(node, _)| *node != options.node);
    for (_, address) in others {
        let request = QueryRequest { num: None, directory: true, stale: true };
        let Ok(answer) = local.controller.query_at(address, request).await else { continue };
        let Some(directory) = answer.directory.filter(|directory| directory.revision > 0) else { continue };
        // Born already: then this disk must be the one that the first member of this node is, or will be, bound to.
        let id = options.node.get();
        let first = |replica: &Replica| {
            (replica.node, replica.member) == (id, id) && [0, own].contains(&replica.disk)
        };
        let is_first = directory.group(0).is_some_and(|group| group.replicas.iter().any(first));
        let other_disk = directory.node(id).is_some_and(|known| known.disk != own);
        if !is_first || other_disk {
            return Err(NodeError::BornAlready {
                cluster: options.cluster.to_string(),
                address: address.clone(),
                node: options.node.get(),
            });
        }
    }
    Ok(())
}

/// Proposes the cluster's birth whenever this replica leads, until it is recorded. Repeating it is harmless.
pub async fn found_cluster(group: Group<ShardCtrler>, node: Arc<Local>) {
    let mut progress = group.watch();
    while !group.machine().is_born() {
        if group.is_leader() {
            match group.propose(birth(&node)).await {
                Ok(response) if response.code() == Code::Ok => {
                    info!(cluster = %node.options.cluster, shards = node.options.shards, "cluster created");
                    return;
                }
                Ok(response) => {
                    error!(message = response.message, "cluster not created");
                    return;
                }
                Err(_) => {}
            }
        }
        let changed = timeout(LOOK_INTERVAL, progress.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

fn birth(node: &Local) -> Command {
    let options = &node.options;
    let controllers = options.controllers.iter();
    // The disks are bound when the nodes register: disk 0 is "not known yet".
    let controllers =
        controllers.map(|(node, _)| Replica { node: node.get(), member: node.get(), disk: 0 }).collect();
    let bootstrap = Bootstrap { cluster: options.cluster.to_string(), shards: options.shards, controllers };
    Command { request_id: 0, now_ms: node.env.clock.now_ms(), kind: Some(Kind::Bootstrap(bootstrap)) }
}
