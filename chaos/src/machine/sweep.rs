//! Nothing stays behind. Everything that a run makes carries its tag: the name of namespaces, devices and cgroups, and
//! the folder that holds mounts, images and the command lines of nodes. One sweep removes all that carries a tag; it runs at
//! the end of a run whatever happens, and at the next start for runs that were killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cgroup;
use super::command::run_now;

/// What every tag begins with. With a pid and a suffix it fits the 15 letters of a device's name.
const PREFIX: &str = "flc";

/// The tag of a run: unique on this machine while its process lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tag(String);

impl Tag {
    /// Of this process.
    pub fn mine() -> Self {
        Self(format!("{PREFIX}{}", std::process::id()))
    }

    /// The tag itself.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// For things that are tried once.
    pub(crate) fn probe(&self) -> String {
        format!("{}p", self.0)
    }

    /// For what belongs to a node.
    pub(crate) fn node(&self, node: u64) -> String {
        format!("{}n{node}", self.0)
    }

    /// The folder that holds everything of the run.
    pub(crate) fn folder(&self, parent: &Path) -> PathBuf {
        parent.join(format!("chaos-{}", self.0))
    }

    /// The tag that a name begins with.
    fn of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then(|| Self(format!("{PREFIX}{digits}")))
    }

    /// Whether some part of a path is this run's folder.
    fn is_in(&self, path: &str) -> bool {
        path.split('/').any(|part| part == format!("chaos-{}", self.0))
    }

    fn is_alive(&self) -> bool {
        Path::new("/proc").join(&self.0[PREFIX.len()..]).exists()
    }
}

/// Sweeps when it goes, also in a panic.
#[derive(Debug)]
pub(crate) struct Sweeper(pub Tag);

impl Drop for Sweeper {
    fn drop(&mut self) {
        for trouble in sweep(&self.0) {
            eprintln!("clean-up: {trouble}");
        }
    }
}

/// Sweeps after runs whose process is gone; gives their tags.
pub fn stale() -> BTreeSet<Tag> {
    let folder = |line: &str| line.split('/').find_map(|part| part.strip_prefix("chaos-").and_then(Tag::of));
    let mut tags: BTreeSet<Tag> = names().iter().filter_map(|name| Tag::of(name)).collect();
    tags.extend(mounts().iter().filter_map(|mount| folder(mount)));
    tags.extend(processes().into_iter().filter_map(|(_, line)| folder(&line)));
    tags.retain(|tag| !tag.is_alive());
    for trouble in tags.iter().flat_map(sweep) {
        eprintln!("clean-up: {trouble}");
    }
    tags
}

/// Removes everything that carries the tag; gives what could not be removed.
fn sweep(tag: &Tag) -> Vec<String> {
    let mut troubles = Vec::new();
    kill(tag);
    for mount in mounts().into_iter().filter(|mount| tag.is_in(mount)) {
        let unmounted = run_now(&["umount", &mount]).or_else(|_| run_now(&["umount", "-l", &mount]));
        troubles.extend(unmounted.err().map(|error| format!("{error:#}")));
    }
    for name in names().into_iter().filter(|name| Tag::of(name).as_ref() == Some(tag)) {
        troubles.extend(remove(&name).err().map(|error| format!("{error:#}")));
    }
    for path in cgroup::all() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if Tag::of(name).as_ref() == Some(tag) {
            troubles.extend(gone(&path).err().map(|error| format!("{}: {error}", path.display())));
        }
    }
    troubles
}

/// A cgroup can be removed once the kernel has buried its processes.
fn gone(path: &Path) -> std::io::Result<()> {
    let mut tried = fs::remove_dir(path);
    for _ in 0..100 {
        if tried.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        tried = fs::remove_dir(path);
    }
    tried
}

fn kill(tag: &Tag) {
    for (pid, line) in processes() {
        if tag.is_in(&line)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    for _ in 0..250 {
        if !processes().iter().any(|(_, line)| tag.is_in(line)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Namespaces and devices.
fn names() -> Vec<String> {
    let spaces = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let devices = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    spaces.chain(devices).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn remove(name: &str) -> anyhow::Result<String> {
    if Path::new("/run/netns").join(name).exists() {
        return run_now(&["ip", "netns", "del", name]);
    }
    // One end of a pair goes with the other.
    if !Path::new("/sys/class/net").join(name).exists() {
        return Ok(String::new());
    }
    // It may still be going with its namespace; then it is gone by now.
    run_now(&["ip", "link", "del", name]).or_else(|error| {
        let gone = !Path::new("/sys/class/net").join(name).exists();
        if gone { Ok(String::new()) } else { Err(error) }
    })
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let paths = table.lines().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned));
    paths.collect()
}

/// Other processes that may be nodes or tracers of ours, with their command lines. This one is not among them, nor is anybody
/// who merely looks at our files: only what was started by the run has its folder after one of these words.
fn processes() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let ours = words.get(1).is_some_and(|word| word == "node") || words[0].ends_with("strace");
        if ours && pid != std::process::id().cast_signed() {
            found.push((pid, words.join(" ").replace(' ', "/")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_what_carries_it() {
        let tag = Tag("flc12".to_owned());
        assert_eq!(Tag::of("flc12n3"), Some(tag.clone()));
        assert_ne!(Tag::of("flc123n3"), Some(tag.clone()));
        assert_eq!(Tag::of("eth0"), None);
        assert_eq!(Tag::of("flcx"), None);
        assert!(tag.is_in("/tmp/chaos-flc12/node-1/disk"));
        assert!(!tag.is_in("/tmp/chaos-flc123/node-1/disk"));
    }
}
