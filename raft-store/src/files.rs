//! The seam to small files: identity, mark, `CURRENT`, snapshots on their way. Production uses the operating system's,
//! a simulation its own, which forgets at a crash what was not synced.
//!
//! The contract is the one of a careful program on a POSIX system. Bytes are durable after [`File::sync`], names (made,
//! renamed or removed) after [`Files::sync_dir`] of the directory that holds them; before that a crash keeps any part.

use std::any::Any;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// An existing one, to read.
    Read,
    /// An existing one, to read and overwrite in place.
    Update,
    /// An empty one, to read and write, whether there was one or not.
    Create,
    /// A new one, to write; fails if there is one.
    CreateNew,
}

/// An open file.
pub trait File: Send + Sync {
    /// Fills `buffer` with the bytes from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeros.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirEntry {
    /// The name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// How many bytes the file has.
    pub bytes: u64,
}

/// Held as long as a directory is in use; given up when dropped, and when the process dies.
pub type Lock = Box<dyn Any + Send + Sync>;

/// Files by path.
pub trait Files: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>>;

    /// All the bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What is in a directory, by name. What vanishes meanwhile is left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Whether there is a file.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether there is a directory.
    fn is_dir(&self, path: &Path) -> bool;

    /// Makes a directory; fails if there is one.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and those above it, as far as they are not there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or directory another name, in place of a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a directory and everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name. Fails where the system cannot.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Copies a file's bytes into a new one.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks the file at `path`, made if it is not there; none if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// Makes the creation, renaming or removal of `path` durable.
pub(crate) fn sync_name(files: &dyn Files, path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    files.sync_dir(parent.unwrap_or(Path::new(".")))
}

fn may_be_foreign(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// Makes a directory, and those above it, that a power cut does not take back. Where a directory above cannot be synced
/// (this process may not read it, or its file system knows no such thing), it was most likely made by somebody else.
pub(crate) fn create_dir_durably(files: &dyn Files, path: &Path) -> io::Result<()> {
    let missing =
        path.ancestors().skip(1).take_while(|above| !files.is_dir(above) && above.parent().is_some());
    let missing: Vec<&Path> = missing.filter(|above| !above.as_os_str().is_empty()).collect();
    files.create_dir_all(path)?;
    for made in missing.into_iter().rev().chain([path]) {
        match sync_name(files, made) {
            Err(error) if !may_be_foreign(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Replaces the file at `path` by one that holds `bytes`: afterwards the old or the new one is there, whole.
pub(crate) fn write_durably(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = files.open(&new, OpenMode::Create)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    files.rename(&new, path)?;
    sync_name(files, path)
}

/// The bytes of all files below a directory. What cannot be read does not count.
pub(crate) fn tree_bytes(files: &dyn Files, dir: &Path) -> u64 {
    let size = |entry: DirEntry| match entry.is_dir {
        true => tree_bytes(files, &dir.join(&entry.name)),
        false => entry.bytes,
    };
    files.list(dir).unwrap_or_default().into_iter().map(size).sum()
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = fs::File::options();
        let options = match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Update => options.read(true).write(true),
            OpenMode::Create => options.read(true).write(true).create(true).truncate(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        Ok(Box::new(SystemFile(options.open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(meta) => entries.push(DirEntry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_dir: meta.is_dir(),
                    bytes: meta.len(),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::copy(from, to).map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = fs::File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

struct SystemFile(fs::File);

impl File for SystemFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
