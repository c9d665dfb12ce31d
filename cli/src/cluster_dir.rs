//! The directory of a cluster on this machine.
//!
//! ```text
//! DIR/cluster.toml     what the cluster is: written when it is created, never contradicted
//! DIR/lock             held while `up` or `down` work here
//! DIR/node-<i>/pid     of the running process; removed when it is stopped on purpose
//! DIR/node-<i>/log     what it says
//! DIR/node-<i>/data/   what it knows
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flotilla_types::ClusterId;
use serde::{Deserialize, Serialize};

use crate::exit;

/// The format of `cluster.toml` that this version writes and reads.
const FORMAT: u32 = 1;
/// The controller runs on the first three nodes, or five of a larger cluster.
const CONTROLLERS: u32 = 3;
const CONTROLLERS_LARGE: u32 = 5;

/// How far the creation of the cluster got. It may be interrupted at any point, and goes on with the next `up`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nodes with an empty directory may create the controller.
    New,
    /// The controller has led: from here on an empty directory is a lost disk, not a new node.
    Born,
    /// The first groups have joined and served: which groups there are is the operator's business from now on.
    Complete,
}

/// What the cluster is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format of this file.
    pub format: u32,
    /// The cluster's id.
    pub cluster: ClusterId,
    /// How many nodes.
    pub nodes: u32,
    /// How many groups join when it is created.
    pub groups: u32,
    /// How many shards.
    pub shards: u32,
    /// Node `i` serves gRPC on this plus `i`.
    pub base_port: u16,
    /// How far the creation got.
    pub stage: Stage,
}

impl Record {
    /// A cluster that does not exist yet.
    pub fn new(cluster: ClusterId, nodes: u32, groups: u32, shards: u32, base_port: u16) -> Self {
        Self { format: FORMAT, cluster, nodes, groups, shards, base_port, stage: Stage::New }
    }

    /// How many nodes, from the first on, run the controller.
    pub fn controllers(&self) -> u32 {
        if self.nodes >= CONTROLLERS_LARGE { CONTROLLERS_LARGE } else { self.nodes.min(CONTROLLERS) }
    }
}

/// An opened cluster directory.
#[derive(Debug)]
pub struct ClusterDir {
    path: PathBuf,
    /// What the cluster is.
    pub record: Record,
}

/// Nobody else works on the directory while this lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "closing the file unlocks it")] File);

impl ClusterDir {
    /// Opens a directory; none if there is no cluster in it.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let file = path.join("cluster.toml");
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let record = parse(&text).with_context(|| format!("{}", file.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        Ok(Some(Self { path, record }))
    }

    /// Makes a directory for a new cluster. One that holds anything else already is refused.
    pub fn create(path: &Path, record: Record) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        refuse_strangers(&path)?;
        let dir = Self { path, record };
        dir.save()?;
        Ok(dir)
    }

    /// Takes the directory for this process alone.
    pub fn lock(path: &Path) -> Result<Lock> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let file = path.join("lock");
        let lock = File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Lock(lock)),
            Err(TryLockError::WouldBlock) => Err(exit::no(format!(
                "another flotilla up or down is at work in {}: wait until it is done",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", file.display()))
            }
        }
    }

    /// Records that the creation got this far.
    pub fn reach(&mut self, stage: Stage) -> Result<()> {
        if self.record.stage < stage {
            self.record.stage = stage;
            self.save()?;
        }
        Ok(())
    }

    /// Where it is: absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of a node, from 1.
    pub fn node(&self, node: u32) -> PathBuf {
        self.path.join(format!("node-{node}"))
    }

    /// The nodes' numbers.
    pub fn nodes(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.record.nodes
    }

    fn save(&self) -> Result<()> {
        let file = self.path.join("cluster.toml");
        let text = toml::to_string(&self.record).context("cannot write the cluster's record")?;
        let text = format!("# Made by flotilla up. The cluster of these nodes; do not edit.\n{text}");
        write_whole(&file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Fails if a directory that is to be a cluster's holds anything yet. One that is not there is fine.
pub fn refuse_strangers(path: &Path) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", path.display()))?,
    };
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", path.display()))?.file_name();
        // An interrupted creation leaves these.
        if name != "lock" && name != "cluster.toml.tmp" {
            return Err(exit::no(format!(
                "{} is not empty (it holds {}) and has no cluster.toml: choose another --dir, or empty this one",
                path.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Record> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(&error))?;
    let format = table.get("format").and_then(toml::Value::as_integer);
    if format.is_some_and(|format| format > i64::from(FORMAT)) {
        let format = format.unwrap_or_default();
        return Err(exit::no(format!(
            "a newer flotilla wrote this directory (format {format}, this one knows {FORMAT}): use that version"
        )));
    }
    table.try_into().map_err(|error| damaged(&error))
}

fn damaged(error: &toml::de::Error) -> anyhow::Error {
    exit::no(format!("not what flotilla up wrote: {}", error.to_string().trim()))
}

/// Writes a file so that it is all there or as it was, also after a power cut.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_comes_back_and_other_texts_are_refused() {
        let record = Record::new(ClusterId(7), 3, 2, 64, 7100);
        let text = toml::to_string(&record).unwrap();
        assert_eq!(parse(&text).unwrap(), record);
        let newer = parse(&text.replace("format = 1", "format = 2\nmore = true")).unwrap_err().to_string();
        assert!(newer.contains("newer flotilla"), "{newer}");
        assert!(parse("nonsense").unwrap_err().to_string().contains("not what flotilla up wrote"));
        assert!(parse("format = 1").is_err());
    }

    #[test]
    fn an_odd_number_of_nodes_runs_the_controller_where_possible() {
        let controllers = |nodes| Record::new(ClusterId(1), nodes, 1, 1, 1).controllers();
        assert_eq!([1, 2, 3, 4, 5, 9].map(controllers), [1, 2, 3, 3, 5, 5]);
    }
}
