//! The story of a key about which something was found wrong: its operations, the impossible one marked, and why.
//!
//! The impossible operation is the one that ended (or, without an end, was called) at the stamp of the violation: that
//! is how checkers stamp what they find. If there is none, no operation is marked, and the stamp is drawn instead.

use serde::Serialize;

use super::gathered::Gathered;
use super::html::shortened;
use super::time::{duration, moment, ms};
use super::traffic::latency;
use crate::record::{Action, Answer, Expected, Operation, Outcome, Text};

/// More keys than these are only named.
const KEYS_MAX: usize = 4;
/// Operations of one key that are drawn, around the impossible one.
const OPERATIONS_MAX: usize = 240;
/// Characters of a value that are kept; its end tells more than its beginning.
const VALUE_HEAD: usize = 14;
const VALUE_TAIL: usize = 34;
/// So many equal characters in a row are padding.
const PADDING_MIN: usize = 5;
/// Characters of a reason that are kept.
const WHY_MAX: usize = 400;

/// One key with what was found wrong about it.
#[derive(Serialize)]
pub(super) struct Offence {
    key: String,
    shard: Option<u32>,
    found: Vec<Finding>,
    operations: Vec<Bar>,
    /// Operations before and after those that are drawn.
    before: usize,
    after: usize,
}

#[derive(Serialize)]
struct Finding {
    at: f64,
    by: String,
    why: String,
}

/// One operation.
#[derive(Serialize)]
struct Bar {
    client: u64,
    called: f64,
    /// None: it never returned.
    returned: Option<f64>,
    /// `read`, `write`, `fail` or `unknown`.
    class: &'static str,
    /// In a word or two.
    label: String,
    /// In full.
    words: String,
    /// Whether it is impossible.
    impossible: bool,
}

/// The stories of the first keys about which something was found wrong.
pub(super) fn offences(all: &Gathered<'_>) -> Vec<Offence> {
    let mut keys: Vec<&Text> = Vec::new();
    for key in all.violations.iter().filter_map(|violation| violation.key.as_ref()) {
        if !keys.contains(&key) && keys.len() < KEYS_MAX {
            keys.push(key);
        }
    }
    keys.into_iter().map(|key| offence(all, key)).collect()
}

fn offence(all: &Gathered<'_>, key: &Text) -> Offence {
    let mine = all.violations.iter().filter(|violation| violation.key.as_ref() == Some(key));
    let stamps: Vec<u64> = mine.clone().map(|violation| violation.at_ns).collect();
    let operations: Vec<_> = all.operations.iter().filter(|operation| operation.key == *key).collect();
    let marked = |operation: &Operation| stamps.contains(&ended(operation));
    let first = stamps.first().copied().unwrap_or_default();
    let middle = operations
        .iter()
        .position(|operation| marked(operation))
        .unwrap_or_else(|| operations.partition_point(|operation| operation.called_ns < first));
    let last_start = operations.len().saturating_sub(OPERATIONS_MAX);
    let from = middle.saturating_sub(OPERATIONS_MAX / 2).min(last_start);
    let to = (from + OPERATIONS_MAX).min(operations.len());
    let found = mine.map(|v| Finding { at: ms(v.at_ns), by: v.by.clone(), why: headline(&v.what) });
    Offence {
        key: key.to_string(),
        shard: all.shards.is_some().then(|| all.shard_of(key)),
        found: found.collect(),
        operations: operations[from..to].iter().map(|operation| bar(operation, marked(operation))).collect(),
        before: from,
        after: operations.len() - to,
    }
}

/// The first line: the page shows the whole above, and what follows here as bars.
fn headline(what: &str) -> String {
    shortened(what.lines().next().unwrap_or_default().trim_end_matches(':'), WHY_MAX)
}

fn ended(operation: &Operation) -> u64 {
    operation.returned_ns.unwrap_or(operation.called_ns)
}

fn bar(operation: &Operation, impossible: bool) -> Bar {
    let class = match (&operation.outcome, &operation.action) {
        (Outcome::Fail { .. }, _) => "fail",
        (Outcome::Unknown { .. }, _) => "unknown",
        (Outcome::Ok(_), Action::Get) => "read",
        (Outcome::Ok(_), _) => "write",
    };
    Bar {
        client: operation.client,
        called: ms(operation.called_ns),
        returned: operation.returned_ns.map(ms),
        class,
        label: label(operation),
        words: words(operation),
        impossible,
    }
}

/// What was asked and answered, as short as it goes.
fn label(operation: &Operation) -> String {
    let answer = match &operation.outcome {
        Outcome::Ok(answer) => answer,
        Outcome::Fail { .. } => return format!("{} ✗", asked(&operation.action)),
        Outcome::Unknown { .. } => return format!("{} ?", asked(&operation.action)),
    };
    let version = answer.version.map(|version| format!(" @{version}")).unwrap_or_default();
    match &operation.action {
        Action::Get => format!("get → {}{version}", maybe(answer.value.as_ref())),
        Action::Delete | Action::Swap { .. } if !answer.done => {
            format!("{} → no{version}", asked(&operation.action))
        }
        action => format!("{}{version}", asked(action)),
    }
}

fn asked(action: &Action) -> String {
    match action {
        Action::Get => "get".to_owned(),
        Action::Put { value } => format!("put {}", quoted(value)),
        Action::Append { value } => format!("append {}", quoted(value)),
        Action::Delete => "delete".to_owned(),
        Action::Swap { expected, new } => {
            let expected = match expected {
                Expected::Absent => "nothing".to_owned(),
                Expected::Value(value) => quoted(value),
                Expected::Version(version) => format!("@{version}"),
            };
            format!("swap {expected} for {}", maybe(new.as_ref()))
        }
    }
}

/// Who, when, how long, and where it was answered.
fn words(operation: &Operation) -> String {
    let asked = asked(&operation.action);
    let called = moment(operation.called_ns);
    let begun = format!("client {}: {asked}, called at {called}", operation.client);
    let ended =
        operation.returned_ns.map(|at| format!("{} after {}", moment(at), duration(latency(operation))));
    let ended = ended.unwrap_or_else(|| "never".to_owned());
    match &operation.outcome {
        Outcome::Ok(answer) => format!("{begun}, answered {ended}: {}", answered(operation, answer)),
        Outcome::Fail { why } => {
            format!("{begun}, certainly not done ({ended}): {}", shortened(why, WHY_MAX))
        }
        Outcome::Unknown { why } => format!("{begun}, outcome unknown: {}", shortened(why, WHY_MAX)),
    }
}

fn answered(operation: &Operation, answer: &Answer) -> String {
    let said = match &operation.action {
        Action::Get => maybe(answer.value.as_ref()),
        _ if answer.done => "done".to_owned(),
        _ => "not done".to_owned(),
    };
    let more = [("version", answer.version), ("configuration", answer.config), ("group", answer.gid)];
    let more = more.iter().filter_map(|(name, number)| Some(format!(", {name} {}", (*number)?)));
    said + &more.collect::<String>()
}

fn maybe(value: Option<&Text>) -> String {
    value.map_or_else(|| "nothing".to_owned(), quoted)
}

/// A value in quotes: padding folded to one `…`, and if it is still long, its beginning and its end.
fn quoted(value: &Text) -> String {
    let folded = folded(&value.to_string());
    let length = folded.chars().count();
    if length <= VALUE_HEAD + VALUE_TAIL {
        return format!("“{folded}”");
    }
    let head: String = folded.chars().take(VALUE_HEAD).collect();
    let tail: String = folded.chars().skip(length - VALUE_TAIL).collect();
    format!("“{head}…{tail}”")
}

/// Long runs of one character, which is how values are made long, as one `…`.
fn folded(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = rest.trim_start_matches(first);
        let run = &rest[..rest.len() - after.len()];
        kept.push_str(if run.chars().count() >= PADDING_MIN { "…" } else { run });
        rest = after;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Line, Violation};

    fn get(client: u64, called_ns: u64, value: &'static str) -> Line {
        let answer = Answer { value: Some(value.into()), done: true, version: Some(4), ..Answer::default() };
        let (action, outcome) = (Action::Get, Outcome::Ok(answer));
        let returned_ns = Some(called_ns + 10);
        Line::Op(Operation { client, key: "k".into(), action, called_ns, returned_ns, outcome })
    }

    #[test]
    fn the_impossible_operation_is_marked() {
        let mut lines: Vec<Line> = (0..1_000).map(|at| get(1, at * 100, "v")).collect();
        let violation =
            Violation { at_ns: 70_010, by: "A".into(), what: "stale".into(), key: Some("k".into()) };
        lines.push(Line::Violation(violation));
        let offences = offences(&Gathered::new(&lines));
        let [offence] = &offences[..] else { panic!("one key") };
        let marked: Vec<_> = offence.operations.iter().filter(|bar| bar.impossible).collect();
        assert_eq!(marked.len(), 1);
        assert_eq!((marked[0].called, &marked[0].label[..]), (0.07, "get → “v” @4"));
        assert_eq!((offence.before, offence.operations.len(), offence.after), (580, 240, 180));
    }

    #[test]
    fn long_values_keep_what_tells_them_apart() {
        let quoted = |text: &str| quoted(&Text::from(text.to_owned()));
        assert_eq!(quoted("5.9............;"), "“5.9…;”");
        assert_eq!(quoted("aaaa"), "“aaaa”");
        let tokens: String = (0..40).map(|at| format!("1.{at};")).collect();
        assert_eq!(quoted(&tokens), "“1.0;1.1;1.2;1.….33;1.34;1.35;1.36;1.37;1.38;1.39;”");
    }
}
