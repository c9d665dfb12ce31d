//! The databases: rows in memory, tables in files, and for the log a WAL, as in RocksDB, only small.
//!
//! ```text
//!   MANIFEST       which tables there are, oldest first, and which WAL: replaced as a whole
//!   000007.sst     a table
//!   000009.wal     batches, each with its length and checksum: read up to the first bad one
//! ```
//!
//! * A log write is one WAL record and one sync. After recovery, and when the WAL is long, the rows go to a table.
//! * A data write is in memory until a flush, a checkpoint, or a flush that comes by itself, at any batch.
//! * After a failed write of a table or of the WAL nothing is written any more.
//! * A damaged block makes every read that touches its keys fail; a damaged index or manifest, the opening. A damaged
//!   WAL ends there. No manifest at all is a new database, and what lies beside it is removed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use flotilla_raft_store::{Files, OpenMode};
use flotilla_types::{WriteBatch, WriteOp};

use super::access::Access;
use super::table::{self, Damaged, TableRow};

const MANIFEST: &str = "MANIFEST";
const TABLES_MAX: usize = 6;

fn corrupt(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("corruption: {}: {what}", path.display()))
}

/// What the manifest says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Manifest {
    pub tables: Vec<u64>,
    pub wal: u64,
    pub next: u64,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.wal);
        body.put_u64_le(self.next);
        self.tables.iter().for_each(|table| body.put_u64_le(*table));
        [&crc32c::crc32c(&body).to_le_bytes()[..], &body].concat()
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut bytes = Bytes::from(bytes);
        let crc = bytes.try_get_u32_le().ok()?;
        if crc32c::crc32c(&bytes) != crc || bytes.len() < 16 || !bytes.len().is_multiple_of(8) {
            return None;
        }
        let (wal, next) = (bytes.get_u64_le(), bytes.get_u64_le());
        let tables = std::iter::from_fn(|| bytes.try_get_u64_le().ok()).collect();
        Some(Self { tables, wal, next })
    }
}

/// The rows of one moment, and what cannot be read of them.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub rows: Arc<BTreeMap<Bytes, Bytes>>,
    pub damaged: Arc<Vec<Damaged>>,
}

impl View {
    fn check(&self, start: &[u8], end: &[u8]) -> io::Result<()> {
        let touches =
            |(first, last): &&Damaged| (end.is_empty() || first.as_ref() < end) && last.as_ref() >= start;
        match self.damaged.iter().find(touches) {
            Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "corruption: block checksum mismatch")),
            None => Ok(()),
        }
    }

    pub fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.check(key, &[key, &[0][..]].concat())?;
        Ok(self.rows.get(key).cloned())
    }

    pub fn range<'v>(
        &'v self,
        start: &[u8],
        end: &[u8],
    ) -> io::Result<impl Iterator<Item = (&'v Bytes, &'v Bytes)> + use<'v>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        self.check(start, end)?;
        let end = if end.is_empty() { Unbounded } else { Excluded(end.max(start)) };
        Ok(self.rows.range::<[u8], _>((Included(start), end)))
    }

    fn apply(&mut self, row: &TableRow) {
        let rows = Arc::make_mut(&mut self.rows);
        match row {
            (key, Some(value)) => drop(rows.insert(key.clone(), value.clone())),
            (key, None) => drop(rows.remove(key)),
        }
    }
}

/// What both kinds of databases are made of.
pub(super) struct Base {
    pub access: Access,
    pub dir: PathBuf,
    pub manifest: Manifest,
    pub view: View,
    /// What no table holds yet.
    pub fresh: BTreeMap<Bytes, Option<Bytes>>,
    pub failed: Option<(io::ErrorKind, String)>,
}

impl Base {
    /// Opens what is there; makes it if it is not and `create` is set.
    pub fn open(access: &Access, dir: &Path, create: bool) -> io::Result<Self> {
        let path = dir.join(MANIFEST);
        let found = match access.read(&path) {
            Ok(bytes) => Some(Manifest::decode(bytes).ok_or_else(|| corrupt(&path, "bad manifest"))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => None,
            Err(error) => return Err(error),
        };
        let mut base = Self {
            access: access.clone(),
            dir: dir.to_owned(),
            manifest: found.clone().unwrap_or_default(),
            view: View::default(),
            fresh: BTreeMap::new(),
            failed: None,
        };
        match found {
            Some(_) => base.load()?,
            None => base.make()?,
        }
        if create {
            base.clean()?;
        }
        Ok(base)
    }

    /// Removes what a crash has left: files that the manifest does not name.
    fn clean(&self) -> io::Result<()> {
        let known = self.manifest.tables.iter().map(|table| self.table_path(*table));
        let known: Vec<_> = known.chain([self.wal_path(self.manifest.wal)]).collect();
        for entry in self.access.list(&self.dir)? {
            let path = self.dir.join(&entry.name);
            let own = entry.name.ends_with(".sst") || entry.name.ends_with(".wal");
            if own && !known.contains(&path) {
                self.access.remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn table_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:06}.sst"))
    }

    pub fn wal_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:06}.wal"))
    }

    fn make(&mut self) -> io::Result<()> {
        if self.access.is_dir(&self.dir) {
            self.access.remove_dir_all(&self.dir)?;
        }
        self.access.create_dir_all(&self.dir)?;
        self.save(Manifest { next: 1, ..Manifest::default() })
    }

    fn load(&mut self) -> io::Result<()> {
        let mut damaged = Vec::new();
        for number in self.manifest.tables.clone() {
            let path = self.table_path(number);
            let bytes = self.access.read(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => corrupt(&path, "a table is missing"),
                _ => error,
            })?;
            let (rows, bad) = table::decode(&bytes.into()).ok_or_else(|| corrupt(&path, "bad index"))?;
            rows.iter().for_each(|row| self.view.apply(row));
            damaged.extend(bad);
        }
        self.view.damaged = Arc::new(damaged);
        Ok(())
    }

    fn save(&mut self, manifest: Manifest) -> io::Result<()> {
        let new = self.dir.join("MANIFEST.new");
        let file = self.access.open(&new, OpenMode::Create)?;
        file.write_all_at(&manifest.encode(), 0)?;
        file.sync()?;
        self.access.rename(&new, &self.dir.join(MANIFEST))?;
        self.access.sync_dir(&self.dir)?;
        self.manifest = manifest;
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }

    /// Runs what must not be tried again once it has failed.
    pub fn once<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        let done = work(self);
        if let Err(error) = &done {
            self.failed = Some((error.kind(), error.to_string()));
        }
        done
    }

    pub fn apply(&mut self, batch: WriteBatch) {
        for op in batch.ops {
            let rows: Vec<TableRow> = match op {
                WriteOp::Put { key, value } => vec![(key, Some(value))],
                WriteOp::Delete { key } => vec![(key, None)],
                WriteOp::DeleteRange { start, end } => {
                    let doomed = self.view.rows.range(start.clone()..end.max(start));
                    doomed.map(|(key, _)| (key.clone(), None)).collect()
                }
            };
            for row in rows {
                self.view.apply(&row);
                self.fresh.insert(row.0, row.1);
            }
        }
    }

    /// Writes a table of what is only in memory, and starts another WAL if there is one.
    pub fn flush(&mut self, wal: bool) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let old = manifest.clone();
        if !self.fresh.is_empty() {
            let rows: Vec<TableRow> = match manifest.tables.len() >= TABLES_MAX {
                true => {
                    // All tables become one, for which every block is read.
                    self.view.check(&[], &[])?;
                    manifest.tables.clear();
                    self.view.rows.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
                }
                false => self.fresh.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            };
            let number = manifest.next;
            self.access.write_new(&self.table_path(number), &table::encode(&rows))?;
            manifest.tables.push(number);
            manifest.next += 1;
        }
        if wal {
            self.access.write_new(&self.wal_path(manifest.next), &[])?;
            manifest.wal = manifest.next;
            manifest.next += 1;
        }
        if manifest == old {
            return Ok(());
        }
        self.access.sync_dir(&self.dir)?;
        self.save(manifest)?;
        self.fresh.clear();
        self.remove_obsolete(&old)
    }

    fn remove_obsolete(&self, old: &Manifest) -> io::Result<()> {
        let gone = old.tables.iter().filter(|table| !self.manifest.tables.contains(table));
        let tables = gone.map(|table| self.table_path(*table));
        let wal = (old.wal != self.manifest.wal).then(|| self.wal_path(old.wal));
        for path in tables.chain(wal).filter(|path| self.access.is_file(path)) {
            self.access.remove_file(&path)?;
        }
        Ok(())
    }

    /// Makes `dir` a database of the same tables.
    pub fn link_to(&self, dir: &Path) -> io::Result<()> {
        let private = dir.with_extension("tmp");
        self.access.create_dir(&private)?;
        for table in &self.manifest.tables {
            let name = format!("{table:06}.sst");
            self.access.hard_link(&self.dir.join(&name), &private.join(&name))?;
        }
        self.access.write_new(&private.join(MANIFEST), &self.manifest.encode())?;
        self.access.rename(&private, dir)?;
        self.access.sync_dir(dir)
    }

    pub fn bytes(&self) -> u64 {
        self.view.rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}
