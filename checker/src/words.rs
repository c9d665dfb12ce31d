//! Operations in words, for people who look at a verdict.

use crate::record::{Action, Answer, Expected, Operation, Outcome};
use crate::text::Text;

/// How many bytes of a value are shown: a hot key's value is long, and what counts stands at its end.
const SHOWN_BYTES_MAX: usize = 72;

/// One operation in one line: who, what, what came of it, when.
pub fn operation(op: &Operation) -> String {
    let until = op.returned_ns.map_or_else(|| "?".to_owned(), time);
    format!(
        "client {} {} -> {}  [{} .. {until}]",
        op.client,
        action(&op.action),
        outcome(op),
        time(op.called_ns)
    )
}

/// Some operations, a line each, indented, in the order of their calls.
pub fn operations<'a>(ops: impl IntoIterator<Item = &'a Operation>) -> String {
    let mut ops: Vec<&Operation> = ops.into_iter().collect();
    ops.sort_by_key(|op| op.called_ns);
    ops.into_iter().map(|op| format!("\n  {}", operation(op))).collect()
}

/// A stamp in seconds.
pub fn time(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}

/// A value, shortened in its middle if it is long.
pub fn value(text: &Text) -> String {
    let bytes = text.bytes();
    if bytes.len() <= SHOWN_BYTES_MAX {
        return format!("{text:?}");
    }
    let (head, tail) = (&bytes[..SHOWN_BYTES_MAX / 3], &bytes[bytes.len() - 2 * SHOWN_BYTES_MAX / 3..]);
    format!("\"{}...{}\" ({} bytes)", head.escape_ascii(), tail.escape_ascii(), bytes.len())
}

/// A value or its absence.
pub fn maybe(text: Option<&Text>) -> String {
    text.map_or_else(|| "nothing".to_owned(), value)
}

fn action(action: &Action) -> String {
    match action {
        Action::Get => "get".to_owned(),
        Action::Put { value: new } => format!("put {}", value(new)),
        Action::Append { value: suffix } => format!("append {}", value(suffix)),
        Action::Delete => "delete".to_owned(),
        Action::Swap { expected, new } => {
            let new = new.as_ref().map_or_else(|| "nothing (remove)".to_owned(), value);
            format!("swap {} for {new}", self::expected(expected))
        }
    }
}

fn expected(expected: &Expected) -> String {
    match expected {
        Expected::Absent => "nothing".to_owned(),
        Expected::Value(text) => value(text),
        Expected::Version(version) => format!("version {version}"),
    }
}

fn outcome(op: &Operation) -> String {
    match &op.outcome {
        Outcome::Ok(answer) => answered(&op.action, answer),
        Outcome::Fail { why } => format!("certainly not done ({why})"),
        Outcome::Unknown { why } => format!("outcome unknown ({why})"),
    }
}

fn answered(action: &Action, answer: &Answer) -> String {
    let what = match action {
        Action::Get => maybe(answer.value.as_ref()),
        Action::Delete if !answer.done => "was not there".to_owned(),
        Action::Swap { .. } if !answer.done => "was not as expected".to_owned(),
        _ => "done".to_owned(),
    };
    let version = answer.version.map(|version| format!(", version {version}")).unwrap_or_default();
    let config = answer.config.map(|config| format!(", config {config}")).unwrap_or_default();
    let gid = answer.gid.map(|gid| format!(", group {gid}")).unwrap_or_default();
    format!("{what}{version}{config}{gid}")
}
