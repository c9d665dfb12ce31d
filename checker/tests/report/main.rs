//! The report page, made from a run that never was, and opened in a real browser.

mod browser;
mod run;

use flotilla_checker::report;

/// What a page of the broken run must show once its scripts ran: how often at least, and what.
const PARTS: [(usize, &str); 21] = [
    (1, "data-drawn=\"yes\""),
    (2, "<canvas"),
    (1, "data-points=\"401\""),
    (1, "id=\"lanes\"><svg"),
    (5, "data-fault="),
    (6, "data-role=\"leader\""),
    (1, "data-role=\"candidate\""),
    (1, "data-state=\"down\""),
    (1, "data-state=\"paused\""),
    (1, "data-state=\"silent\""),
    (12, "data-phase=\"serving\""),
    (1, "data-phase=\"pulling\""),
    (1, "data-phase=\"sealed\""),
    (2, "data-mark=\"elected\""),
    (13, "data-light=\"I"),
    (1, "<li class=\"red\" data-light=\"I1\">"),
    (1, "<li class=\"green\" data-light=\"I4\">"),
    (1, "<li class=\"grey\" data-light=\"I11\">"),
    (1, "class=\"operation impossible\""),
    (150, "class=\"arrow\""),
    (10, "class=\"arrow lost\""),
];

fn missing(opened: &browser::Opened) -> Vec<String> {
    let too_few = |(least, part): &&(usize, &str)| opened.dom.matches(part).count() < *least;
    let parts = PARTS.iter().filter(too_few);
    let mut missing: Vec<_> = parts.map(|(least, part)| format!("{part}, {least} times")).collect();
    if opened.dom.contains("data-errors") {
        missing.push("a page without errors".to_owned());
    }
    missing.extend(opened.console.iter().map(|line| format!("a silent console: {line}")));
    missing
}

fn browser() -> Option<std::path::PathBuf> {
    let found = browser::chromium();
    if found.is_none() {
        println!("SKIPPED: chromium is not installed (apt-get install chromium), so no page was opened");
    }
    found
}

#[test]
fn a_browser_shows_all_parts() {
    let Some(chromium) = browser() else { return };
    let opened = browser::open(&chromium, "all", &report::page(&run::record(20_000, true)));
    let missing = missing(&opened);
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
    assert!(
        opened.dom.contains("<title>sim seed 4711</title>"),
        "a key became a script that changed the title"
    );
    assert!(!opened.dom.contains("<script>document.title"), "a key became an element");
}

#[test]
fn a_saboteur_without_data_is_found() {
    let Some(chromium) = browser() else { return };
    let page = report::page(&run::record(2_000, true));
    let (before, rest) = page.split_once("id=\"data\">").expect("the data's element");
    let after = rest.split_once("</script>").expect("its end").1;
    let opened = browser::open(&chromium, "empty", &format!("{before}id=\"data\"></script>{after}"));
    let missing = missing(&opened);
    assert!(
        missing.len() > 12,
        "a page without data passes: only these are missing:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_run_that_held_has_no_red() {
    let page = report::page(&run::record(2_000, false));
    assert!(page.contains("Held: nothing wrong was found"));
    assert!(!page.contains("<li class=\"red\"") && !page.contains("id=\"violations\""));
}

#[test]
fn a_long_run_makes_a_small_page() {
    for lines in [run::record(100_000, true), run::big()] {
        let page = report::page(&lines);
        assert!(page.len() < 2_000_000, "{} bytes", page.len());
    }
}

#[test]
fn no_text_of_a_run_becomes_markup() {
    let mut lines = run::record(100, true);
    let evil = "</script><script>alert(1)</script><!--";
    for line in &mut lines {
        use flotilla_checker::record::Line;
        match line {
            Line::Run(run) => {
                run.again = evil.into();
                run.kind = evil.into();
                run.version = evil.into();
                run.choices.insert(evil.into(), evil.into());
            }
            Line::Fault(fault) => {
                fault.kind = evil.into();
                fault.detail = evil.into();
                fault.evidence = evil.into();
            }
            Line::Event(event) => event.name = evil.into(),
            Line::Violation(violation) => violation.by = evil.into(),
            Line::End(end) => {
                end.counts.insert(evil.into(), 1);
            }
            _ => {}
        }
    }
    let page = report::page(&lines);
    assert!(!page.contains(evil) && !page.contains("<script>alert") && !page.contains("<!--"), "{page}");
}

#[test]
fn strange_records_make_pages_too() {
    use flotilla_checker::record::{End, Line, Violation};
    assert!(report::page(&[]).contains("No verdict: the record ends before the run did"));
    let end = Line::End(End { at_ns: u64::MAX, healed_ns: Some(0), ..End::default() });
    assert!(report::page(&[end]).contains("No verdict: nothing was acknowledged"));
    let lonely =
        Violation { at_ns: u64::MAX, by: "I4".into(), what: String::new(), key: Some("never used".into()) };
    assert!(report::page(&[Line::Violation(lonely)]).contains("Broken: I4"));
}

/// Writes pages to look at: `FLOTILLA_REPORT_DIR=/some/dir cargo test -p flotilla-checker --test report -- --ignored`.
#[test]
#[ignore = "for people who want to see the pages"]
fn pages_to_look_at() {
    use report::{Night, Summary, Table};
    let dir = std::path::PathBuf::from(
        std::env::var_os("FLOTILLA_REPORT_DIR").expect("FLOTILLA_REPORT_DIR names a directory"),
    );
    let mut runs = Vec::new();
    for (name, operations, broken) in [("broken.html", 100_000, true), ("held.html", 20_000, false)] {
        let lines = run::record(operations, broken);
        std::fs::write(dir.join(name), report::page(&lines)).expect("a page");
        runs.push(Summary::new(&lines, Some(name.to_owned())));
    }
    std::fs::write(dir.join("big.html"), report::page(&run::big())).expect("a page");
    let bugs = Table::read(
        "| seed | what | why | fix |\n|---|---|---|---|\n| 4711 | a stale read after a pause | the lease outlived the pause | 1a2b3c4 |",
        "",
    );
    let planted = Table::read(
        "| bug | found | seeds, median | by |\n|---|---|---|---|\n| acknowledge before quorum | 20 of 20 | 3 | A, I6 |\n| vote not synced | 20 of 20 | 41 | leaders |",
        "",
    );
    let wanted = ["elected", "moved", "snapshot_installed", "dedup_hits", "upload_resumed"]
        .map(str::to_owned)
        .to_vec();
    let night = Night { title: "a night of seeds".into(), runs, bugs, planted, wanted };
    std::fs::write(dir.join("index.html"), report::index(&night)).expect("the index");
}
