//! A migration in words and as JSON.

use std::fmt::Write as _;

use flotilla_cloud_migration::view::View;
use flotilla_proto::migration_v1::{Record, WorkResponse};
use serde_json::{Value, json};

use crate::table;

/// Everything there is to say, secrets excepted: there are none in a record.
pub fn json(record: &Record, work: &[WorkResponse]) -> Value {
    let mut value = serde_json::to_value(View::of(record)).unwrap_or_default();
    let nodes: Vec<Value> = work.iter().map(node).collect();
    value["work"] = nodes.into();
    value
}

fn node(work: &WorkResponse) -> Value {
    json!({
        "node": work.node,
        "bytes_dumped": work.bytes_dumped,
        "bytes_sent": work.bytes_sent,
        "dump_bytes_per_second": work.dump_bytes_per_second,
        "upload_bytes_per_second": work.upload_bytes_per_second,
        "parts_in_flight": work.parts_in_flight,
        "part_retries": work.part_retries,
        "problem": work.problem,
    })
}

/// For people.
pub fn text(record: &Record, work: &[WorkResponse]) -> String {
    let view = View::of(record);
    let mut text = String::new();
    let mut say = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    say(format!("migration {} (attempt {}): {}, {} %", view.id, view.attempt, view.state, view.progress));
    say(format!("  to {}, read-only until {}", view.target, view.freeze_until));
    if let Some(error) = &view.error {
        let again = if error.retryable { "; flotilla migration retry may help" } else { "" };
        say(format!("  error {} in {}: {}{again}", error.code, error.phase, error.message));
    }
    if let Some(owner) = &view.owner {
        say(format!("  driven by node {} (epoch {})", owner.node, owner.epoch));
    }
    if let Some(freeze) = &view.freeze {
        let window = freeze.read_only_ms.map_or("still on".to_owned(), |ms| format!("{ms} ms"));
        say(format!("  freeze {} at configuration {}: {window}", freeze.id, freeze.config));
    }
    let (dumped, sent) = (table::size(view.bytes_dumped), table::size(view.bytes_uploaded));
    let (planned, files) = (table::size(view.bytes_planned), table::size(view.bytes_files));
    say(format!("  dumped {} of {} files, {dumped} of {planned}", view.files_dumped, view.files));
    say(format!("  in the store {} of {} files, {sent} of {files}", view.files_done, view.files));
    for node in work {
        let problem = if node.problem.is_empty() { String::new() } else { format!("; {}", node.problem) };
        let (dump, send) =
            (table::size(node.dump_bytes_per_second), table::size(node.upload_bytes_per_second));
        say(format!(
            "  node {}: dumps {dump}/s, sends {send}/s, {} retries{problem}",
            node.node, node.part_retries
        ));
    }
    for owed in &view.cleanup_pending {
        say(format!("  to tidy up: {owed}"));
    }
    text
}

/// All of them, a line each.
pub fn list(records: &[Record]) -> String {
    let mut rows = table::table(["id", "state", "%", "files", "size", "target"]);
    for record in records {
        let view = View::of(record);
        let state = if view.cleanup_pending.is_empty() {
            view.state.to_owned()
        } else {
            format!("{}, tidying up", view.state)
        };
        rows.add_row([
            view.id.to_string(),
            state,
            view.progress.to_string(),
            format!("{}/{}", view.files_done, view.files),
            table::size(view.bytes_files),
            view.target,
        ]);
    }
    table::text(&rows)
}
