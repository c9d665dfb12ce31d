//! A light for each invariant: green if it was looked at and held, red if not, grey if nobody looked.
//!
//! Green needs a word from whoever ran the checks: the run's counts hold `checked_I4` and the like, how often each was
//! looked at. A record without these has grey lights, because silence proves nothing.

use std::collections::BTreeMap;

use super::gathered::Gathered;
use crate::judge::Verdicts;
use crate::record::{End, Violation};

/// What a count's name begins with if it says how often something was checked.
pub const CHECKED: &str = "checked_";

/// What views alone can show to be broken, as it is named in [`Violation::by`].
const SHOWN_BY_VIEWS: [&str; 6] = ["I4", "I5", "I6", "terms", "leaders", "commits"];

/// The counts that say what was looked at, for the end of a record: each verdict by the keys it judged; by the views
/// what they alone can show, if all of them were shown to [`crate::invariants::Invariants`]; once each of `besides`.
pub fn checked(verdicts: &Verdicts, views: u64, besides: &[&str]) -> BTreeMap<String, u64> {
    let judged = verdicts.each.iter().map(|verdict| (verdict.by, verdict.keys as u64));
    let seen = SHOWN_BY_VIEWS.map(|name| (name, views));
    let all = judged.chain(seen).chain(besides.iter().map(|name| (*name, 1)));
    all.filter(|(_, count)| *count > 0).map(|(name, count)| (format!("{CHECKED}{name}"), count)).collect()
}

/// One promise, who can show that it was broken, and what it says.
pub(super) struct Promise {
    pub id: &'static str,
    /// Names in [`Violation::by`] and behind [`CHECKED`].
    pub shown_by: &'static [&'static str],
    pub words: &'static str,
}

const fn promise(id: &'static str, shown_by: &'static [&'static str], words: &'static str) -> Promise {
    Promise { id, shown_by, words }
}

/// The invariants I1 to I13.
pub(super) const PROMISES: [Promise; 13] = [
    promise("I1", &["I1", "A", "B", "C"], "each key's history is linearizable"),
    promise("I2", &["I2", "A", "D"], "no acknowledged write is lost"),
    promise("I3", &["I3", "D"], "each append acts exactly once"),
    promise("I4", &["I4"], "one group at most serves a shard"),
    promise("I5", &["I5"], "configurations come in order"),
    promise("I6", &["I6"], "equal index, equal digest"),
    promise("I7", &["I7"], "key space whole, nothing left behind"),
    promise("I8", &["I8"], "shards that stay show no gap"),
    promise("I9", &["I9", "liveness"], "once healed, all converges"),
    promise("I10", &["I10"], "disk and memory stay bounded"),
    promise("I11", &["I11"], "a dump is one cut and restores"),
    promise("I12", &["I12", "floor"], "faults fired and there was traffic"),
    promise("I13", &["I13", "panic"], "no panic, nothing leaks"),
];

/// The four verdicts on histories.
pub(super) const JUDGES: [Promise; 4] = [
    promise("A", &["A"], "versions, the whole run"),
    promise("B", &["B"], "search, values only"),
    promise("C", &["C"], "porcupine, values only"),
    promise("D", &["D"], "append tokens"),
];

/// What a light shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Light {
    /// Looked at this often, and it held.
    Green(u64),
    /// Broken this often.
    Red(u64),
    /// Nobody looked.
    Grey,
}

/// The light of one promise.
pub(super) fn light(promise: &Promise, violations: &[&Violation], end: Option<&End>) -> Light {
    let mine = |by: &str| promise.shown_by.iter().any(|name| name.eq_ignore_ascii_case(by));
    let broken = violations.iter().filter(|violation| mine(&violation.by)).count() as u64;
    let counts = end.map(|end| &end.counts).into_iter().flatten();
    let looked = counts.filter(|(name, _)| name.strip_prefix(CHECKED).is_some_and(mine));
    match (broken, looked.map(|(_, count)| count).sum()) {
        (0, 0) => Light::Grey,
        (0, looked) => Light::Green(looked),
        (broken, _) => Light::Red(broken),
    }
}

/// Names in `by` that no promise answers to, each with how often it was broken, and what was looked at besides.
pub(super) fn others(all: &Gathered<'_>) -> Vec<(String, Light)> {
    let known = |by: &str| {
        PROMISES.iter().flat_map(|promise| promise.shown_by).any(|name| name.eq_ignore_ascii_case(by))
    };
    let mut others = BTreeMap::new();
    for (name, count) in all.end.map(|end| &end.counts).into_iter().flatten() {
        let name = name.strip_prefix(CHECKED).filter(|name| !known(name) && *count > 0);
        others.extend(name.map(|name| (name.to_owned(), Light::Green(*count))));
    }
    for violation in all.violations.iter().filter(|violation| !known(&violation.by)) {
        let light = others.entry(violation.by.clone()).or_insert(Light::Grey);
        let before = if let Light::Red(count) = light { *count } else { 0 };
        *light = Light::Red(before + 1);
    }
    others.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_looked_at_counts() {
        let counts = checked(&crate::judge(&[]), 40, &["I9"]);
        assert_eq!((counts.get("checked_I4"), counts.get("checked_I9")), (Some(&40), Some(&1)));
        assert_eq!(counts.get("checked_A"), None, "it judged no key");
        assert!(!checked(&crate::judge(&[]), 0, &[]).contains_key("checked_I4"));
    }

    #[test]
    fn silence_is_no_proof() {
        let end = End { counts: [("checked_i4".to_owned(), 7)].into(), ..End::default() };
        let violation = Violation { at_ns: 1, by: "D".into(), what: String::new(), key: None };
        let lights = |id: &str| {
            let promise = PROMISES.iter().find(|promise| promise.id == id).expect("a promise");
            light(promise, &[&violation], Some(&end))
        };
        assert_eq!(["I4", "I3", "I5"].map(lights), [Light::Green(7), Light::Red(1), Light::Grey]);
    }
}
