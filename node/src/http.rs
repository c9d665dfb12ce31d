//! The HTTP door for operators: `/healthz` (the process answers), `/readyz` (it can do its work) and `/metrics`
//! (Prometheus text), and the cloud migration. Everything comes from the same place as `GetStatus`.

use std::fmt::Write;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use flotilla_proto::kv_v1::{GetStatusResponse, ReplicaStatus, ShardPhase};
use flotilla_proto::net::NetworkError;
use tokio::net::TcpListener;

use crate::health;
use crate::replicas::Replicas;
use crate::services::status;

/// Binds the port and serves until the node stops. Gives the port that was really given.
pub async fn serve(address: SocketAddr, replicas: Replicas) -> Result<SocketAddr, NetworkError> {
    let fail = |source| NetworkError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    let spawner = replicas.node().env.spawner.clone();
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(crate::migration::rest::routes())
        .with_state(replicas);
    spawner.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(bound)
}

async fn readyz(State(replicas): State<Replicas>) -> (StatusCode, &'static str) {
    if health::ready(&replicas) {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: a replica has no leader or has a problem, see flotilla status\n",
        )
    }
}

async fn metrics(State(replicas): State<Replicas>) -> String {
    let local = replicas.node();
    let mut page = render(&status::node(&replicas, None));
    for (name, kind, help, samples) in local.meters.samples(&local.jobs.now()) {
        page.metric(name, kind, help, samples);
    }
    page.0
}

struct Page(String);

impl Page {
    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, u64)>,
    ) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP flotilla_{name} {help}\n# TYPE flotilla_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "flotilla_{name}{labels} {value}");
        }
    }
}

type Number = fn(&ReplicaStatus) -> u64;

const PER_REPLICA: &[(&str, &str, &str, Number)] = &[
    ("replica_leader", "gauge", "1 if this replica leads its group.", |r| u64::from(r.role == "leader")),
    ("replica_term", "gauge", "Raft term.", |r| r.term),
    ("replica_applied_index", "gauge", "Index of the last applied log entry.", |r| r.applied),
    ("replica_committed_index", "gauge", "Index of the last committed log entry.", |r| r.committed),
    ("replica_storage_bytes", "gauge", "Size of the replica's rows on disk.", |r| r.storage_bytes),
    ("replica_problem", "gauge", "1 if the replica stopped or could not be opened.", |r| {
        u64::from(!r.problem.is_empty())
    }),
];

fn render(node: &GetStatusResponse) -> Page {
    let mut page = Page(String::new());
    let one = |value| [(String::new(), value)];
    page.metric("node_memory_bytes", "gauge", "Resident memory of this process.", one(node.memory_bytes));
    page.metric("node_storage_bytes", "gauge", "Size of the data directory.", one(node.storage_bytes));
    page.metric("node_uptime_milliseconds", "counter", "Time since the start.", one(node.uptime_ms));
    page.metric("node_config_number", "gauge", "The latest configuration this node knows.", one(node.config));
    for (name, kind, help, number) in PER_REPLICA {
        let sample = |replica: &ReplicaStatus| (format!("{{gid=\"{}\"}}", replica.gid), number(replica));
        page.metric(name, kind, help, node.replicas.iter().map(sample));
    }
    page.metric("shards", "gauge", "Shards by group and phase.", shards_by_phase(node));
    page
}

fn shards_by_phase(node: &GetStatusResponse) -> Vec<(String, u64)> {
    let phases = [
        (ShardPhase::Serving, "serving"),
        (ShardPhase::Pulling, "pulling"),
        (ShardPhase::Gcing, "gcing"),
        (ShardPhase::BePulling, "be_pulling"),
        (ShardPhase::Sealed, "sealed"),
    ];
    let groups = node.replicas.iter().filter_map(|replica| Some((replica.gid, replica.group.as_ref()?)));
    groups
        .flat_map(|(gid, group)| {
            phases.map(|(phase, name)| {
                let count = group.shards.iter().filter(|shard| shard.phase() == phase).count();
                (format!("{{gid=\"{gid}\",phase=\"{name}\"}}"), count as u64)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_prometheus_text() {
        let replica =
            ReplicaStatus { gid: 3, role: "leader".to_owned(), term: 7, ..ReplicaStatus::default() };
        let text = render(&GetStatusResponse { replicas: vec![replica], ..GetStatusResponse::default() }).0;
        assert!(text.contains("\nflotilla_replica_leader{gid=\"3\"} 1\n"), "{text}");
        assert!(
            text.contains("# TYPE flotilla_replica_term gauge\nflotilla_replica_term{gid=\"3\"} 7\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("flotilla_")));
    }
}
