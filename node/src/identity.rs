//! A request for another cluster is refused before any service sees it.

use flotilla_proto::identity::CLUSTER_METADATA;
use flotilla_types::ClusterId;
use tonic::{Request, Status};

/// Refuses requests that name another cluster. A request that names none is let through: grpcurl and load
/// balancers need not know it.
#[derive(Clone, Copy, Debug)]
pub struct CheckCluster(pub ClusterId);

impl tonic::service::Interceptor for CheckCluster {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(named) = request.metadata().get(CLUSTER_METADATA) else { return Ok(request) };
        let named = named.to_str().unwrap_or("(not text)");
        if named == self.0.to_string() {
            return Ok(request);
        }
        let message = format!("wrong cluster: this node belongs to {}, the request is for {named}", self.0);
        Err(Status::failed_precondition(message))
    }
}
