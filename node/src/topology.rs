//! What this node knows of the cluster: the latest configuration and the directory, as last heard from the
//! controller. Knowledge only grows (numbers and revisions), so who told it does not matter. It is kept in a file, so
//! that a restarted node knows its peers before any controller answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_proto::ctrl_v1::{Directory, ShardConfig, WatchConfigResponse};
use flotilla_types::NodeId;
use prost::Message;
use tokio::sync::watch;
use tracing::warn;

use crate::error::NodeError;

/// The latest configuration and directory.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The latest configuration; number 0 and no shards: none known.
    pub config: Arc<ShardConfig>,
    /// The directory; revision 0: none known.
    pub directory: Arc<Directory>,
}

impl Knowledge {
    /// Where a node is reached.
    pub fn address(&self, node: NodeId) -> Option<&str> {
        self.directory.node(node.get()).map(|record| record.address.as_str())
    }
}

/// Shared knowledge; cheap to clone.
#[derive(Clone, Debug)]
pub struct Topology {
    known: Arc<watch::Sender<Knowledge>>,
    file: PathBuf,
}

impl Topology {
    /// Reads what was known when the node stopped. A file that does not decode is forgotten: it is only a memory.
    pub fn open(dir: &Path) -> Result<Self, NodeError> {
        let file = dir.join("topology");
        let known = match std::fs::read(&file) {
            Ok(bytes) => decode(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Knowledge::default(),
            Err(source) => return Err(NodeError::File { what: "read", path: file, source }),
        };
        Ok(Self { known: Arc::new(watch::Sender::new(known)), file })
    }

    /// What is known now.
    pub fn now(&self) -> Knowledge {
        self.known.borrow().clone()
    }

    /// Follows what is known.
    pub fn watch(&self) -> watch::Receiver<Knowledge> {
        self.known.subscribe()
    }

    /// Takes in what somebody said, if it is newer.
    pub fn learn(&self, config: Option<ShardConfig>, directory: Option<Directory>) {
        let changed = self.known.send_if_modified(|known| {
            let config = config.filter(|new| newer_config(&known.config, new));
            let directory = directory.filter(|new| new.revision > known.directory.revision);
            let news = config.is_some() || directory.is_some();
            if let Some(config) = config {
                known.config = Arc::new(config);
            }
            if let Some(directory) = directory {
                known.directory = Arc::new(directory);
            }
            news
        });
        if changed && let Err(error) = self.save() {
            warn!(file = %self.file.display(), %error, "topology not saved");
        }
    }

    fn save(&self) -> std::io::Result<()> {
        let known = self.now();
        let message = WatchConfigResponse {
            config: Some((*known.config).clone()),
            directory: Some((*known.directory).clone()),
        };
        let temporary = self.file.with_extension("new");
        std::fs::write(&temporary, message.encode_to_vec())?;
        std::fs::rename(&temporary, &self.file)
    }
}

// Configuration 0 is real news too: it says how many shards there are.
fn newer_config(known: &ShardConfig, new: &ShardConfig) -> bool {
    new.num > known.num || (known.shards.is_empty() && !new.shards.is_empty())
}

fn decode(bytes: &[u8]) -> Option<Knowledge> {
    let message = WatchConfigResponse::decode(bytes).ok()?;
    Some(Knowledge {
        config: Arc::new(message.config.unwrap_or_default()),
        directory: Arc::new(message.directory.unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knowledge_only_grows_and_survives_a_restart() {
        let dir = std::env::temp_dir().join(format!("flotilla-topology-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("temporary directory");
        let topology = Topology::open(&dir).expect("opens");
        topology.learn(Some(ShardConfig { num: 3, shards: vec![1, 2] }), None);
        topology.learn(Some(ShardConfig { num: 2, shards: vec![9, 9] }), None);
        topology.learn(None, Some(Directory { revision: 4, ..Directory::default() }));
        let again = Topology::open(&dir).expect("opens").now();
        assert_eq!((again.config.num, again.directory.revision), (3, 4));
        std::fs::remove_dir_all(&dir).expect("own directory");
    }
}
