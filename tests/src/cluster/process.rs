//! One node: a real process with a directory, which can be killed, stopped, paused, started again and wiped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::binary;

/// How long a polite stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to look whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 40;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its id.
    pub node: u64,
    /// 32 hex digits.
    pub cluster: String,
    /// Where it listens.
    pub listen: String,
    /// Where others reach it: itself, or a proxy before it.
    pub advertise: String,
    /// Ids and addresses of the controllers.
    pub controllers: Vec<(u64, String)>,
    /// How many shards the cluster has.
    pub shards: u32,
    /// Settings, as TOML.
    pub settings: String,
}

/// A node process, running or not. Dropping it kills the process.
pub struct NodeProcess {
    plan: NodePlan,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl NodeProcess {
    /// A node that is not running yet, with a directory of its own below `parent`.
    pub fn new(plan: NodePlan, parent: &Path) -> Self {
        let dir = parent.join(format!("node-{}", plan.node));
        fs::create_dir_all(&dir).expect("a temporary directory takes another one");
        fs::write(dir.join("settings.toml"), &plan.settings).expect("a temporary directory takes a file");
        Self { plan, dir, child: Mutex::new(None) }
    }

    /// What it is started with.
    pub fn plan(&self) -> &NodePlan {
        &self.plan
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where it writes its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Starts it; `bootstrap` creates the cluster.
    pub fn start(&self, bootstrap: bool) {
        let mut child = self.child.lock().expect("nobody panics while holding a child");
        assert!(child.is_none(), "node {} runs already", self.plan.node);
        let log = File::options().create(true).append(true).open(self.log()).expect("a log can be opened");
        let mut command = binary::bound_to_us(&binary::flotilla());
        command.args(self.arguments(bootstrap));
        for name in binary::outside_settings() {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        *child = Some(command.spawn().expect("the binary can be started"));
    }

    /// The command line after `flotilla`.
    pub fn arguments(&self, bootstrap: bool) -> Vec<String> {
        let plan = &self.plan;
        let controllers: Vec<_> = plan.controllers.iter().map(|(node, at)| format!("{node}={at}")).collect();
        let pairs = [
            ("--node", plan.node.to_string()),
            ("--cluster", plan.cluster.clone()),
            ("--dir", self.data().display().to_string()),
            ("--listen", plan.listen.clone()),
            ("--advertise", plan.advertise.clone()),
            ("--controllers", controllers.join(",")),
            ("--settings", self.dir.join("settings.toml").display().to_string()),
        ];
        let mut arguments = vec!["node".to_owned()];
        arguments.extend(pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        if bootstrap {
            arguments.extend(["--bootstrap".to_owned(), "--shards".to_owned(), plan.shards.to_string()]);
        }
        arguments
    }

    /// Whether its process is there (paused counts).
    pub fn is_running(&self) -> bool {
        self.ended().is_none() && self.pid().is_some()
    }

    /// How it ended, if it was started and has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().expect("nobody panics while holding a child");
        child.as_mut().and_then(|child| child.try_wait().expect("a child of ours can be waited for"))
    }

    /// Its process, if it was started.
    pub fn pid(&self) -> Option<Pid> {
        self.child.lock().expect("nobody panics while holding a child").as_ref().map(Pid::from_child)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().unwrap_or_else(|| panic!("node {} was not started", self.plan.node));
        assert!(self.is_running(), "node {} has ended by itself:\n{}", self.plan.node, self.tail());
        kill_process(pid, signal).expect("a running child of ours takes signals");
    }

    /// SIGKILL, and proof that it worked.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
        let child = self.child.lock().expect("nobody panics while holding a child").take();
        let status = child.expect("it was running").wait().expect("a child of ours can be waited for");
        assert!(!status.success(), "node {} was killed and says that it ended well", self.plan.node);
    }

    /// SIGTERM; waits until it has ended well.
    pub async fn stop(&self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + STOP_TIMEOUT;
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            let node = self.plan.node;
            assert!(Instant::now() < until, "node {node} did not stop in {STOP_TIMEOUT:?}:\n{}", self.tail());
            sleep(LOOK_INTERVAL).await;
        };
        assert!(status.success(), "node {} stopped with {status}:\n{}", self.plan.node, self.tail());
        self.forget();
    }

    /// SIGSTOP, and proof that it worked.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let state = self.state();
        for _ in 0..500 {
            if self.state() == Some('T') {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("node {} was paused and is in state {state:?}", self.plan.node);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The kernel's letter for the process: R, S, D, T (stopped), Z.
    fn state(&self) -> Option<char> {
        let pid = self.pid()?.as_raw_nonzero();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Forgets an ended process, so that the node can be started again.
    fn forget(&self) {
        *self.child.lock().expect("nobody panics while holding a child") = None;
    }

    /// Starts it again after it was stopped or killed.
    pub fn restart(&self) {
        assert!(!self.is_running(), "node {} runs", self.plan.node);
        self.forget();
        self.start(false);
    }

    /// Removes everything it has on disk; it must not be running.
    pub fn wipe(&self) {
        assert!(!self.is_running(), "node {} runs: its disk cannot be wiped", self.plan.node);
        fs::remove_dir_all(self.data()).expect("a data directory can be removed");
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
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of node {} ---\n{}", self.plan.node, self.tail());
        }
        let child = self.child.get_mut().ok().and_then(Option::take);
        if let Some(mut child) = child {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
