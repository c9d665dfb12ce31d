//! Limits on what a process gets of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::sweep::Tag;

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

/// The period over which CPU time is counted.
const PERIOD_US: u64 = 100_000;

/// The folder below which groups of this kind are made: of the second kind of cgroups if there are such, else of the first.
fn parent(kind: Kind) -> Result<(PathBuf, bool)> {
    let top = Path::new("/sys/fs/cgroup");
    let name = match kind {
        Kind::Cpu => "cpu",
        Kind::Memory => "memory",
    };
    let enabled = fs::read_to_string(top.join("cgroup.subtree_control")).unwrap_or_default();
    if enabled.split_whitespace().any(|controller| controller == name) {
        return Ok((top.to_owned(), true));
    }
    let old = top.join(name);
    if old.join("cgroup.procs").exists() {
        return Ok((old, false));
    }
    bail!("no cgroup controller for {name} is there")
}

/// A group of processes. Dropping it does not remove it: the sweep does, once its processes are gone.
#[derive(Debug)]
pub(crate) struct Cgroup {
    kind: Kind,
    path: PathBuf,
    second: bool,
}

impl Cgroup {
    /// Makes one, or takes the one that is there.
    pub fn make(kind: Kind, name: &str) -> Result<Self> {
        let (parent, second) = parent(kind)?;
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("cannot make {}", path.display()))
            }
            _ => Ok(Self { kind, path, second }),
        }
    }

    /// Puts a process and its threads under it.
    pub fn add(&self, pid: u32) -> Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Limits it: to so many thousandths of one CPU, or to so many bytes.
    pub fn limit(&self, limit: u64) -> Result<()> {
        match (self.kind, self.second) {
            (Kind::Cpu, true) => self.write("cpu.max", &format!("{} {PERIOD_US}", PERIOD_US * limit / 1000)),
            (Kind::Cpu, false) => {
                self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                self.write("cpu.cfs_quota_us", &(PERIOD_US * limit / 1000).to_string())
            }
            (Kind::Memory, true) => self.write("memory.max", &limit.to_string()),
            (Kind::Memory, false) => self.write("memory.limit_in_bytes", &limit.to_string()),
        }
    }

    /// Takes the limit away.
    pub fn free(&self) -> Result<()> {
        match (self.kind, self.second) {
            (Kind::Cpu, true) => self.write("cpu.max", "max"),
            (Kind::Cpu, false) => self.write("cpu.cfs_quota_us", "-1"),
            (Kind::Memory, true) => self.write("memory.max", "max"),
            (Kind::Memory, false) => self.write("memory.limit_in_bytes", "-1"),
        }
    }

    /// How often the limit bit: periods throttled, or allocations that met the limit.
    pub fn bites(&self) -> u64 {
        let (file, name) = match (self.kind, self.second) {
            (Kind::Cpu, _) => ("cpu.stat", "nr_throttled"),
            (Kind::Memory, true) => ("memory.events", "max"),
            (Kind::Memory, false) => ("memory.failcnt", ""),
        };
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let of_line = |line: &str| line.strip_prefix(name).and_then(|rest| rest.trim().parse().ok());
        text.lines().find_map(of_line).unwrap_or(0)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {text} to {}", path.display()))
    }
}

/// Makes one and removes it.
pub(crate) fn try_one(kind: Kind, tag: &Tag) -> Result<()> {
    let group = Cgroup::make(kind, &tag.probe())?;
    let limited = group.limit(1 << 30).and_then(|()| group.free());
    fs::remove_dir(&group.path).with_context(|| format!("cannot remove {}", group.path.display()))?;
    limited
}

/// Every group there is, of both kinds.
pub(crate) fn all() -> Vec<PathBuf> {
    let parents = [Kind::Cpu, Kind::Memory].into_iter().filter_map(|kind| parent(kind).ok());
    let entries = parents.filter_map(|(path, _)| fs::read_dir(path).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
