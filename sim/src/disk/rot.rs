//! Damage at rest: while the node is down, a bit turns over or the end of a file is gone.

use std::path::Path;

use flotilla_proto::env::Random;

use super::image::{Image, Inode};
use crate::dice::Dice;

/// What is damaged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// A file of the log database.
    Log,
    /// A file of a replica's live database.
    Data,
    /// A file of a kept snapshot.
    Snapshot,
    /// The log's mark.
    Mark,
    /// Who the directory belongs to.
    Identity,
    /// What the node remembers of the cluster.
    Topology,
    /// Any file.
    Any,
}

impl Target {
    /// Whether a file is of this kind.
    pub fn matches(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let above = |start: &str| {
            path.parent().is_some_and(|dir| {
                dir.components().any(|part| part.as_os_str().to_string_lossy().starts_with(start))
            })
        };
        match self {
            Self::Log => above("log"),
            Self::Data => above("db-"),
            Self::Snapshot => above("snapshot-"),
            Self::Mark => name == "mark",
            Self::Identity => name == "identity",
            Self::Topology => name == "topology",
            Self::Any => true,
        }
    }
}

fn choose(image: &Image, target: Target, dice: &Dice) -> Option<(String, Inode, u64)> {
    let files = image.all_files().into_iter();
    let fitting: Vec<_> = files
        .map(|(path, inode)| (path, inode, image.bytes(inode).len() as u64))
        .filter(|(path, _, bytes)| *bytes > 0 && target.matches(path))
        .collect();
    let (path, inode, bytes) = dice.pick(&fitting)?;
    Some((path.display().to_string(), *inode, *bytes))
}

/// Turns one bit over; says where.
pub fn flip(image: &mut Image, target: Target, dice: &Dice) -> Option<String> {
    let (path, inode, bytes) = choose(image, target, dice)?;
    let bit = dice.below(8 * bytes);
    image.flip(inode, bit);
    Some(format!("bit {bit} of {path}"))
}

/// Cuts a file; says where.
pub fn truncate(image: &mut Image, target: Target, dice: &Dice) -> Option<String> {
    let (path, inode, bytes) = choose(image, target, dice)?;
    let length = dice.below(bytes);
    image.cut(inode, length);
    Some(format!("{path} cut from {bytes} to {length} bytes"))
}
