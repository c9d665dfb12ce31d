//! The page over many runs: what was run, what was found, what happened at least once.

use std::collections::BTreeMap;

use super::document;
use super::gathered::Gathered;
use super::html::{escape, shortened};
use super::lights::CHECKED;
use super::sections::{self, Verdict};
use super::table::Table;
use super::time::{count, duration};
use crate::record::{Line, Outcome};

/// More runs than these are only counted; those that broke come first.
const ROWS_MAX: usize = 500;
const WHAT_MAX: usize = 160;

/// One run in a line.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    name: String,
    verdict: Verdict,
    /// The first thing found wrong.
    what: String,
    span_ns: u64,
    operations: u64,
    faults: u64,
    again: String,
    counts: BTreeMap<String, u64>,
    /// Where its page is, seen from the index.
    page: Option<String>,
}

impl Summary {
    /// The summary of a record; `page` is where its page is, seen from the index.
    pub fn new(lines: &[Line], page: Option<String>) -> Self {
        let all = Gathered::new(lines);
        let ok = |operation: &&&crate::record::Operation| matches!(operation.outcome, Outcome::Ok(_));
        let first = all.violations.first();
        Self {
            name: sections::name(&all),
            verdict: Verdict::of(&all),
            what: first
                .map(|first| format!("{}: {}", first.by, first.what.lines().next().unwrap_or_default()))
                .unwrap_or_default(),
            span_ns: all.span_ns,
            operations: all.operations.iter().filter(ok).count() as u64,
            faults: all.faults.len() as u64,
            again: all.run.map(|run| run.again.clone()).unwrap_or_default(),
            counts: all.end.map(|end| end.counts.clone()).unwrap_or_default(),
            page,
        }
    }

    /// Whether something wrong was found in the run.
    pub fn is_broken(&self) -> bool {
        self.verdict == Verdict::Broken
    }
}

/// Many runs, with what people keep about them by hand.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Night {
    /// Its name.
    pub title: String,
    /// The runs.
    pub runs: Vec<Summary>,
    /// Bugs found: seed, what, why, fix.
    pub bugs: Option<Table>,
    /// Planted bugs and how many seeds found them.
    pub planted: Option<Table>,
    /// Counts that must not be zero over all runs.
    pub wanted: Vec<String>,
}

/// The page over many runs.
pub fn index(night: &Night) -> String {
    let planted = section("Planted bugs", "planted", night.planted.as_ref());
    let bugs = section("Bugs found", "bugs", night.bugs.as_ref());
    let body = [header(night), figures(night), runs(night), bugs, planted, marks(night)];
    document(&night.title, "", &body.concat())
}

fn header(night: &Night) -> String {
    let of = |verdict: Verdict| night.runs.iter().filter(|run| run.verdict == verdict).count() as u64;
    let (broken, nothing, missing) = (of(Verdict::Broken), of(Verdict::Nothing), missing(night).len());
    let mut words =
        vec![format!("{} of {} runs held", count(of(Verdict::Held)), count(night.runs.len() as u64))];
    words.extend((broken > 0).then(|| format!("{} broke", count(broken))));
    words.extend((nothing > 0).then(|| format!("{} without a verdict", count(nothing))));
    words.extend((missing > 0).then(|| format!("never happened: {missing} of {}", night.wanted.len())));
    let class = if broken > 0 || missing > 0 {
        "red"
    } else if nothing > 0 || night.runs.is_empty() {
        "grey"
    } else {
        "green"
    };
    let title = escape(&night.title);
    format!(
        "<header class=\"{class}\"><p class=\"name\">{title}</p><h1 id=\"verdict\">{}</h1></header>",
        words.join(", ")
    )
}

fn figures(night: &Night) -> String {
    let sum = |of: fn(&Summary) -> u64| night.runs.iter().map(of).fold(0, u64::saturating_add);
    let hours = sum(|run| run.span_ns) as f64 / 3.6e12;
    let figures = [
        ("runs", count(night.runs.len() as u64)),
        ("hours in the runs", if hours < 10.0 { format!("{hours:.2}") } else { format!("{hours:.0}") }),
        ("acknowledged", count(sum(|run| run.operations))),
        ("faults", count(sum(|run| run.faults))),
        ("runs that broke", count(sum(|run| u64::from(run.is_broken())))),
        (
            "bugs in the ledger",
            night.bugs.as_ref().map_or_else(|| "-".to_owned(), |bugs| count(bugs.rows.len() as u64)),
        ),
    ];
    let figures = figures.map(|(name, figure)| format!("<div><dt>{name}</dt><dd>{figure}</dd></div>"));
    format!("<dl class=\"figures\">{}</dl>", figures.concat())
}

/// A table that people keep, if one was handed over.
fn section(title: &str, id: &str, table: Option<&Table>) -> String {
    let Some(table) = table else { return String::new() };
    let inner = match table.rows.is_empty() {
        true => "<p class=\"note\">none yet</p>".to_owned(),
        false => table.html(id),
    };
    format!("<section><h2>{title}</h2>{inner}</section>")
}

fn runs(night: &Night) -> String {
    let mut runs: Vec<&Summary> = night.runs.iter().collect();
    runs.sort_by_key(|run| run.verdict);
    let rows: String = runs.iter().take(ROWS_MAX).map(|run| row(run)).collect();
    let more = runs.len().saturating_sub(ROWS_MAX);
    let more = if more > 0 {
        format!("<p class=\"note\">and {} more</p>", count(more as u64))
    } else {
        String::new()
    };
    format!(
        "<section><h2>Runs</h2><div class=\"wide\"><table id=\"runs\"><thead><tr><th>run</th><th>verdict</th><th>duration</th>\
         <th>acknowledged</th><th>faults</th><th>found, and how to run it again</th></tr></thead><tbody>{rows}</tbody></table></div>{more}</section>"
    )
}

fn row(run: &Summary) -> String {
    let name = escape(&run.name);
    let name = match &run.page {
        Some(page) => format!("<a href=\"{}\">{name}</a>", escape(&link(page))),
        None => name,
    };
    let verdict = match run.verdict {
        Verdict::Broken => "broken",
        Verdict::Nothing => "no verdict",
        Verdict::Held => "held",
    };
    let found = match run.verdict {
        Verdict::Held => String::new(),
        _ => format!("{} <code>{}</code>", escape(&shortened(&run.what, WHAT_MAX)), escape(&run.again)),
    };
    format!(
        "<tr><td class=\"number\">{name}</td><td><span class=\"lamp {}\">{verdict}</span></td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{found}</td></tr>",
        run.verdict.class(),
        duration(run.span_ns),
        count(run.operations),
        count(run.faults),
    )
}

/// A relative path as a link: it cannot become a scheme such as `javascript:`.
fn link(page: &str) -> String {
    let escaped = page.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    escaped.collect()
}

/// Sums over all runs: what must have happened, and what did.
fn sums(night: &Night) -> BTreeMap<&str, u64> {
    let mut sums: BTreeMap<&str, u64> = night.wanted.iter().map(|name| (&name[..], 0)).collect();
    for (name, number) in night.runs.iter().flat_map(|run| &run.counts) {
        let sum = sums.entry(name).or_default();
        *sum = sum.saturating_add(*number);
    }
    sums
}

fn missing(night: &Night) -> Vec<&str> {
    let sums = sums(night);
    night.wanted.iter().map(|name| &name[..]).filter(|name| sums[name] == 0).collect()
}

fn marks(night: &Night) -> String {
    let one = |(name, sum): (&str, u64), wanted: bool| {
        let class = match (wanted, sum) {
            (true, 0) => "red",
            (true, _) => "green",
            (false, _) => "grey",
        };
        let state = if sum == 0 { "never".to_owned() } else { format!("{}×", count(sum)) };
        let name = escape(name);
        format!(
            "<li class=\"{class}\" data-mark=\"{name}\"><span>{}</span><em>{state}</em></li>",
            name.replace('_', " ")
        )
    };
    let is_wanted = |name: &str| night.wanted.iter().any(|wanted| wanted == name);
    let (checked, happened): (Vec<_>, Vec<_>) =
        sums(night).into_iter().partition(|(name, _)| name.starts_with(CHECKED));
    let (wanted, other): (Vec<_>, Vec<_>) = happened.into_iter().partition(|(name, _)| is_wanted(name));
    let checked: Vec<_> = checked.into_iter().map(|(name, sum)| (&name[CHECKED.len()..], sum)).collect();
    let list = |title: &str, id: &str, marks: Vec<(&str, u64)>, wanted: bool| {
        let marks: String = marks.into_iter().map(|mark| one(mark, wanted)).collect();
        let list = format!("<h2>{title}</h2><ul class=\"lights marks\" id=\"{id}\">{marks}</ul>");
        if marks.is_empty() { String::new() } else { list }
    };
    format!(
        "<section>{}{}{}</section>",
        list("What must happen sometimes", "sometimes", wanted, true),
        list("What was checked", "checked", checked, false),
        list("What else was counted", "counted", other, false)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{End, Run, Violation};

    fn run(seed: u64, broken: bool) -> Summary {
        let counts = [("elected".to_owned(), seed)].into();
        let mut lines = vec![
            Line::Run(Run {
                kind: "sim".into(),
                seed: Some(seed),
                again: format!("sim <{seed}>"),
                ..Run::default()
            }),
            Line::End(End { at_ns: 3_600_000_000_000, counts, ..End::default() }),
        ];
        if broken {
            let what = "two groups <b>serve</b>".to_owned();
            lines.push(Line::Violation(Violation { at_ns: 1, by: "I4".into(), what, key: None }));
        }
        Summary::new(&lines, Some(format!("{seed}.html")))
    }

    #[test]
    fn broken_runs_come_first_and_what_never_happened_is_red() {
        let bugs = Table::read("| seed | what | fix |\n|---|---|---|\n| 2 | lost <i>write</i> | abc |", "");
        let wanted = vec!["elected".to_owned(), "snapshot_installed".to_owned()];
        let night = Night {
            title: "a night".into(),
            runs: vec![run(1, false), run(2, true)],
            bugs,
            wanted,
            ..Night::default()
        };
        let page = index(&night);
        assert!(page.find("2.html").expect("a link") < page.find("1.html").expect("a link"));
        for part in [
            "0 of 2 runs held, 1 broke, 1 without a verdict, never happened: 1 of 2",
            "lost &lt;i&gt;write",
            "sim &lt;2&gt;",
            "class=\"red\" data-mark=\"snapshot_installed\"",
            "class=\"green\" data-mark=\"elected\"",
            "<dd>2.00</dd>",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(!page.contains("<b>serve"));
    }

    #[test]
    fn a_link_stays_a_path() {
        assert_eq!(link("pages/7.html"), "pages/7.html");
        assert_eq!(link("javascript:alert(1)\"<"), "javascript%3Aalert%281%29%22%3C");
    }
}
