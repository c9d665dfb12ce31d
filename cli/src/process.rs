//! The process of a node that `up` started: known by its pid file, and by its command line in case the pid is another's.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A process that is known to be a node's.
#[derive(Clone, Debug)]
pub struct Process {
    pid: i32,
    data: PathBuf,
}

impl Process {
    /// The process with this pid, which runs the node whose data is in `data`.
    pub fn new(pid: u32, data: PathBuf) -> Self {
        Self { pid: i32::try_from(pid).unwrap_or(0), data }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        runs_on(self.pid, &self.data)
    }

    /// Asks it to stop. One that has gone meanwhile has stopped.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it at once.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a node's data is.
pub fn data_dir(node_dir: &Path) -> PathBuf {
    node_dir.join("data")
}

fn pid_file(node_dir: &Path) -> PathBuf {
    node_dir.join("pid")
}

/// The process of the node in this directory, if it runs.
pub fn running(node_dir: &Path) -> Option<Process> {
    let pid: u32 = fs::read_to_string(pid_file(node_dir)).ok()?.trim().parse().ok()?;
    let process = Process::new(pid, data_dir(node_dir));
    process.is_alive().then_some(process)
}

/// Writes the pid file.
pub fn remember(node_dir: &Path, pid: u32) -> Result<()> {
    let path = pid_file(node_dir);
    crate::cluster_dir::write_whole(&path, format!("{pid}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Removes the pid file: the node was stopped on purpose.
pub fn forget(node_dir: &Path) -> Result<()> {
    let path = pid_file(node_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether the node was stopped on purpose, or never started.
pub fn is_forgotten(node_dir: &Path) -> bool {
    !pid_file(node_dir).exists()
}

/// A pid is used again some day, so the command line must name the node's data directory.
fn runs_on(pid: i32, data: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut arguments = line.split(|byte| *byte == 0).skip(1);
    arguments.next() == Some(b"node") && arguments.any(|argument| argument == data.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_pid_is_not_ours() {
        let me = Process::new(std::process::id(), PathBuf::from("/nowhere/node-1/data"));
        assert!(!me.is_alive());
        assert!(!Process::new(0, PathBuf::new()).is_alive());
    }
}
