//! What is on a disk: for every file and every directory what is durable, what a running program sees, and the changes
//! in between, in order. A crash keeps what is durable and any prefix of those changes, each file and each directory
//! for itself; of the first file change that is not kept, perhaps a torn part.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use super::change::{Change, Content, NameChange, Names, prefix};
use crate::dice::Dice;

/// The number of a file or directory: what its names stand for.
pub type Inode = u64;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A file.
    File(Inode),
    /// A directory.
    Dir(Inode),
}

/// All files and directories of one disk.
#[derive(Clone, Debug)]
pub struct Image {
    files: BTreeMap<Inode, Content>,
    dirs: BTreeMap<Inode, Names>,
    next: Inode,
}

const ROOT: Inode = 0;

impl Default for Image {
    fn default() -> Self {
        Self { files: BTreeMap::new(), dirs: BTreeMap::from([(ROOT, Names::default())]), next: 1 }
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

fn exists(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there", path.display()))
}

fn file_name(path: &Path) -> io::Result<String> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))?;
    Ok(name.to_string_lossy().into_owned())
}

impl Image {
    /// What a path stands for.
    pub fn find(&self, path: &Path) -> io::Result<Entry> {
        let mut found = Entry::Dir(ROOT);
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Entry::Dir(dir) = found else { return Err(not_found(path)) };
            let names = &self.dirs[&dir].now;
            found = names.get(name.to_string_lossy().as_ref()).copied().ok_or_else(|| not_found(path))?;
        }
        Ok(found)
    }

    /// The directory at a path.
    pub fn find_dir(&self, path: &Path) -> io::Result<Inode> {
        match self.find(path)? {
            Entry::Dir(dir) => Ok(dir),
            Entry::File(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, path.display().to_string())),
        }
    }

    /// The file at a path.
    pub fn find_file(&self, path: &Path) -> io::Result<Inode> {
        match self.find(path)? {
            Entry::File(file) => Ok(file),
            Entry::Dir(_) => Err(io::Error::new(io::ErrorKind::IsADirectory, path.display().to_string())),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<Inode> {
        self.find_dir(path.parent().unwrap_or(Path::new("/")))
    }

    fn change_names(&mut self, dir: Inode, change: NameChange) {
        if let Some(names) = self.dirs.get_mut(&dir) {
            change.apply(&mut names.now);
            names.unsynced.push(change);
        }
    }

    fn change(&mut self, file: Inode, change: Change) -> io::Result<()> {
        let content = self.files.get_mut(&file).ok_or_else(|| not_found(Path::new("(removed)")))?;
        change.apply(&mut content.now);
        content.unsynced.push(change);
        Ok(())
    }

    fn put(&mut self, path: &Path, entry: Entry) -> io::Result<()> {
        let parent = self.parent(path)?;
        if self.find(path).is_ok() {
            return Err(exists(path));
        }
        self.change_names(parent, NameChange::Put(file_name(path)?, entry));
        Ok(())
    }

    /// Makes an empty file with a new name.
    pub fn create_file(&mut self, path: &Path) -> io::Result<Inode> {
        let file = self.next;
        self.put(path, Entry::File(file))?;
        self.next += 1;
        self.files.insert(file, Content::default());
        Ok(file)
    }

    /// Makes an empty directory with a new name.
    pub fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.next;
        self.put(path, Entry::Dir(dir))?;
        self.next += 1;
        self.dirs.insert(dir, Names::default());
        Ok(())
    }

    /// Makes a directory and those above it, as far as they are not there.
    pub fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for path in above.into_iter().rev() {
            if self.find_dir(path).is_err() {
                self.create_dir(path)?;
            }
        }
        Ok(())
    }

    /// Gives a file another name.
    pub fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.find_file(from)?;
        self.put(to, Entry::File(file))
    }

    /// Moves a name; a file that has the new one loses it, a directory keeps it.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let entry = self.find(from)?;
        let (source, target) = (self.parent(from)?, self.parent(to)?);
        if matches!(self.find(to), Ok(Entry::Dir(_))) {
            return Err(exists(to));
        }
        let (old, new) = (file_name(from)?, file_name(to)?);
        if source == target {
            self.change_names(source, NameChange::Rename(old, new));
        } else {
            self.change_names(target, NameChange::Put(new, entry));
            self.change_names(source, NameChange::Remove(old));
        }
        Ok(())
    }

    /// Removes a file's name.
    pub fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let parent = self.parent(path)?;
        self.change_names(parent, NameChange::Remove(file_name(path)?));
        Ok(())
    }

    /// Removes a directory and what is in it, name by name.
    pub fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.find_dir(path)?;
        let names: Vec<_> = self.dirs[&dir].now.clone().into_iter().collect();
        for (name, entry) in names {
            let path = path.join(&name);
            match entry {
                Entry::File(_) => self.remove_file(&path)?,
                Entry::Dir(_) => self.remove_dir_all(&path)?,
            }
        }
        let parent = self.parent(path)?;
        self.change_names(parent, NameChange::Remove(file_name(path)?));
        Ok(())
    }

    /// The names in a directory.
    pub fn names(&self, dir: Inode) -> Vec<(String, Entry)> {
        self.dirs[&dir].now.iter().map(|(name, entry)| (name.clone(), *entry)).collect()
    }

    /// A file's bytes, as a running program sees them.
    pub fn bytes(&self, file: Inode) -> &[u8] {
        self.files.get(&file).map_or(&[], |content| &content.now)
    }

    /// All the bytes of all files that have a name.
    pub fn total_bytes(&self) -> u64 {
        self.files.values().map(|content| content.now.len() as u64).sum()
    }

    /// Writes at an offset.
    pub fn write(&mut self, file: Inode, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(file, Change::Write { offset, bytes: bytes.to_vec() })
    }

    /// Cuts or fills up.
    pub fn set_len(&mut self, file: Inode, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.change(file, Change::Length(bytes))
    }

    /// Makes a file's bytes durable.
    pub fn sync_file(&mut self, file: Inode) {
        if let Some(content) = self.files.get_mut(&file) {
            for change in content.unsynced.drain(..) {
                change.apply(&mut content.durable);
            }
        }
    }

    /// A sync that failed: what was not synced is still seen, and nothing will ever write it down.
    pub fn forget_file(&mut self, file: Inode) {
        if let Some(content) = self.files.get_mut(&file) {
            content.unsynced.clear();
        }
    }

    /// Makes a directory's names durable.
    pub fn sync_dir(&mut self, dir: Inode) {
        if let Some(names) = self.dirs.get_mut(&dir) {
            for change in names.unsynced.drain(..) {
                change.apply(&mut names.durable);
            }
        }
    }

    /// The power goes: what is durable stays, and so much of the rest as the dice say. Answers how
    /// many changes were left in part.
    pub fn power_cut(&mut self, dice: &Dice) -> u64 {
        let mut cut = 0;
        for names in self.dirs.values_mut() {
            let kept = prefix(names.unsynced.len(), dice);
            names.unsynced.drain(..).take(kept).for_each(|change| change.apply(&mut names.durable));
            names.now = names.durable.clone();
        }
        for content in self.files.values_mut() {
            let changes = std::mem::take(&mut content.unsynced);
            let kept = prefix(changes.len(), dice);
            changes.iter().take(kept).for_each(|change| change.apply(&mut content.durable));
            let torn = changes.get(kept).filter(|_| dice.permille(500)).and_then(|change| change.torn(dice));
            torn.iter().for_each(|change| change.apply(&mut content.durable));
            cut += u64::from(torn.is_some());
            content.now = content.durable.clone();
        }
        self.collect();
        cut
    }

    /// Forgets what has no name any more. Nothing may be open.
    pub fn collect(&mut self) {
        let mut reached = std::collections::BTreeSet::from([ROOT]);
        let mut left = vec![ROOT];
        while let Some(dir) = left.pop() {
            let names = &self.dirs[&dir];
            let coming = names.unsynced.iter().filter_map(|change| match change {
                NameChange::Put(_, entry) => Some(entry),
                _ => None,
            });
            for entry in names.now.values().chain(names.durable.values()).chain(coming) {
                let (Entry::File(inode) | Entry::Dir(inode)) = *entry;
                if reached.insert(inode) && matches!(entry, Entry::Dir(_)) {
                    left.push(inode);
                }
            }
        }
        self.files.retain(|inode, _| reached.contains(inode));
        self.dirs.retain(|inode, _| reached.contains(inode));
    }

    /// Every file with its path, in order.
    pub fn all_files(&self) -> Vec<(std::path::PathBuf, Inode)> {
        let mut found = Vec::new();
        let mut left = vec![(std::path::PathBuf::from("/"), ROOT)];
        while let Some((path, dir)) = left.pop() {
            for (name, entry) in &self.dirs[&dir].now {
                match entry {
                    Entry::File(file) => found.push((path.join(name), *file)),
                    Entry::Dir(dir) => left.push((path.join(name), *dir)),
                }
            }
        }
        found.sort();
        found
    }

    /// Rot: one bit of a file turns over, wherever it is kept.
    pub fn flip(&mut self, file: Inode, bit: u64) {
        self.rot(file, |bytes| {
            let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        });
    }

    /// Rot: the end of a file is gone.
    pub fn cut(&mut self, file: Inode, length: u64) {
        self.rot(file, |bytes| bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX)));
    }

    fn rot(&mut self, file: Inode, damage: impl Fn(&mut Vec<u8>)) {
        if let Some(content) = self.files.get_mut(&file) {
            // At rest nothing is on its way any more.
            content.durable.clone_from(&content.now);
            content.unsynced.clear();
            damage(&mut content.durable);
            content.now.clone_from(&content.durable);
        }
    }
}

#[cfg(test)]
mod tests;
