//! Changes between what is durable and what is seen, of one file and of one directory.

use std::collections::BTreeMap;

use flotilla_proto::env::Random;

use super::image::Entry;
use crate::dice::Dice;

/// A change of a file's bytes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    pub fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(bytes);
            }
            Self::Length(length) => file.resize(*length, 0),
        }
    }

    /// A part of it, as a power cut in the middle of it leaves.
    pub fn torn(&self, dice: &Dice) -> Option<Self> {
        let Self::Write { offset, bytes } = self else { return None };
        let kept = usize::try_from(dice.below(bytes.len() as u64)).ok()?;
        let mut bytes = bytes.clone();
        match dice.permille(500) {
            true => bytes.truncate(kept),
            // The file has grown already, the bytes have not arrived.
            false => bytes[kept..].fill(0),
        }
        Some(Self::Write { offset: *offset, bytes })
    }
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub durable: Vec<u8>,
    pub now: Vec<u8>,
    pub unsynced: Vec<Change>,
}

/// A change of a directory's names.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Put(String, Entry),
    Remove(String),
    Rename(String, String),
}

impl NameChange {
    pub fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Self::Put(name, entry) => drop(names.insert(name.clone(), *entry)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }
}

/// A directory's names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub durable: BTreeMap<String, Entry>,
    pub now: BTreeMap<String, Entry>,
    pub unsynced: Vec<NameChange>,
}

/// How many of `count` changes are kept: often all, often none, else any number.
pub(super) fn prefix(count: usize, dice: &Dice) -> usize {
    match dice.below(4) {
        0 => count,
        1 => 0,
        _ => usize::try_from(dice.below(count as u64 + 1)).unwrap_or(count),
    }
}
