//! The longest function and the longest file of each room may only shrink.
//!
//! Up to a healthy size nobody cares. Above it, the room's record in `tests/tidy.toml` is the limit, and a record that
//! lags far behind must be lowered. `TIDY_RATCHET=write cargo test --release -p flotilla-tests --test tidy` records smaller
//! numbers, and the numbers of a room that has none; a greater one takes a hand, and a reason in the commit.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::{Table, Value};

use crate::repo::{ROOMS, Source, name, read, root, sources};
use crate::rust::functions;

/// One kind of thing that must not grow, in lines.
struct Kind {
    what: &'static str,
    key: &'static str,
    /// Needs no record.
    healthy: usize,
    /// What a room without a record may begin with.
    first: usize,
    /// How far a record may lag behind.
    slack: usize,
}

const FUNCTION: Kind =
    Kind { what: "function", key: "function_lines_max", healthy: 40, first: 70, slack: 10 };
const FILE: Kind = Kind { what: "file", key: "file_lines_max", healthy: 350, first: 450, slack: 60 };

/// The length and place of the longest thing of a kind.
type Longest = (usize, String);

fn longest(sources: &[Source]) -> [(Kind, Longest); 2] {
    let (mut function, mut file) = (Longest::default(), Longest::default());
    for source in sources {
        let path = name(&source.path);
        for found in functions(&source.code) {
            let place = format!("{} at {path}:{}", found.name, found.line);
            function = function.max((found.lines, place));
        }
        file = file.max((source.lines, path));
    }
    [(FUNCTION, function), (FILE, file)]
}

fn record(records: &Table, room: &str, kind: &Kind) -> Option<usize> {
    let number = records.get(room)?.get(kind.key)?.as_integer()?;
    usize::try_from(number).ok()
}

fn complaint(room: &str, kind: &Kind, (lines, place): &Longest, record: Option<usize>) -> Option<String> {
    let what = format!("{room}: the longest {} ({place}) has {lines} lines", kind.what);
    let limit = record.unwrap_or(kind.first).max(kind.healthy);
    if *lines > limit {
        return Some(format!("{what}, the limit is {limit}: split it"));
    }
    let record = record.filter(|record| *record > kind.healthy.max(*lines) + kind.slack)?;
    Some(format!("{what}, the record is {record}: lower it with TIDY_RATCHET=write"))
}

fn complaints(room: &str, measured: &[(Kind, Longest)], records: &Table) -> Vec<String> {
    let of = |(kind, longest): &(Kind, Longest)| complaint(room, kind, longest, record(records, room, kind));
    measured.iter().filter_map(of).collect()
}

/// The records as they should be: healthy rooms have none, and none grows.
fn rewritten(measured: &BTreeMap<&str, [(Kind, Longest); 2]>, records: &Table) -> String {
    let mut text = String::from(
        "# Lines of the longest function and file of each room that is past the healthy size, tests left out.\n\
         # They may only shrink: TIDY_RATCHET=write cargo test --release -p flotilla-tests --test tidy\n",
    );
    for (room, measured) in measured {
        let lines =
            measured.iter().filter(|(kind, (lines, _))| *lines > kind.healthy).map(|(kind, (lines, _))| {
                let lines = record(records, room, kind).map_or(*lines, |old| old.min(*lines));
                format!("{} = {lines}\n", kind.key)
            });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            write!(text, "\n[{room}]\n{lines}").expect("a string grows");
        }
    }
    text
}

#[test]
fn functions_and_files_only_shrink() {
    let path = root().join("tests/tidy.toml");
    let mut records: Table = read(&path).parse().expect("tests/tidy.toml is TOML");
    let measured: BTreeMap<_, _> = ROOMS.map(|room| (room, longest(&sources(room)))).into();
    if std::env::var("TIDY_RATCHET").is_ok_and(|mode| mode == "write") {
        let text = rewritten(&measured, &records);
        std::fs::write(&path, &text).expect("tests/tidy.toml can be written");
        records = text.parse().expect("what we write is TOML");
    }
    let found: Vec<_> = ROOMS.iter().flat_map(|room| complaints(room, &measured[room], &records)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn records_name_rooms_and_kinds_that_exist() {
    let records: Table = read(&root().join("tests/tidy.toml")).parse().expect("tests/tidy.toml is TOML");
    for (room, kinds) in &records {
        assert!(ROOMS.contains(&&room[..]), "tests/tidy.toml: no room is called {room}");
        let mut keys = kinds.as_table().into_iter().flat_map(Table::keys);
        assert!(
            keys.all(|key| *key == FUNCTION.key || *key == FILE.key),
            "tests/tidy.toml: [{room}]: {kinds}"
        );
    }
}

#[test]
fn saboteurs_are_flagged() {
    let records: Table = "[types]\nfunction_lines_max = 60\nfile_lines_max = 450".parse().expect("TOML");
    let of = |function, file| [(FUNCTION, (function, "f".into())), (FILE, (file, "f.rs".into()))];
    let count = |room, function, file| complaints(room, &of(function, file), &records).len();
    assert_eq!(count("types", 60, 450), 0);
    assert_eq!(count("types", 55, 400), 0);
    assert_eq!(count("types", 61, 451), 2, "growth");
    assert_eq!(count("types", 20, 100), 2, "records that lag behind");
    assert_eq!(count("node", FUNCTION.first + 1, 1), 1, "a room that begins badly");
    let text = rewritten(&[("node", of(10, 10)), ("types", of(99, 380))].into(), &records);
    assert!(text.ends_with("\n\n[types]\nfunction_lines_max = 60\nfile_lines_max = 380\n"), "{text}");
    assert!(matches!(text.parse::<Table>().expect("TOML").get("types"), Some(Value::Table(_))));
}

#[test]
fn a_long_function_is_found() {
    let code = format!("fn short() {{}}\nfn long() {{{}}}\n", "\n".repeat(90));
    let source = Source { path: root().join("x.rs"), lines: 92, code };
    let [(_, function), (_, file)] = longest(&[source]);
    assert_eq!(function, (91, "long at x.rs:2".into()));
    assert_eq!(file, (92, "x.rs".into()));
}
