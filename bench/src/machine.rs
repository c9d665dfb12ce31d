//! What a figure was measured on.

use std::fs;

use serde::Serialize;

/// The machine that this runs on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many threads it runs at once, for us.
    pub cores: usize,
    /// Its memory, in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
    /// How many tasks wanted to run when it began, averaged over a minute: above nothing, something else was going on.
    pub load: String,
}

impl Machine {
    /// This one. What cannot be found out is said to be unknown.
    pub fn here() -> Self {
        let cpus = read("/proc/cpuinfo");
        let memory = read("/proc/meminfo");
        let kib =
            field(&memory, "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            processor: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib.unwrap_or(0) / 1024,
            kernel: known(read("/proc/sys/kernel/osrelease").trim()),
            load: known(read("/proc/loadavg").split_whitespace().next().unwrap_or_default()),
        }
    }

    /// In one sentence.
    pub fn words(&self) -> String {
        let Self { processor, cores, memory_mib, kernel, load } = self;
        let gib = *memory_mib as f64 / 1024.0;
        format!("{cores} cores ({processor}), {gib:.0} GiB, Linux {kernel}, load {load} at the start")
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn known(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::here();
        assert!(machine.cores >= 1 && machine.memory_mib > 100, "{machine:?}");
        assert!(!machine.kernel.is_empty() && machine.words().contains("cores"));
    }
}
