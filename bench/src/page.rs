//! What was measured, as a part of a page of the book.

use std::fmt::Write;

use crate::contest::Row;
use crate::disk::Disk;
use crate::machine::Machine;
use crate::report::Report;
use crate::target::Target;

/// Between these lines of a page stands what was measured; the rest is people's.
const BEGIN: &str = "<!-- measured: begin (flotilla bench matrix writes from here on) -->";
const END: &str = "<!-- measured: end -->";

/// Everything that a page tells.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The day, as `2026-11-20`.
    pub date: String,
    /// What it was measured on.
    pub machine: Machine,
    /// The disk before and after.
    pub disks: [Disk; 2],
    /// For how long each run was measured, and how often.
    pub runs: String,
    /// What each target is, in words.
    pub targets: Vec<(Target, String)>,
    /// What was measured.
    pub rows: Vec<Row>,
}

impl Sheet {
    /// As Markdown; `picture` is the path of the plot, from the page.
    pub fn markdown(&self, picture: &str) -> String {
        let mut text = format!("Measured on {}: {}.\n\n", self.date, self.machine.words());
        let [before, after] = &self.disks;
        let _ = writeln!(
            text,
            "The disk ({}) made a small append durable in {} us (p50) and {} us (p99) before the runs, in {} us and {} us \
             after them. {}",
            before.file_system,
            before.fsync_p50_us,
            before.fsync_p99_us,
            after.fsync_p50_us,
            after.fsync_p99_us,
            self.runs
        );
        text.push('\n');
        for (target, words) in &self.targets {
            let _ = writeln!(text, "* {target}: {words}");
        }
        text.push('\n');
        text.push_str(&table(&self.rows));
        let _ = write!(
            text,
            "\nLatencies are in milliseconds. A ratio is Flotilla's throughput by the peer's, the middle one of the rounds. CPU is \
             processor time of all servers for one operation, in microseconds, and then of the client. Errors: {}. Checks of \
             acknowledged writes and of reads: {}, of which {} failed.\n\n![throughput and latency]({picture})\n",
            self.sum(|report| report.errors),
            self.sum(|report| report.checks),
            self.sum(|report| report.violations),
        );
        text
    }

    fn sum(&self, figure: fn(&Report) -> u64) -> u64 {
        self.rows.iter().flat_map(|row| &row.runs).map(figure).sum()
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| op | clients | connections | target | ops/s | p50 | p99 | max | CPU | ratio |\n".to_owned();
    text.push_str("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|\n");
    for row in rows {
        for report in &row.results {
            let ratio = row.ratios.iter().find(|ratio| ratio.to == report.target);
            let ratio = ratio.map(|ratio| format!("{:.2}", ratio.ops_per_s)).unwrap_or_default();
            text.push_str(&line(report, &ratio));
        }
    }
    text
}

fn line(report: &Report, ratio: &str) -> String {
    let Report { op, clients, connections, target, ops_per_s, .. } = report;
    let ms = |us: u64| format!("{:.2}", us as f64 / 1e3);
    let (p50, p99, max) = (ms(report.p50_us), ms(report.p99_us), ms(report.max_us));
    let servers = report.server_cpu_us_per_op.map_or_else(|| "?".to_owned(), |us| format!("{us:.0}"));
    let cpu = format!("{servers} + {:.0}", report.client_cpu_us_per_op);
    format!(
        "| {op} | {clients} | {connections} | {target} | {ops_per_s:.0} | {p50} | {p99} | {max} | {cpu} | {ratio} |\n"
    )
}

/// The page with this part in the place of what was measured before; none: the page has no such place.
pub fn put_into(page: &str, part: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{part}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measured_part_changes() {
        let page = format!("# Performance\n\nWords.\n\n{BEGIN}\nold\n{END}\n\nMore words.\n");
        let new = put_into(&page, "new\n").unwrap();
        assert!(new.starts_with("# Performance\n\nWords.\n") && new.ends_with("\nMore words.\n"), "{new}");
        assert!(new.contains("new") && !new.contains("old"), "{new}");
        assert_eq!(put_into(&new, "new\n").unwrap(), new);
        assert_eq!(put_into("# Another page\n", "new"), None);
    }
}
