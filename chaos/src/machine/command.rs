//! Commands of the system.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command; gives its standard output, or an error that holds what it said.
pub(crate) async fn run(line: &[&str]) -> Result<String> {
    let mut command = tokio::process::Command::from(prepared(line)?);
    let output = command.output().await.with_context(|| format!("cannot run {}", line.join(" ")))?;
    judged(line, &output)
}

/// The same, for clean-up, which must also work while everything falls apart.
pub(crate) fn run_now(line: &[&str]) -> Result<String> {
    let output = prepared(line)?.output().with_context(|| format!("cannot run {}", line.join(" ")))?;
    judged(line, &output)
}

fn prepared(line: &[&str]) -> Result<Command> {
    let (program, arguments) = line.split_first().context("an empty command line")?;
    let path = find(program).with_context(|| format!("there is no program {program} on this machine"))?;
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn judged(line: &[&str], output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {}", line.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is. The system's tools are often outside a user's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
