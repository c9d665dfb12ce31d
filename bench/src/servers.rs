//! What servers on this machine cost: processor time, memory, bytes written.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The socket table's code for a listening one.
const LISTENING: &str = "0A";

/// Processes of this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Processes {
    pids: BTreeSet<u32>,
}

/// What they had used at some moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Usage {
    /// Processor time, in user and system mode.
    pub cpu: Duration,
    /// Memory that is resident now.
    pub resident_bytes: u64,
    /// Bytes handed to the disk.
    pub written_bytes: u64,
}

impl Processes {
    /// These processes.
    pub fn new(pids: impl IntoIterator<Item = u32>) -> Self {
        Self { pids: pids.into_iter().collect() }
    }

    /// The process that runs this.
    pub fn own() -> Self {
        Self::new([std::process::id()])
    }

    /// Those that listen on the ports of these endpoints, as far as the endpoints are of this machine and we may look.
    pub fn listening(endpoints: &[String]) -> Self {
        let ports: BTreeSet<u16> = endpoints.iter().filter_map(|endpoint| local_port(endpoint)).collect();
        let inodes: BTreeSet<String> =
            ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listeners(table, &ports)).collect();
        Self::new(processes().filter(|pid| has_socket(*pid, &inodes)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// What they have used until now; a process that is gone counts as nothing.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for usage in self.pids.iter().filter_map(|pid| usage(*pid)) {
            sum.cpu += usage.cpu;
            sum.resident_bytes += usage.resident_bytes;
            sum.written_bytes += usage.written_bytes;
        }
        sum
    }
}

fn local_port(endpoint: &str) -> Option<u16> {
    let (host, port) = endpoint.rsplit_once(':')?;
    let local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    local.then(|| port.parse().ok()).flatten()
}

/// The inodes of listening sockets on these ports, from a table of the kernel.
fn listeners(table: &str, ports: &BTreeSet<u16>) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| listener(line, ports)).collect()
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`
fn listener(line: &str, ports: &BTreeSet<u16>) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let found = *fields.get(3)? == LISTENING && ports.contains(&port);
    found.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_socket(pid: u32, inodes: &BTreeSet<String>) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| inodes.contains(target)))
}

fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let memory = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    // Only the owner of a process may see what it wrote.
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let pages: u64 = memory.split_whitespace().nth(1)?.parse().ok()?;
    Some(Usage {
        cpu: cpu(&stat)?,
        resident_bytes: pages * rustix::param::page_size() as u64,
        written_bytes: written(&io),
    })
}

/// Fields 14 and 15 are ticks in user and system mode; the name in field 2 may hold blanks and parentheses.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn written(io: &str) -> u64 {
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port_and_its_work_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let found = Processes::listening(std::slice::from_ref(&endpoint));
        assert_eq!(found, Processes::own());
        let before = found.usage();
        let begun = std::time::Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(300) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let after = found.usage();
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(after.resident_bytes > 100_000, "{after:?}");
        drop(listener);
        assert!(Processes::listening(&[endpoint]).is_empty());
        assert!(Processes::listening(&["example.org:80".to_owned()]).is_empty());
    }

    #[test]
    fn a_strange_name_does_not_confuse() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu(stat), Some(Duration::from_secs_f64(200.0 / ticks)));
        assert_eq!(cpu("nonsense"), None);
    }
}
