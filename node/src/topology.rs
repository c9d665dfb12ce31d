//! What this node knows of the cluster: the latest configuration and the directory, as last heard from the
//! controller. Knowledge only grows (numbers and revisions), so who told it does not matter. It is kept in a file, so
//! that a restarted node knows its peers before any controller answers. The file is not synced, it is only a memory; but
//! it carries a checksum, since what it says decides which replicas are started and which removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_proto::ctrl_v1::{Directory, ShardConfig, WatchConfigResponse};
use flotilla_raft_store::{Disk, OpenMode};
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
#[derive(Clone)]
pub struct Topology {
    known: Arc<watch::Sender<Knowledge>>,
    disk: Arc<dyn Disk>,
    file: PathBuf,
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Topology {
    /// Reads what was known when the node stopped. A file that does not decode is forgotten: it is only a memory.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, NodeError> {
        let file = dir.join("topology");
        let known = match disk.files().read(&file) {
            Ok(bytes) => decode(bytes.into()).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Knowledge::default(),
            Err(source) => return Err(NodeError::File { what: "read", path: file, source }),
        };
        Ok(Self { known: Arc::new(watch::Sender::new(known)), disk, file })
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
        let files = self.disk.files();
        files.open(&temporary, OpenMode::Create)?.write_all_at(&encode(&message), 0)?;
        files.rename(&temporary, &self.file)
    }
}

// Configuration 0 is real news too: it says how many shards there are.
fn newer_config(known: &ShardConfig, new: &ShardConfig) -> bool {
    new.num > known.num || (known.shards.is_empty() && !new.shards.is_empty())
}

const CRC_BYTES: usize = 4;

fn encode(message: &WatchConfigResponse) -> Vec<u8> {
    let body = message.encode_to_vec();
    [&crc32c::crc32c(&body).to_le_bytes()[..], &body].concat()
}

fn decode(bytes: Bytes) -> Option<Knowledge> {
    let (crc, body) = bytes.split_first_chunk::<CRC_BYTES>()?;
    let whole = u32::from_le_bytes(*crc) == crc32c::crc32c(body);
    let message = whole.then(|| WatchConfigResponse::decode(bytes.slice(CRC_BYTES..)).ok())??;
    Some(Knowledge {
        config: Arc::new(message.config.unwrap_or_default()),
        directory: Arc::new(message.directory.unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use flotilla_raft_store::{RocksDisk, RocksOptions};

    use super::*;

    #[test]
    fn knowledge_only_grows_and_survives_a_restart() {
        let dir = std::env::temp_dir().join(format!("flotilla-topology-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("temporary directory");
        let disk: Arc<dyn Disk> = Arc::new(RocksDisk::new(&RocksOptions::default()));
        let topology = Topology::open(disk.clone(), &dir).expect("opens");
        topology.learn(Some(ShardConfig { num: 3, shards: vec![1, 2] }), None);
        topology.learn(Some(ShardConfig { num: 2, shards: vec![9, 9] }), None);
        topology.learn(None, Some(Directory { revision: 4, ..Directory::default() }));
        let known = || Topology::open(disk.clone(), &dir).expect("opens").now();
        assert_eq!((known().config.num, known().directory.revision), (3, 4));
        let whole = std::fs::read(dir.join("topology")).expect("there");
        for byte in 0..whole.len() {
            let mut bad = whole.clone();
            bad[byte] ^= 4;
            std::fs::write(dir.join("topology"), bad).expect("damage");
            assert_eq!((known().config.num, known().directory.revision), (0, 0), "byte {byte}");
        }
        std::fs::remove_dir_all(&dir).expect("own directory");
    }
}
