//! Why a node does not start, or stopped.

use std::path::PathBuf;

use flotilla_proto::net::NetworkError;
use flotilla_raft_store::StoreError;

use crate::options::OptionsError;

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An option or setting is out of bounds.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The controller does not take this node.
    #[error("the controller refused this node: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// Asked to create a cluster that exists and knows this node by another disk.
    #[error(
        "cluster {cluster} exists already ({address} says so) and node {node} had another disk there: \
         start it without --bootstrap, and it comes back under a new identity"
    )]
    BornAlready {
        /// The cluster.
        cluster: String,
        /// Who said so.
        address: String,
        /// This node.
        node: u64,
    },
    /// A file of the node's own cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The log of all replicas cannot be written any more.
    #[error(
        "the log cannot be written: {why}; nothing more is promised from this disk until the node is started again: see to the disk, then start it"
    )]
    LogFailed {
        /// What the first write failed on.
        why: String,
    },
    /// Every replica of the node has stopped: its log or its disk cannot be used any more.
    #[error("every replica of this node has stopped: {why}")]
    ReplicasStopped {
        /// What the last one said.
        why: String,
    },
    /// What stopped the running node.
    #[error(transparent)]
    Fatal(std::sync::Arc<NodeError>),
}
