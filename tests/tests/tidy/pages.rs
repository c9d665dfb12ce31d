//! Pages do not lie about the house: what they name exists, and each has one title.

use std::path::Path;

use crate::repo::{files, name, read, root};

/// The text of a page without its fenced blocks: those show commands and pictures.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

/// Paths of this repository between backticks: they begin with the name of something at the root.
fn named_paths(page: &str, at_root: &[String]) -> Vec<String> {
    let prose = prose(page);
    let spans = prose.split('`').skip(1).step_by(2);
    let paths = spans.filter(|span| span.contains('/') && !span.contains([' ', '*', '<', '{', '\n']));
    let paths = paths.map(|path| path.split(':').next().unwrap_or_default().trim_end_matches('/').to_owned());
    paths.filter(|path| at_root.iter().any(|top| path.split('/').next() == Some(top))).collect()
}

/// Targets of relative links.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    relative.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

fn titles(page: &str) -> usize {
    prose(page).lines().filter(|line| line.starts_with("# ")).count()
}

/// What stands at the root, without what building makes.
fn at_root() -> Vec<String> {
    let entries = std::fs::read_dir(root()).expect("the root can be read");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| !["target", ".git", ".tools", ".flotilla"].contains(&&name[..])).collect()
}

fn complaints(path: &Path, page: &str, at_root: &[String]) -> Vec<String> {
    let place = name(path);
    let mut found = Vec::new();
    for named in named_paths(page, at_root).iter().filter(|named| !root().join(named).exists()) {
        found.push(format!("{place} names {named}, which does not exist"));
    }
    let folder = path.parent().expect("a page stands in a folder");
    for target in links(page).iter().filter(|target| !folder.join(target).exists()) {
        found.push(format!("{place} links to {target}, which does not exist"));
    }
    if titles(page) != 1 {
        found.push(format!(
            "{place} has {} titles (lines that start with one #); a page has one",
            titles(page)
        ));
    }
    found
}

#[test]
fn pages_name_what_exists_and_have_one_title() {
    let pages = files(&root(), &["md"]);
    assert!(pages.len() > 5, "the book is missing: only {} pages found", pages.len());
    let top = at_root();
    let found: Vec<_> = pages.iter().flat_map(|path| complaints(path, &read(path), &top)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn saboteurs_are_flagged() {
    let top = ["types".to_owned(), "scripts".to_owned()];
    let path = root().join("wiki/Home.md");
    let count = |page: &str| complaints(&path, page, &top).len();
    assert_eq!(
        count("# T\n`types/src/lib.rs:12`, `get/put`, `types/src/`\n```\n# not a title\n`types/no`\n```\n"),
        0
    );
    assert_eq!(count("# T\nsee `types/src/no_such_file.rs`\n"), 1);
    assert_eq!(
        count("# T\nsee [it](No-such-page.md) and [that](https://example.org/) and [this](#part)\n"),
        1
    );
    assert_eq!(count("# T\n# U\n"), 1);
    assert_eq!(count("no title\n"), 1);
}
