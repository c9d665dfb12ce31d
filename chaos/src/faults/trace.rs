//! System calls of a running process that fail or take longer: `strace` puts that in.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::machine::command::find;

/// How long it may take to attach to all threads, and to let go of them.
const ATTACH: Duration = Duration::from_millis(500);
const DETACH_MAX: Duration = Duration::from_secs(10);

/// A tracer at work.
#[derive(Debug)]
pub(super) struct Tracer {
    child: Child,
    notes: PathBuf,
}

impl Tracer {
    /// Attaches to a process. `inject` is what to do with each sync, in strace's words.
    pub async fn attach(pid: u32, inject: &str, notes: PathBuf) -> Result<Self> {
        // What an earlier one noted here must not pass for evidence.
        drop(std::fs::remove_file(&notes));
        let mut command = Command::new(find("setpriv").context("setpriv is in util-linux")?);
        command.args(["--pdeathsig", "KILL", "strace", "-f", "-qq", "-o"]).arg(&notes);
        command.args(["-e", "trace=fdatasync,fsync,sync_file_range"]);
        command.args(["-e", &format!("inject=fdatasync,fsync:{inject}"), "-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start strace")?;
        sleep(ATTACH).await;
        ensure!(child.try_wait()?.is_none(), "strace could not attach to process {pid}");
        Ok(Self { child, notes })
    }

    /// How many calls it has tampered with so far.
    pub fn tampered(&self) -> u64 {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        notes.lines().filter(|line| line.contains("INJECTED") || line.contains("DELAYED")).count() as u64
    }

    /// Lets go; gives how many calls it tampered with.
    pub async fn detach(mut self) -> Result<u64> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            // It may have ended with its process.
            let _ = kill_process(pid, Signal::INT);
        }
        if timeout(DETACH_MAX, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(self.tampered())
    }
}
