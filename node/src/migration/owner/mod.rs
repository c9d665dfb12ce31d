//! The owner of a migration: the node that leads the controller. It claims the record, does what the record calls for, and
//! renews its lease; when it goes, the next leader claims the next epoch and goes on from the record.
//!
//! ```text
//!   keep ----- a record that needs an owner, and we lead ----> Owner::run
//!                                                                claim (after the old lease ended)
//!                                                                look -> tasks of the record -> perform -> commands
//!                                                                renew the lease; renew the groups' freezes
//! ```
//!
//! Nothing is kept in memory but deadlines: a new owner gives what it waits for the whole time again.

mod nodes;
mod perform;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_cloud_migration::{Record, work};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::replicas::Replicas;

/// How often it is looked whether there is something to own.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Runs until the node stops: owns every migration that needs it while this node leads the controller.
pub async fn keep(replicas: Replicas) {
    let mut owned: BTreeMap<u64, CancellationToken> = BTreeMap::new();
    loop {
        owned.retain(|_, over| !over.is_cancelled());
        for id in wanted(&replicas) {
            if owned.contains_key(&id) {
                continue;
            }
            let over = CancellationToken::new();
            owned.insert(id, over.clone());
            let replicas = replicas.clone();
            replicas.node().env.spawner.clone().spawn(async move {
                let _over = over.drop_guard();
                run::own(replicas, id).await;
            });
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// The migrations that this node is to own.
fn wanted(replicas: &Replicas) -> Vec<u64> {
    let Some(group) = replicas.controller().filter(flotilla_raft_store::Group::is_leader) else {
        return Vec::new();
    };
    group
        .machine()
        .migrations()
        .values()
        .filter(|record| needs_owner(record))
        .map(|record| record.id)
        .collect()
}

/// Whether an owner has anything to do. What only nodes have to tidy up needs none.
fn needs_owner(record: &Record) -> bool {
    !record.state().is_terminal() || !work::of_owner(record).is_empty()
}
