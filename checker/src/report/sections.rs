//! The parts of a page that need no script: verdict, figures, lights, what was found, choices and counts.

use std::collections::BTreeMap;

use super::gathered::Gathered;
use super::html::{escape, shortened};
use super::lights::{self, CHECKED, JUDGES, Light, PROMISES, Promise};
use super::outage::Damage;
use super::time::{count, duration, moment};
use super::traffic::{latency, quantile};
use crate::record::{Outcome, Violation};

/// More violations than these are folded away.
const VIOLATIONS_OPEN: usize = 4;
/// More than these are only counted.
const VIOLATIONS_MAX: usize = 100;
/// Characters of one that are shown.
const WHAT_MAX: usize = 4_000;

/// What a run amounts to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Verdict {
    /// Something is wrong.
    Broken,
    /// The record stops before its last line, or nothing happened in it: no proof of anything.
    Nothing,
    /// Nothing wrong was found.
    Held,
}

impl Verdict {
    pub(super) fn of(all: &Gathered<'_>) -> Self {
        let answered = |operation: &crate::record::Operation| matches!(operation.outcome, Outcome::Ok(_));
        if !all.violations.is_empty() {
            Self::Broken
        } else if all.end.is_none() || !all.operations.iter().any(|operation| answered(operation)) {
            Self::Nothing
        } else {
            Self::Held
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Broken => "red",
            Self::Nothing => "grey",
            Self::Held => "green",
        }
    }
}

/// The run's name, for the title.
pub(super) fn name(all: &Gathered<'_>) -> String {
    let kind = all.run.map_or("run", |run| &run.kind);
    let seed = all.run.and_then(|run| run.seed).map(|seed| format!(" seed {seed}"));
    format!("{kind}{}", seed.unwrap_or_default())
}

/// Verdict, seed and how to run it again.
pub(super) fn header(all: &Gathered<'_>) -> String {
    let verdict = Verdict::of(all);
    let words = match verdict {
        Verdict::Broken => broken(&all.violations),
        Verdict::Nothing if all.end.is_none() => "No verdict: the record ends before the run did".to_owned(),
        Verdict::Nothing => "No verdict: nothing was acknowledged".to_owned(),
        Verdict::Held => "Held: nothing wrong was found".to_owned(),
    };
    let version = all.run.map(|run| format!("<p class=\"version\">{}</p>", escape(&run.version)));
    let again = all.run.filter(|run| !run.again.is_empty()).map(|run| {
        format!(
            "<p class=\"again\"><span>run it again</span><code id=\"again\">{}</code><button id=\"copy\" hidden>copy</button></p>",
            escape(&run.again)
        )
    });
    format!(
        "<header class=\"{}\"><p class=\"name\">{}</p><h1 id=\"verdict\">{}</h1>{}{}</header>",
        verdict.class(),
        escape(&name(all)),
        escape(&words),
        again.unwrap_or_default(),
        version.unwrap_or_default(),
    )
}

fn broken(violations: &[&Violation]) -> String {
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    violations.iter().for_each(|violation| *by.entry(&violation.by).or_default() += 1);
    let by: Vec<_> = by
        .iter()
        .map(|(by, count)| if *count == 1 { (*by).to_owned() } else { format!("{by} ×{count}") })
        .collect();
    format!("Broken: {}", by.join(", "))
}

/// The figures that people ask for first.
pub(super) fn figures(all: &Gathered<'_>, damages: &[Damage<'_>]) -> String {
    let mut latencies: Vec<u64> = Vec::new();
    let [mut fail, mut unknown] = [0, 0];
    for operation in &all.operations {
        match operation.outcome {
            Outcome::Ok(_) => latencies.push(latency(operation)),
            Outcome::Fail { .. } => fail += 1,
            Outcome::Unknown { .. } => unknown += 1,
        }
    }
    latencies.sort_unstable();
    let quantile = |share| quantile(&latencies, share).map_or_else(|| "-".to_owned(), duration);
    let rate = latencies.len() as f64 / (all.span_ns.max(1) as f64 / 1e9);
    let worst = damages.iter().filter_map(Damage::worst).max_by_key(|(_, outage)| outage.length());
    let worst = worst.map_or_else(|| "-".to_owned(), |(_, outage)| duration(outage.length()));
    let figures = [
        ("duration", duration(all.span_ns)),
        ("acknowledged", count(latencies.len() as u64)),
        ("a second", format!("{rate:.0}")),
        ("refused", count(fail)),
        ("unknown", count(unknown)),
        ("latency p50", quantile(0.5)),
        ("p99", quantile(0.99)),
        ("max", quantile(1.0)),
        ("faults", count(all.faults.len() as u64)),
        ("longest outage", worst),
    ];
    let figures = figures.map(|(name, figure)| format!("<div><dt>{name}</dt><dd>{figure}</dd></div>"));
    format!("<dl class=\"figures\">{}</dl>", figures.concat())
}

/// A light for each invariant, each judge, and whoever else had a say.
pub(super) fn lights(all: &Gathered<'_>) -> String {
    let of =
        |promise: &Promise| lamp(promise.id, promise.words, lights::light(promise, &all.violations, all.end));
    let judges: String = JUDGES.iter().map(of).collect();
    let others: String = lights::others(all).iter().map(|(name, light)| lamp(name, "", *light)).collect();
    format!(
        "<section><h2>Invariants</h2><ul class=\"lights\" id=\"invariants\">{}</ul>\
         <h3>Verdicts on the history, and other checks</h3><ul class=\"lights\">{judges}{others}</ul></section>",
        PROMISES.iter().map(of).collect::<String>()
    )
}

fn lamp(id: &str, words: &str, light: Light) -> String {
    let (class, state) = match light {
        Light::Green(1) => ("green", "checked once".to_owned()),
        Light::Green(times) => ("green", format!("checked {}×", count(times))),
        Light::Red(1) => ("red", "broken".to_owned()),
        Light::Red(times) => ("red", format!("broken {times}×")),
        Light::Grey => ("grey", "not checked".to_owned()),
    };
    let id = escape(id);
    format!("<li class=\"{class}\" data-light=\"{id}\"><b>{id}</b><span>{words}</span><em>{state}</em></li>")
}

/// What was found wrong, in words.
pub(super) fn violations(all: &Gathered<'_>) -> String {
    if all.violations.is_empty() {
        return String::new();
    }
    let one = |violation: &&Violation| {
        format!(
            "<li><b>{}</b> <time>{}</time><pre>{}</pre></li>",
            escape(&violation.by),
            moment(violation.at_ns),
            escape(&shortened(&violation.what, WHAT_MAX))
        )
    };
    let told: Vec<String> = all.violations.iter().take(VIOLATIONS_MAX).map(one).collect();
    let (first, more) = told.split_at(told.len().min(VIOLATIONS_OPEN));
    let untold = all.violations.len() - told.len();
    let untold = if untold > 0 { format!("<p>and {untold} that are not shown</p>") } else { String::new() };
    let more = match more.len() {
        0 => String::new(),
        _ => format!(
            "<details><summary>{} more</summary><ol class=\"violations\" start=\"{}\">{}</ol>{untold}</details>",
            all.violations.len() - first.len(),
            first.len() + 1,
            more.concat()
        ),
    };
    format!(
        "<section><h2>What is wrong</h2><ol class=\"violations\" id=\"violations\">{}</ol>{more}</section>",
        first.concat()
    )
}

/// What was drawn or given, and what happened how often.
pub(super) fn choices_and_counts(all: &Gathered<'_>) -> String {
    let choices = all.run.map(|run| &run.choices).into_iter().flatten();
    let choices: Vec<_> = choices.map(|(name, choice)| (name.clone(), choice.clone())).collect();
    let counts = all.end.map(|end| &end.counts).into_iter().flatten();
    let counts = counts.filter(|(name, _)| !name.starts_with(CHECKED));
    let counts: Vec<_> = counts.map(|(name, number)| (name.replace('_', " "), count(*number))).collect();
    format!(
        "<section class=\"pair\"><div><h2>Choices</h2>{}</div><div><h2>Counts</h2>{}</div></section>",
        list("choices", &choices),
        list("counts", &counts)
    )
}

fn list(id: &str, rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return "<p class=\"note\">none recorded</p>".to_owned();
    }
    let row =
        |(name, value): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    format!("<dl class=\"list\" id=\"{id}\">{}</dl>", rows.iter().map(row).collect::<String>())
}
