//! What calls and background tasks share.

use std::sync::Arc;

use flotilla_proto::ctrl_v1::QueryResponse;
use flotilla_proto::env::Environment;
use flotilla_types::ClusterId;

use crate::links::Links;
use crate::topology::Topology;

pub(crate) struct Shared {
    /// The client's own spawner in the environment it was started in.
    pub env: Environment,
    pub links: Links,
    pub topology: Topology,
}

impl Shared {
    pub fn new(env: &Environment, endpoints: Vec<String>, cluster: Option<ClusterId>) -> Self {
        let env = env.child();
        let links = Links::new(&env, cluster);
        let endpoints = endpoints.into_iter().map(Arc::from).collect();
        Self { env, links, topology: Topology::new(endpoints) }
    }

    /// Takes over what a controller said, unless it speaks of another cluster; then says so.
    pub fn learn(&self, answer: &QueryResponse) -> Result<(), String> {
        if let Some(directory) = &answer.directory {
            self.same_cluster(&directory.cluster)?;
        }
        self.topology.learn(answer.config.clone(), answer.directory.clone());
        Ok(())
    }

    /// Whether a directory is of this client's cluster; the first one decides which that is.
    pub fn same_cluster(&self, cluster: &str) -> Result<(), String> {
        let id: ClusterId = cluster.parse().map_err(|error| format!("{error}"))?;
        if self.links.is_cluster(id) {
            return Ok(());
        }
        let ours = self.links.cluster().unwrap_or_default();
        Err(format!("it is of cluster {id}, this client of {ours}"))
    }
}
