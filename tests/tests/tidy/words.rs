//! Words that product code must not hold: `unwrap()`, and a TODO that does not say why it may wait.

use crate::repo::{ROOMS, files, name, read, root, sources};
use crate::rust::{line_of, product};

/// Spelled so that this file does not accuse itself.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// The lines on which blanked code calls `unwrap()`.
fn unwraps(code: &str) -> Vec<usize> {
    code.match_indices(".unwrap()").map(|(at, _)| line_of(code, at)).collect()
}

/// The lines with a mark that is not followed by a reason in parentheses.
fn bare_marks(text: &str) -> Vec<usize> {
    let bare = |line: &str| {
        MARKS
            .iter()
            .any(|mark| line.split(mark).skip(1).any(|after| !has_reason(after)) && is_mark(line, mark))
    };
    text.lines().enumerate().filter(|(_, line)| bare(line)).map(|(at, _)| at + 1).collect()
}

fn has_reason(after: &str) -> bool {
    let reason = after.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    reason.is_some_and(|(reason, _)| !reason.trim().is_empty())
}

/// Whether the mark stands as a word of its own.
fn is_mark(line: &str, mark: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == mark)
}

#[test]
fn product_code_does_not_unwrap() {
    let mut found = Vec::new();
    for room in ROOMS {
        for source in sources(room) {
            let path = name(&source.path);
            found.extend(unwraps(&source.code).iter().map(|line| format!("{path}:{line}")));
        }
    }
    assert!(found.is_empty(), "handle it, or expect(\"why it cannot fail\"):\n{}\n", found.join("\n"));
}

#[test]
fn what_waits_says_why() {
    let mut found = Vec::new();
    for dir in ROOMS.iter().chain(&["scripts"]) {
        for path in files(&root().join(dir), &["rs", "proto", "sh"]) {
            let lines = bare_marks(&read(&path));
            found.extend(lines.iter().map(|line| format!("{}:{line}", name(&path))));
        }
    }
    // Files of this test speak about the marks in their comments.
    found.retain(|place| !place.starts_with("tests/tests/tidy"));
    assert!(found.is_empty(), "write {}(reason), or do it:\n{}\n", MARKS[0], found.join("\n"));
}

#[test]
fn saboteurs_are_flagged() {
    let code = "fn a() {\n    x.unwrap();\n    \"y.unwrap()\";\n    // z.unwrap()\n}\n#[cfg(test)]\nmod tests { fn b() { t.unwrap(); } }\n";
    assert_eq!(unwraps(&product(code).code), [2]);
    let [todo, fixme, _] = MARKS;
    let text = format!(
        "// {todo}\n// {todo}(waits for the dump format)\n// {todo}()\n// {fixme}: soon\nlet {todo}S = 1;\n"
    );
    assert_eq!(bare_marks(&text), [1, 3, 4]);
}
