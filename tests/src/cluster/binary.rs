//! The `flotilla` binary under test, and what one run of it said.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::process::Command as AsyncCommand;

/// The binary next to the running test: `target/<profile>/deps/<test>` lies one folder below it.
pub fn flotilla() -> PathBuf {
    let test = std::env::current_exe().expect("a running test knows its own path");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = profile.join("flotilla");
    assert!(
        path.is_file(),
        "{} is not there. Build it: cargo build --release -p flotilla-cli (make test builds it, too)",
        path.display()
    );
    path
}

/// A command that dies with this test, however the test dies. Call it from a thread that outlives the process: the
/// kernel looks at the thread that spawned it.
pub fn bound_to_us(program: &Path) -> Command {
    // util-linux; without it an interrupted test leaves its nodes behind, nothing worse.
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Environment variables that would change what we test.
pub fn outside_settings() -> Vec<OsString> {
    let ours = |name: &OsString| name.to_string_lossy().starts_with("FLOTILLA_");
    std::env::vars_os().map(|(name, _)| name).filter(ours).collect()
}

/// What one run of the binary said.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was run.
    pub line: String,
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Insists on an exit code and on words in what was said (both streams); gives the run back.
    #[track_caller]
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        let Run { line, out, err, .. } = &self;
        assert_eq!(self.code, code, "{line}\nstdout: {out}\nstderr: {err}");
        let said = format!("{out}{err}").to_lowercase();
        for word in words {
            assert!(
                said.contains(&word.to_lowercase()),
                "{line} does not say {word:?}\nstdout: {out}\nstderr: {err}"
            );
        }
        assert!(!said.contains("panicked"), "{line} panicked\n{err}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{}: {error}: {}", self.line, self.out))
    }
}

/// Runs `flotilla` with these arguments, nothing on standard input, and no settings from outside.
pub async fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    run_with(arguments, Stdio::null()).await
}

/// The same, with something on standard input.
pub async fn run_with<S: AsRef<OsStr>>(arguments: &[S], stdin: Stdio) -> Run {
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
    // Long values make unreadable messages.
    let words: Vec<String> = words.into_iter().map(|word| word.chars().take(60).collect()).collect();
    let mut command = AsyncCommand::new(flotilla());
    command.args(arguments).stdin(stdin).kill_on_drop(true);
    for name in outside_settings() {
        command.env_remove(name);
    }
    let output = command.output().await.expect("the binary can be started");
    Run {
        line: format!("flotilla {}", words.join(" ")),
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
