//! Figures for people.

use anyhow::Result;
use flotilla_bench::{Disk, Machine, Ratio, Report, Row};

use crate::output;
use crate::table::{size, table, text};

/// One shape of load: a line for each target, then what one reached by the other.
pub fn row(row: &Row) -> Result<()> {
    let headings = [
        "target",
        "op",
        ">clients",
        ">ops/s",
        ">p50 ms",
        ">p99 ms",
        ">p99.9 ms",
        ">max ms",
        ">gap ms",
        ">errors",
        ">cpu us/op",
    ];
    let mut table = table(headings);
    for report in &row.results {
        table.add_row(cells(report));
    }
    output::raw(&[text(&table).as_bytes()])?;
    row.results.iter().try_for_each(remarks)?;
    row.ratios.iter().try_for_each(|ratio| output::line(words(ratio)))
}

fn cells(report: &Report) -> [String; 11] {
    let ms = |us: u64| format!("{:.2}", us as f64 / 1e3);
    let servers = report.server_cpu_us_per_op.map_or_else(|| "?".to_owned(), |us| format!("{us:.0}"));
    [
        report.target.to_string(),
        report.op.to_string(),
        report.clients.to_string(),
        format!("{:.0}", report.ops_per_s),
        ms(report.p50_us),
        ms(report.p99_us),
        ms(report.p999_us),
        ms(report.max_us),
        format!("{:.1}", report.longest_gap_ms),
        report.errors.to_string(),
        format!("{servers} + {:.0}", report.client_cpu_us_per_op),
    ]
}

/// What a reader of the table should know besides.
fn remarks(report: &Report) -> Result<()> {
    let target = report.target;
    if let Some(first) = &report.first_error {
        output::line(format_args!("{target}: {} operations failed, first: {first}", report.errors))?;
    }
    if let Some(rate) = report.rate.filter(|_| report.unstarted as f64 > 0.01 * report.ops as f64) {
        let unstarted = report.unstarted;
        output::line(format_args!(
            "{target}: cannot keep {rate} operations a second with {} clients: {unstarted} were never sent; latencies grow with the \
             length of the run",
            report.clients
        ))?;
    }
    if report.checks == 0 {
        output::line(format_args!("{target}: nothing was checked (--watch-keys 0)"))?;
    }
    let memory =
        report.server_resident_bytes.map(|bytes| format!(", servers hold {} of memory", size(bytes)));
    let written = report
        .server_written_bytes_per_op
        .map(|bytes| format!(", wrote {bytes:.0} bytes for each operation"));
    output::line(format_args!(
        "{target}: {} checks held{}{}; the last third of the run was {:.2} times as fast as the first",
        report.checks - report.violations.min(report.checks),
        memory.unwrap_or_default(),
        written.unwrap_or_default(),
        report.steadiness
    ))
}

/// A ratio in words.
pub fn words(ratio: &Ratio) -> String {
    let Ratio { of, to, ops_per_s, p50, p99 } = ratio;
    format!(
        "{of} by {to}: {ops_per_s:.2} times the operations, {p50:.2} times the p50, {p99:.2} times the p99"
    )
}

/// What figures were measured on.
pub fn surroundings(disk: &Disk, machine: &Machine) -> Result<()> {
    let Disk { fsync_p50_us, fsync_p99_us, file_system, .. } = disk;
    output::line(format_args!(
        "disk: {file_system}, a small append is durable after {fsync_p50_us} us (p50), {fsync_p99_us} us (p99)"
    ))?;
    output::line(format_args!("machine: {}", machine.words()))
}
