//! `flotilla check --history FILE`: the checkers on a recorded run.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Result;
use flotilla_checker::record::Violation;
use flotilla_checker::recorded::{self, Judged};
use flotilla_checker::{Verdict, read};
use serde_json::{Value, json};

use crate::args::Common;
use crate::{exit, output};

/// How many violations, and open keys, of one checker are written out.
const SHOWN_MAX: usize = 5;

/// Reads, judges, tells.
pub fn run(common: &Common, path: &Path) -> Result<()> {
    let shown = path.display();
    let file = File::open(path).map_err(|why| exit::misuse(format!("cannot open {shown}: {why}")))?;
    let lines = read::lines(BufReader::new(file));
    let judged = recorded::judge(lines).map_err(|why| exit::misuse(format!("{shown}: {why}")))?;
    if judged.history.is_empty() {
        return Err(exit::misuse(format!("{shown} holds no operation, so there is nothing to judge")));
    }
    if common.json {
        output::json(&value(&judged))?;
    } else {
        output::raw(&[text(&judged).as_bytes()])?;
    }
    if judged.holds() { Ok(()) } else { Err(exit::no("the record shows a promise that was not kept")) }
}

fn text(judged: &Judged) -> String {
    let mut text = String::new();
    let mut say = |words: &str| {
        text += words;
        text += "\n";
    };
    if let Some(run) = &judged.run {
        say(&format!("{} run of {}; again with: {}", run.kind, run.version, run.again));
    }
    say(&format!("{} operations, {} views", judged.history.len(), judged.views));
    for verdict in &judged.verdicts.each {
        say(&verdict.to_string());
        list(&verdict.violations, &mut say);
        for (key, why) in verdict.open.iter().take(SHOWN_MAX) {
            say(&format!("  open: key {key}: {why}"));
        }
    }
    section("the checkers disagree", &judged.verdicts.disagreements, &mut say);
    section("what nodes said of themselves, and faults that did not fire", &judged.invariants, &mut say);
    section("what the run itself found", &judged.recorded, &mut say);
    say(if judged.holds() { "everything holds" } else { "NOT everything holds" });
    text
}

fn section(title: &str, violations: &[Violation], say: &mut impl FnMut(&str)) {
    if !violations.is_empty() {
        say(&format!("{title}: {} VIOLATIONS", violations.len()));
        list(violations, say);
    }
}

fn list(violations: &[Violation], say: &mut impl FnMut(&str)) {
    for violation in violations.iter().take(SHOWN_MAX) {
        say(&format!("  {}: {}", violation.by, violation.what.replace('\n', "\n  ")));
    }
    if violations.len() > SHOWN_MAX {
        say(&format!("  ... and {} more", violations.len() - SHOWN_MAX));
    }
}

fn value(judged: &Judged) -> Value {
    let verdict = |verdict: &Verdict| {
        let open: Vec<_> = verdict.open.iter().map(|(key, why)| json!({ "key": key, "why": why })).collect();
        json!({
            "by": verdict.by, "holds": verdict.holds(), "keys": verdict.keys, "open": open,
            "violations": verdict.violations,
        })
    };
    json!({
        "holds": judged.holds(),
        "operations": judged.history.len(),
        "views": judged.views,
        "verdicts": judged.verdicts.each.iter().map(verdict).collect::<Vec<_>>(),
        "disagreements": judged.verdicts.disagreements,
        "invariants": judged.invariants,
        "recorded": judged.recorded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_checker::generate::{Break, Shape, broken, history};
    use flotilla_checker::record::Line;

    fn told(history: Vec<flotilla_checker::record::Operation>) -> String {
        text(&recorded::judge(history.into_iter().map(|op| Ok(Line::Op(op)))).unwrap())
    }

    #[test]
    fn a_verdict_names_the_key_and_the_operations() {
        let shape = Shape::default();
        let good = told(history(1, &shape));
        assert!(good.contains("A: holds") && good.ends_with("\neverything holds\n"), "{good}");
        let bad = told(broken(1, &shape, Break::StaleRead).unwrap());
        assert!(bad.contains("A: VIOLATED") && bad.contains("B: VIOLATED"), "{bad}");
        assert!(bad.contains("key key-") && bad.contains(" get -> "), "{bad}");
        assert!(bad.ends_with("\nNOT everything holds\n"), "{bad}");
    }
}
