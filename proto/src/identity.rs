//! Which cluster a request is meant for: every request between processes carries the cluster's id in its metadata.

use flotilla_types::ClusterId;
use tonic::Request;
use tonic::metadata::MetadataValue;

/// The metadata key; the value is the cluster's id as 32 hex digits.
pub const CLUSTER_METADATA: &str = "flotilla-cluster-id";

/// A request for this cluster; none: for whichever cluster answers.
pub fn stamp<T>(message: T, cluster: Option<ClusterId>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(cluster) = cluster {
        let value = MetadataValue::try_from(cluster.to_string()).expect("hexadecimal digits are ASCII");
        request.metadata_mut().insert(CLUSTER_METADATA, value);
    }
    request
}
