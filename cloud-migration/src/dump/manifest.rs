//! `MANIFEST.json`: the last object of a dump, and what makes it one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::header::FORMAT;
use super::hex::Digest;
use super::plan::range;
use super::position::Position;
use super::sums::Sums;
use crate::file::File;
use crate::record::Record;

/// The manifest's name below the prefix.
pub const MANIFEST_NAME: &str = "MANIFEST.json";

/// Every file of a whole dump.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's version.
    pub format: u32,
    /// The cluster that was dumped.
    pub cluster: String,
    /// The migration's number in it.
    pub migration: u64,
    /// The attempt.
    pub attempt: u32,
    /// How many shards it had.
    pub shards: u32,
    /// The pinned configuration.
    pub config: u64,
    /// When it was pinned, in milliseconds since 1970 UTC: time to live stood still from there on.
    pub frozen_at_ms: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of all rows, before compression.
    pub raw_bytes: u64,
    /// The sum over all files' rows.
    pub sums: Sums,
    /// The files, by shard and range.
    pub files: Vec<ManifestFile>,
}

/// One file of a dump.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its key below the prefix.
    pub key: String,
    /// The group that had the rows.
    pub gid: u64,
    /// The shard.
    pub shard: u32,
    /// The first position of its range.
    pub start: Position,
    /// The first position after it; none: to the end of the shard.
    pub end: Option<Position>,
    /// Its length in bytes.
    pub length: u64,
    /// blake3 of the whole file.
    pub blake3: Digest,
    /// The object's ETag, as the store said it.
    pub etag: String,
    /// Bytes of its rows, before compression.
    pub raw_bytes: u64,
    /// Counts and checksums over its rows.
    pub sums: Sums,
}

/// Why a manifest cannot be made or taken.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum ManifestError {
    /// The record says too little of a file.
    #[error("file {0} has no length, digest and sums yet: it was not dumped")]
    NotDumped(String),
    /// It does not parse.
    #[error("{MANIFEST_NAME} does not parse: {0}; it is damaged or none of ours")]
    Unreadable(String),
    /// A newer program wrote it.
    #[error(
        "{MANIFEST_NAME} has format {found}, newer than {FORMAT}, the newest that this program reads; use a newer one"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// What it says does not fit together.
    #[error("{MANIFEST_NAME} is wrong: {0}; it is damaged or was changed by hand")]
    Wrong(String),
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Manifest {
    /// The manifest as the record has it. Whoever builds it gets the same.
    pub fn of(record: &Record, files: &[File]) -> Result<Self, ManifestError> {
        let mut files = files.iter().map(ManifestFile::of).collect::<Result<Vec<_>, _>>()?;
        files.sort_by(|a, b| (a.shard, &a.start).cmp(&(b.shard, &b.start)));
        let mut sums = Sums::default();
        files.iter().for_each(|file| sums.add(&file.sums));
        let manifest = Self {
            format: FORMAT,
            cluster: record.cluster.clone(),
            migration: record.id,
            attempt: record.attempt,
            shards: record.shards,
            config: record.freeze.map_or(0, |freeze| freeze.config),
            frozen_at_ms: record.freeze.map_or(0, |freeze| freeze.started_ms),
            bytes: files.iter().map(|file| file.length).sum(),
            raw_bytes: files.iter().map(|file| file.raw_bytes).sum(),
            sums,
            files,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Its bytes: JSON, one line for each file, the same from everybody.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data")
    }

    /// Reads its bytes, and takes nothing that does not fit together.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
        // The version first: what else a newer manifest says is not ours to judge.
        let Version { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(ManifestError::Newer { found: format });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Sums are right, keys differ and stay below the prefix, and the ranges of each shard cover it without a gap.
    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |what: String| Err(ManifestError::Wrong(what));
        let mut sums = Sums::default();
        let mut bytes = 0_u64;
        let mut keys = std::collections::BTreeSet::new();
        for file in &self.files {
            bytes = bytes.saturating_add(file.length);
            sums.add(&file.sums);
            if !keys.insert(&file.key) || !is_safe(&file.key) {
                return wrong(format!("the key {:?} is there twice, or leads out of the prefix", file.key));
            }
        }
        if sums != self.sums || bytes != self.bytes {
            return wrong("the files' sums are not those of the whole".to_owned());
        }
        let covered = self.covered()?;
        match (0..self.shards).find(|shard| !covered.contains_key(shard)) {
            Some(shard) => wrong(format!("shard {shard} has no file")),
            None if covered.len() as u64 > u64::from(self.shards) => {
                wrong("a file names an unknown shard".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Where each shard's last file ends.
    fn covered(&self) -> Result<BTreeMap<u32, &Option<Position>>, ManifestError> {
        let mut covered: BTreeMap<u32, &Option<Position>> = BTreeMap::new();
        for file in &self.files {
            let start = match covered.get(&file.shard) {
                None => Some(&Position::START),
                Some(end) => end.as_ref(),
            };
            if start != Some(&file.start) {
                let what = format!("{} does not begin where the file before it ends", file.key);
                return Err(ManifestError::Wrong(what));
            }
            covered.insert(file.shard, &file.end);
        }
        match covered.iter().find(|(_, end)| end.is_some()) {
            Some((shard, _)) => Err(ManifestError::Wrong(format!("the end of shard {shard} has no file"))),
            None => Ok(covered),
        }
    }
}

/// Whether a key is a plain path below the prefix.
fn is_safe(key: &str) -> bool {
    key.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

impl ManifestFile {
    fn of(file: &File) -> Result<Self, ManifestError> {
        let missing = || ManifestError::NotDumped(file.key.clone());
        let dumped = file.dumped.as_ref().ok_or_else(missing)?;
        let blake3 = dumped.blake3.as_ref().try_into().map(Digest).map_err(|_| missing())?;
        let sums = Sums::from_bytes(&dumped.row_checksum).ok_or_else(missing)?;
        let (start, end) = range(file);
        Ok(Self {
            key: file.key.clone(),
            gid: file.gid,
            shard: file.shard,
            start,
            end,
            length: dumped.length,
            blake3,
            etag: file.etag.clone(),
            raw_bytes: dumped.raw_bytes,
            sums,
        })
    }
}
