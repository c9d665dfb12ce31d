//! `flotilla report` as people run it: one record, several, and files that are none.

use std::path::Path;
use std::process::Command;

const RUN: &str = r#"{"line":"run","kind":"sim","seed":7,"again":"flotilla-sim --seed 7","version":"0.1.0"}"#;
const VIOLATION: &str = r#"{"line":"violation","at_ns":5,"by":"I4","what":"two groups serve shard 3"}"#;
const END: &str = r#"{"line":"end","at_ns":1000,"counts":{"checked_I4":9}}"#;
const LEDGER: &str =
    "# Testing\n\n## The bug ledger\n\n| seed | what |\n|---|---|\n| 7 | a shard served twice |\n";

fn report(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flotilla")).arg("report").args(arguments).output();
    let output = output.expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn place(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a file");
    path.display().to_string()
}

#[test]
fn a_record_becomes_a_page_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = place(directory.path(), "seed-7.jsonl", &[RUN, VIOLATION, END].join("\n"));
    let (code, said) = report(&[&record]);
    assert_eq!(code, Some(0), "{said}");
    let page = std::fs::read_to_string(directory.path().join("seed-7.html")).expect("a page");
    assert!(page.contains("Broken: I4") && page.contains("flotilla-sim --seed 7"));
}

#[test]
fn several_records_get_an_index_with_the_ledger() {
    let directory = tempfile::tempdir().expect("a directory");
    let broken = place(directory.path(), "7.jsonl", &[RUN, VIOLATION, END].join("\n"));
    let cut = place(directory.path(), "8.jsonl", &[RUN, &END[..20]].join("\n"));
    let bugs = place(directory.path(), "Testing.md", LEDGER);
    let pages = directory.path().join("pages");
    let (code, said) =
        report(&[&broken, &cut, "--output", &pages.display().to_string(), "--bugs", &bugs, "--night"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("line 2 is cut off"), "{said}");
    let index = std::fs::read_to_string(pages.join("index.html")).expect("an index");
    for part in [
        "1 broke, 1 without a verdict",
        "href=\"7.html\"",
        "href=\"8.html\"",
        "a shard served twice",
        "class=\"red\" data-mark=\"dedup_hits\"",
    ] {
        assert!(index.contains(part), "{part} is missing");
    }
    assert!(pages.join("7.html").exists() && pages.join("8.html").exists());
}

#[test]
fn what_is_no_record_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = place(directory.path(), "a.jsonl", &format!("{RUN}\n{{\"line\":\"opp\"}}\n{END}\n"));
    let missing = directory.path().join("none.jsonl").display().to_string();
    let no_table = place(directory.path(), "words.md", "# Words\n");
    let pages = directory.path().display().to_string();
    let good = place(directory.path(), "b.jsonl", END);
    for (arguments, words) in [
        (&[&record[..]][..], "line 2 is no line of a record"),
        (&[&missing], "cannot read"),
        (&[&good, &good], "--output"),
        (&[&good, &good, "-o", &pages], "rename one"),
        (&[&good, "--bugs", &no_table], "--output a directory"),
        (&[&good, "-o", &pages, "--bugs", &no_table], "holds no table"),
    ] {
        let (code, said) = report(arguments);
        assert!(code == Some(2) && said.contains(words), "{arguments:?} does not say {words:?} but: {said}");
    }
}
