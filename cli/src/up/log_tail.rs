//! The end of a node's log, for the moment it dies.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the log is looked at, and how many lines are shown.
const TAIL_BYTES: u64 = 16 * 1024;
const TAIL_LINES: usize = 10;

/// The last lines, indented; says so if there are none.
pub fn tail(log: &Path) -> String {
    let text = read_end(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return format!("  (there is nothing in {})", log.display());
    }
    let from = lines.len().saturating_sub(TAIL_LINES);
    let shown: Vec<_> = lines[from..].iter().map(|line| format!("  {line}")).collect();
    format!("  {} ends with:\n{}", log.display(), shown.join("\n"))
}

fn read_end(log: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut text = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
