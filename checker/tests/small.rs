//! Histories of a few operations, written by hand, with the letters of those who must object.

use flotilla_checker::judge;
use flotilla_checker::record::{Action, Answer, Expected, Operation, Outcome, Text};

/// One operation on the one key, called at `at` and answered a little later.
fn op(at: u64, action: Action, outcome: Outcome) -> Operation {
    let returned_ns = (!matches!(outcome, Outcome::Unknown { .. })).then_some(at + 1);
    Operation { client: at, key: "k".into(), action, called_ns: at, returned_ns, outcome }
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: "lost".to_owned() }
}

fn done(version: u64) -> Outcome {
    Outcome::Ok(Answer { done: true, version: Some(version), ..Answer::default() })
}

fn put(at: u64, word: &'static str, version: u64) -> Operation {
    op(at, Action::Put { value: word.into() }, done(version))
}

fn append(at: u64, word: &'static str, version: u64) -> Operation {
    op(at, Action::Append { value: word.into() }, done(version))
}

fn lost_append(at: u64, word: &'static str) -> Operation {
    op(at, Action::Append { value: word.into() }, unknown())
}

fn failed_append(at: u64, word: &'static str) -> Operation {
    op(at, Action::Append { value: word.into() }, Outcome::Fail { why: "refused".to_owned() })
}

fn get(at: u64, value: Option<&'static str>, version: u64) -> Operation {
    let value = value.map(Text::from);
    op(
        at,
        Action::Get,
        Outcome::Ok(Answer { value, done: true, version: Some(version), ..Answer::default() }),
    )
}

fn delete(at: u64, there: Option<u64>) -> Operation {
    op(at, Action::Delete, Outcome::Ok(Answer { done: there.is_some(), version: there, ..Answer::default() }))
}

fn swap(at: u64, expected: Expected, new: &'static str, done: bool, version: u64) -> Operation {
    let answer = Answer { done, version: Some(version), ..Answer::default() };
    op(at, Action::Swap { expected, new: Some(new.into()) }, Outcome::Ok(answer))
}

fn is(word: &'static str) -> Expected {
    Expected::Value(word.into())
}

#[track_caller]
fn flagged_by(letters: &str, history: &[Operation]) {
    let verdicts = judge(history);
    let words: Vec<_> = verdicts.violations().map(|violation| &violation.what[..]).collect();
    assert_eq!(verdicts.found_by(), letters, "{}", words.join("\n"));
    assert_eq!(verdicts.disagreements, []);
}

#[test]
fn honest_histories_pass() {
    flagged_by("", &[]);
    flagged_by(
        "",
        &[get(0, None, 0), put(2, "a", 5), get(4, Some("a"), 5), put(6, "b", 7), get(8, Some("b"), 7)],
    );
    flagged_by(
        "",
        &[put(0, "a", 1), delete(2, Some(2)), delete(4, None), get(6, None, 9), append(8, "x;", 10)],
    );
    flagged_by("", &[put(0, "a", 1), swap(2, is("a"), "b", true, 2), swap(4, is("a"), "c", false, 2)]);
    flagged_by("", &[put(0, "a", 3), swap(2, Expected::Version(3), "b", true, 4), get(4, Some("b"), 4)]);
    flagged_by("", &[swap(0, Expected::Absent, "a", true, 1), swap(2, Expected::Absent, "b", false, 1)]);
}

#[test]
fn an_unknown_outcome_may_be_either_and_late() {
    let (before, lost, after) = (append(0, "a;", 1), lost_append(2, "b;"), append(4, "c;", 3));
    let with = |read: &'static str| [before.clone(), lost.clone(), after.clone(), get(6, Some(read), 3)];
    flagged_by("", &with("a;c;"));
    flagged_by("", &with("a;b;c;"));
    let late = [before.clone(), lost.clone(), append(4, "c;", 2), get(6, Some("a;c;b;"), 3)];
    flagged_by("", &late);
    let seen_then_gone = [lost.clone(), get(4, Some("b;"), 1), get(6, None, 1)];
    flagged_by("ABCD", &seen_then_gone);
    flagged_by("ABCD", &[lost.clone(), get(4, Some("b;b;"), 2)]);
    flagged_by("ABCD", &[get(0, Some("b;"), 1), lost]);
}

#[test]
fn values_that_cannot_be_are_flagged() {
    flagged_by("ABC", &[put(0, "a", 1), get(2, None, 1)]);
    flagged_by("ABC", &[put(0, "a", 1), put(2, "b", 2), get(4, Some("a"), 1)]);
    flagged_by("ABC", &[get(0, Some("a"), 1), put(2, "a", 1)]);
    flagged_by("ABC", &[put(0, "a", 1), delete(2, Some(2)), get(4, Some("a"), 1)]);
    flagged_by("ABC", &[put(0, "a", 1), delete(2, None)]);
    flagged_by("ABC", &[delete(0, Some(1))]);
    flagged_by("ABC", &[put(0, "a", 1), swap(2, is("q"), "b", true, 2)]);
    flagged_by("ABC", &[put(0, "a", 1), swap(2, is("a"), "b", false, 1)]);
    flagged_by("ABC", &[put(0, "a", 1), swap(2, Expected::Absent, "b", true, 2)]);
    flagged_by("ABC", &[swap(0, Expected::Absent, "b", false, 0)]);
}

#[test]
fn appends_that_are_lost_doubled_or_out_of_order_are_flagged() {
    let (a, b) = (append(0, "a;", 1), append(2, "b;", 2));
    let read = |value| [a.clone(), b.clone(), get(4, Some(value), 2)];
    flagged_by("", &read("a;b;"));
    flagged_by("ABCD", &read("a;"));
    flagged_by("ABCD", &read("b;a;"));
    flagged_by("ABCD", &read("a;b;b;"));
    flagged_by("ABCD", &read("a;x;b;"));
    flagged_by("ABCD", &read("a;b"));
    flagged_by("ABCD", &[a.clone(), failed_append(2, "b;"), get(4, Some("a;b;"), 2)]);
    flagged_by("ABCD", &[a.clone(), b.clone(), get(4, Some("a;b;"), 2), get(6, Some("a;"), 1)]);
}

#[test]
fn numbers_that_cannot_be_are_flagged_by_the_one_who_reads_them() {
    flagged_by("A", &[put(0, "a", 5), put(2, "b", 5)]);
    flagged_by("A", &[put(0, "a", 5), get(2, Some("a"), 4)]);
    flagged_by("A", &[put(0, "a", 5), put(2, "b", 4), get(4, Some("b"), 4)]);
    flagged_by("A", &[put(0, "a", 5), swap(2, Expected::Version(4), "b", true, 6)]);
    flagged_by("A", &[put(0, "a", 5), swap(2, Expected::Version(5), "b", false, 5)]);
    flagged_by("A", &[get(0, None, 7), put(2, "a", 7)]);
    let signed = |operation: Operation, config: u64, gid: u64| {
        let Outcome::Ok(answer) = operation.outcome else { unreachable!("it was answered") };
        let answer = Answer { config: Some(config), gid: Some(gid), ..answer };
        Operation { outcome: Outcome::Ok(answer), ..operation }
    };
    flagged_by("", &[signed(put(0, "a", 1), 3, 1), signed(get(2, Some("a"), 1), 4, 2)]);
    flagged_by("A", &[signed(put(0, "a", 1), 3, 1), signed(get(2, Some("a"), 1), 3, 2)]);
    flagged_by("A", &[signed(put(0, "a", 1), 3, 1), signed(get(2, Some("a"), 1), 2, 1)]);
}

#[test]
fn a_failed_write_is_never_seen() {
    let failed = op(0, Action::Put { value: "a".into() }, Outcome::Fail { why: "refused".to_owned() });
    let verdicts = judge(&[failed, get(2, Some("a"), 1)]);
    assert_eq!(verdicts.found_by(), "ABC");
    let words = verdicts.violations().map(|violation| &violation.what[..]).collect::<Vec<_>>().join("\n");
    assert!(words.contains("key k: a value was read that was certainly not written"), "{words}");
    assert!(words.contains("certainly not done (refused)"), "{words}");
}

#[test]
fn hundreds_of_appends_on_one_key_are_judged_at_once() {
    let mut history: Vec<Operation> = Vec::new();
    let mut value = String::new();
    for at in 0..600_u64 {
        let word = format!("{at};");
        let is_lost = at % 20 == 7;
        let outcome = if is_lost { unknown() } else { done(at + 1) };
        let mut one = op(at * 10, Action::Append { value: word.clone().into() }, outcome);
        one.returned_ns = one.returned_ns.map(|_| at * 10 + 35);
        history.push(one);
        // Half of the lost ones were applied.
        if !is_lost || at % 40 == 7 {
            value += &word;
        }
    }
    let answer = Answer { value: Some(value.into()), done: true, version: Some(600), ..Answer::default() };
    history.push(op(10_000, Action::Get, Outcome::Ok(answer)));
    let verdicts = judge(&history);
    assert!(verdicts.hold(), "{:?}", verdicts.violations().next());
    assert!(verdicts.each.iter().all(|verdict| verdict.open.is_empty()), "{:?}", verdicts.each);
}
