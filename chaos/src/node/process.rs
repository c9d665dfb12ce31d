//! The process of a node.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::machine::command::find;

/// How long a polite stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often to look whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How much of a log is shown.
const TAIL_LINES: usize = 15;

/// What a node is started with.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its id.
    pub node: u64,
    /// The program.
    pub binary: PathBuf,
    /// Its folder, for its log.
    pub folder: PathBuf,
    /// Where its data is.
    pub data: PathBuf,
    /// The arguments after `flotilla node`, without those of a birth.
    pub arguments: Vec<String>,
    /// Its namespace's file, if it lives in one.
    pub space: Option<PathBuf>,
}

/// A node's process, running or not. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Process {
    plan: Plan,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Not running yet.
    pub fn new(plan: Plan) -> Self {
        Self { plan, child: Mutex::new(None) }
    }

    /// What it is started with.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it writes its log.
    pub fn log(&self) -> PathBuf {
        self.plan.folder.join("log")
    }

    /// Starts it with further arguments and variables; gives its pid.
    pub fn start(&self, more: &[String], variables: &[(OsString, OsString)]) -> Result<u32> {
        let node = self.plan.node;
        ensure!(self.pid().is_none(), "node {node} runs already");
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command()?;
        command.args(more);
        for name in outside_settings() {
            command.env_remove(name);
        }
        command.envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start node {node}"))?;
        let pid = child.id();
        *self.lock() = Some(child);
        Ok(pid)
    }

    /// Each program before the node's replaces itself by the next, so that the pid stays.
    fn command(&self) -> Result<Command> {
        let mut line: Vec<OsString> = Vec::new();
        if let Some(space) = &self.plan.space {
            let mut net = OsString::from("--net=");
            net.push(space);
            line.extend(["nsenter".into(), net]);
        }
        // A node must not outlive a run that was killed.
        line.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
        line.push(self.plan.binary.clone().into());
        line.push("node".into());
        let program = find(&line[0].to_string_lossy()).context("setpriv and nsenter are in util-linux")?;
        let mut command = Command::new(program);
        command.args(&line[1..]).args(&self.plan.arguments);
        Ok(command)
    }

    /// Its pid while it runs; paused counts.
    pub fn pid(&self) -> Option<u32> {
        let mut child = self.lock();
        let child = child.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// How it ended, if it was started and ended by itself.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Forgets a process that ended by itself.
    pub fn forget(&self) {
        let mut child = self.lock();
        if child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            *child = None;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let node = self.plan.node;
        let Some(pid) = self.pid() else { bail!("node {node} does not run: {}", self.tail()) };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal node {node}"))
    }

    /// SIGKILL; gives what shows that it worked.
    pub fn kill(&self) -> Result<String> {
        self.signal(Signal::KILL)?;
        let mut child = self.lock().take().context("it ran a moment ago")?;
        let status = child.wait()?;
        let node = self.plan.node;
        ensure!(status.signal() == Some(9), "node {node} was killed and ended with {status}");
        Ok(format!("pid {} died of signal 9", child.id()))
    }

    /// SIGTERM; waits until it has ended well.
    pub async fn stop(&self) -> Result<String> {
        self.signal(Signal::TERM)?;
        let (node, until) = (self.plan.node, Instant::now() + STOP_MAX);
        loop {
            if let Some(status) = self.ended() {
                let pid = self.lock().take().map_or(0, |child| child.id());
                ensure!(
                    status.success(),
                    "node {node} was stopped politely and ended with {status}:\n{}",
                    self.tail()
                );
                return Ok(format!("pid {pid} stopped"));
            }
            ensure!(Instant::now() < until, "node {node} did not stop within {STOP_MAX:?}:\n{}", self.tail());
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// The kernel's letter for its state: R, S, D, T (stopped) ...
    pub fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// The whole log so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.lock().take() {
            // It may have ended by itself; then there is nothing to kill.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Environment variables that would change what is tested.
fn outside_settings() -> impl Iterator<Item = OsString> {
    let ours = |name: &OsString| name.to_string_lossy().starts_with("FLOTILLA_");
    std::env::vars_os().map(|(name, _)| name).filter(ours)
}
