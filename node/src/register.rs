//! Announces this node to the controller: until it is taken, then now and again, in case its record was lost sight of.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::ctrl_v1::{Code, Register};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::backoff;
use crate::error::NodeError;
use crate::replicas::Local;

/// Runs until the controller has taken the node, or has refused it for good.
pub async fn announce(local: Arc<Local>, fatal: watch::Sender<Option<Arc<NodeError>>>) {
    let register = Register {
        cluster: local.options.cluster.to_string(),
        node: local.options.node.get(),
        disk: local.store.identity().disk.get(),
        address: local.address.clone(),
        zone: local.options.zone.clone(),
    };
    let mut failures = 0u32;
    loop {
        match local.controller.register(&register).await {
            Ok(response) if response.code() == Code::Ok => {
                info!(node = register.node, revision = response.revision, "node registered");
                return;
            }
            // Not created yet: the first leader is about to do it.
            Ok(response) if response.code() == Code::Refused => debug!(message = response.message, "not yet"),
            // Two nodes that exchange addresses are in each other's way for a moment only.
            Ok(response) if response.code() == Code::AlreadyExists => {
                warn!(message = response.message, "node not registered yet");
            }
            Ok(response) => {
                fatal.send_replace(Some(Arc::new(NodeError::Refused { message: response.message })));
                return;
            }
            Err(status) if status.code() == tonic::Code::FailedPrecondition => {
                let message = status.message().to_owned();
                fatal.send_replace(Some(Arc::new(NodeError::Refused { message })));
                return;
            }
            Err(status) => debug!(message = status.message(), "controller not reached"),
        }
        failures = failures.saturating_add(1);
        let wait: Duration = backoff::wait(failures, &*local.env.random);
        sleep(wait).await;
    }
}
