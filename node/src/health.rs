//! The standard health and reflection services, so that load balancers and grpcurl work. A node is `SERVING` while
//! every replica it hosts has a leader it knows of.

use std::time::Duration;

use flotilla_proto::DESCRIPTORS;
use tokio::time::sleep;
use tonic::service::RoutesBuilder;
use tonic_health::ServingStatus;
use tracing::error;

use crate::hosted::Hosted;
use crate::replicas::Replicas;

/// How often health is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Adds both services, and starts the task that keeps the health true.
pub fn add_services(routes: &mut RoutesBuilder, replicas: &Replicas) {
    let (reporter, health) = tonic_health::server::health_reporter();
    routes.add_service(health);
    // Two versions of the same service are in use among clients.
    match reflection().build_v1() {
        Ok(service) => drop(routes.add_service(service)),
        Err(error) => error!(%error, "no reflection"),
    }
    match reflection().build_v1alpha() {
        Ok(service) => drop(routes.add_service(service)),
        Err(error) => error!(%error, "no reflection in its older version"),
    }
    let replicas = replicas.clone();
    let spawner = replicas.node().env.spawner.clone();
    spawner.spawn(async move {
        loop {
            let status = if ready(&replicas) { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in ["", "flotilla.kv.v1.ShardKvService", "flotilla.ctrl.v1.ShardCtrlerService"] {
                reporter.set_service_status(service, status).await;
            }
            sleep(LOOK_INTERVAL).await;
        }
    });
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Whether the node can do its work: it knows its cluster, and every replica it hosts has a leader.
pub fn ready(replicas: &Replicas) -> bool {
    let led = |hosted: &Hosted| match hosted {
        Hosted::Controller(group) => group.leader().is_some(),
        Hosted::Shards(group) => group.leader().is_some(),
    };
    let known = replicas.node().topology.now().directory.revision > 0;
    known && replicas.problems().is_empty() && replicas.all().iter().all(|(_, hosted)| led(hosted))
}
