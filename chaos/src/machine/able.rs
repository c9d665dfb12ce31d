//! What this machine lets us do. Nothing is believed: each ability is tried once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cgroup;
use super::command::{find, run_now};
use super::sweep::Tag;

/// Something that a fault needs of the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// Network namespaces, each node in its own.
    Spaces,
    /// Packet filters in them.
    Packets,
    /// A file system of its own for each node, which can be cut off.
    Disks,
    /// Failing or slow system calls.
    Calls,
    /// Clocks of single processes.
    Clocks,
    /// Limits on a process's CPU time.
    Cpu,
    /// Limits on a process's memory.
    Memory,
}

const ALL: [Need; 7] =
    [Need::Spaces, Need::Packets, Need::Disks, Need::Calls, Need::Clocks, Need::Cpu, Need::Memory];

impl Need {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Spaces => "network namespaces",
            Self::Packets => "packet filters",
            Self::Disks => "a disk for each node",
            Self::Calls => "failing system calls",
            Self::Clocks => "clocks of single processes",
            Self::Cpu => "CPU limits",
            Self::Memory => "memory limits",
        }
    }
}

/// What the machine can do, and why not where it cannot.
#[derive(Clone, Debug)]
pub struct Able {
    found: BTreeMap<Need, Result<(), String>>,
}

impl Able {
    /// Tries everything.
    pub fn find(tag: &Tag) -> Self {
        let found = ALL.map(|need| {
            let tried = try_one(need, tag).map_err(|error| format!("{error:#}"));
            (need, tried)
        });
        Self { found: found.into() }
    }

    /// Whether the machine can do this.
    pub fn can(&self, need: Need) -> bool {
        self.why_not(need).is_none()
    }

    /// Why the machine cannot do this; none: it can.
    pub fn why_not(&self, need: Need) -> Option<&str> {
        self.found.get(&need).and_then(|found| found.as_ref().err()).map(String::as_str)
    }

    /// A line for each ability.
    pub fn words(&self) -> String {
        let line = |(need, found): (&Need, &Result<(), String>)| match found {
            Ok(()) => format!("  yes  {}", need.words()),
            Err(why) => format!("  no   {}: {why}", need.words()),
        };
        self.found.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn try_one(need: Need, tag: &Tag) -> Result<()> {
    match need {
        Need::Spaces => spaces(tag),
        Need::Packets => packets(tag),
        Need::Disks => disks(),
        Need::Calls => calls(),
        Need::Clocks => fake_clock().map(drop),
        Need::Cpu => cgroup::try_one(cgroup::Kind::Cpu, tag),
        Need::Memory => cgroup::try_one(cgroup::Kind::Memory, tag),
    }
}

fn root() -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "needs root");
    Ok(())
}

fn tool(program: &str, package: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("{program} is missing: install {package}"))
}

fn spaces(tag: &Tag) -> Result<()> {
    root()?;
    tool("ip", "iproute2")?;
    tool("nsenter", "util-linux")?;
    let name = tag.probe();
    run_now(&["ip", "netns", "add", &name])?;
    run_now(&["ip", "netns", "del", &name]).map(drop)
}

fn packets(tag: &Tag) -> Result<()> {
    root()?;
    tool("iptables", "iptables")?;
    let name = tag.probe();
    run_now(&["ip", "netns", "add", &name])?;
    let inside = format!("--net=/run/netns/{name}");
    let drops =
        run_now(&["nsenter", &inside, "iptables", "-w", "-A", "INPUT", "-s", "10.9.9.9", "-j", "DROP"]);
    let rejects = run_now(&[
        "nsenter",
        &inside,
        "iptables",
        "-w",
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "-s",
        "10.9.9.9",
        "-j",
        "REJECT",
        "--reject-with",
        "tcp-reset",
    ]);
    run_now(&["ip", "netns", "del", &name])?;
    drops.and(rejects).map(drop)
}

fn disks() -> Result<()> {
    root()?;
    tool("mkfs.ext4", "e2fsprogs")?;
    tool("mount", "mount")?;
    ensure!(Path::new("/dev/loop-control").exists(), "there are no loop devices");
    Ok(())
}

fn calls() -> Result<()> {
    tool("strace", "strace")?;
    let line = ["strace", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"];
    run_now(&line)?;
    // Some systems let nobody but a parent trace a process that already runs.
    let mut other = Command::new("sleep").arg("10").spawn().context("cannot run sleep")?;
    let attached = attach(other.id());
    // It may have ended by itself.
    drop(other.kill());
    drop(other.wait());
    attached
}

fn attach(pid: u32) -> Result<()> {
    let pid = pid.to_string();
    let said = run_now(&[
        "timeout",
        "--preserve-status",
        "-s",
        "INT",
        "0.3",
        "strace",
        "-o",
        "/dev/null",
        "-p",
        &pid,
    ]);
    match said {
        Err(error) if format!("{error:#}").contains("not permitted") => Err(error),
        _ => Ok(()),
    }
}

/// The library that gives a process another clock.
pub(crate) fn fake_clock() -> Result<PathBuf> {
    library(&["faketime/libfaketimeMT.so.1"], "faketime")
}

/// The library that turns every sync into nothing.
pub(crate) fn lying_disk() -> Result<PathBuf> {
    library(&["libeatmydata.so", "libeatmydata.so.1"], "eatmydata")
}

fn library(names: &[&str], package: &str) -> Result<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let mut paths =
        folders.iter().flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
    paths.find(|path| path.exists()).with_context(|| format!("{} is missing: install {package}", names[0]))
}
