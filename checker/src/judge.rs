//! All checkers on one history, and whether they agree.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::record::{Operation, Outcome, Violation};
use crate::text::Text;
use crate::verdict::{Limits, Verdict};
use crate::{porcupine, search, tokens, versions};

/// The verdicts of all checkers.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdicts {
    /// A, B, C, D.
    pub each: Vec<Verdict>,
    /// Where they contradict each other, which means that one of them is wrong.
    pub disagreements: Vec<Violation>,
}

impl Verdicts {
    /// Whether nothing is wrong.
    pub fn hold(&self) -> bool {
        self.violations().next().is_none()
    }

    /// Everything that is wrong.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.each.iter().flat_map(|verdict| &verdict.violations).chain(&self.disagreements)
    }

    /// The letters of those who found something.
    pub fn found_by(&self) -> String {
        self.each.iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.by).collect()
    }
}

/// Judges a history.
pub fn judge(history: &[Operation]) -> Verdicts {
    judge_within(history, &Limits::default())
}

/// Judges a history within limits.
pub fn judge_within(history: &[Operation], limits: &Limits) -> Verdicts {
    let each = vec![
        timed(|| versions::check(history, limits)),
        timed(|| search::check(history, limits)),
        timed(|| porcupine::check(history, limits)),
        timed(|| tokens::check(history)),
    ];
    let disagreements = disagreements(history, &each);
    Verdicts { each, disagreements }
}

fn timed(check: impl FnOnce() -> Verdict) -> Verdict {
    let began = Instant::now();
    let verdict = check();
    Verdict { took: began.elapsed(), ..verdict }
}

fn flagged(verdict: &Verdict) -> BTreeSet<&Text> {
    verdict.violations.iter().filter_map(|violation| violation.key.as_ref()).collect()
}

fn open(verdict: &Verdict) -> BTreeSet<&Text> {
    verdict.open.iter().map(|(key, _)| key).collect()
}

/// B and C know the same, so they say the same. Whom they flag, A flags as well if no outcome is unknown: it knows
/// more. What D flags has no order.
fn disagreements(history: &[Operation], each: &[Verdict]) -> Vec<Violation> {
    let [a, b, c, d] = each else { return Vec::new() };
    let unknown: BTreeSet<&Text> =
        history.iter().filter(|op| matches!(op.outcome, Outcome::Unknown { .. })).map(|op| &op.key).collect();
    let (in_a, in_b, in_c, in_d) = (flagged(a), flagged(b), flagged(c), flagged(d));
    let (open_a, open_b, open_c) = (open(a), open(b), open(c));
    let decided = |key: &&&Text| !open_b.contains(**key) && !open_c.contains(**key);
    let mut found = Vec::new();
    found.extend(in_b.symmetric_difference(&in_c).filter(decided).map(|key| ("B and C", *key)));
    let plain = |key: &&&Text| !unknown.contains(**key) && !open_a.contains(**key);
    found.extend(in_b.difference(&in_a).filter(plain).map(|key| ("A and B", *key)));
    found.extend(in_d.difference(&in_b).filter(decided).map(|key| ("B and D", *key)));
    found.into_iter().map(|(who, key)| disagreement(who, key)).collect()
}

fn disagreement(who: &str, key: &Text) -> Violation {
    let what = format!("key {key}: {who} disagree, so one of these checkers is wrong");
    Violation { at_ns: 0, by: who.to_owned(), what, key: Some(key.clone()) }
}
