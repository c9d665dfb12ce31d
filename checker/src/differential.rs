//! The checkers against brute force, on thousands of small histories.

use crate::generate::{Break, Rng, Shape, broken, history};
use crate::record::{Action, Answer, Expected, Operation, Outcome};
use crate::text::Text;
use crate::value::{Value, says_something, step};
use crate::{Limits, porcupine, search, tokens, versions, words};

/// Tries every order of every subset that holds all answered operations.
fn brute<S: Clone>(operations: &[&Operation], state: &S, step: &impl Fn(&Operation, &S) -> Vec<S>) -> bool {
    if operations.iter().all(|op| op.returned_ns.is_none()) {
        return true;
    }
    (0..operations.len()).any(|at| {
        let picked = operations[at];
        let mut others = operations.to_vec();
        others.remove(at);
        let first =
            others.iter().filter_map(|op| op.returned_ns).all(|returned| picked.called_ns <= returned);
        first && step(picked, state).iter().any(|after| brute(&others, after, step))
    })
}

fn that_say_something(operations: &[Operation]) -> Vec<&Operation> {
    operations.iter().filter(|op| says_something(op)).collect()
}

fn by_values(operations: &[Operation]) -> bool {
    let step = |op: &Operation, value: &Value| {
        step(&op.action, crate::value::answer(op), value).into_iter().collect::<Vec<_>>()
    };
    brute(&that_say_something(operations), &None, &step)
}

/// One key with its version, as far as both are known.
#[derive(Clone)]
struct Versioned {
    value: Value,
    /// Its version is this, or (not exact) this or more.
    version: u64,
    exact: bool,
    /// Its shard has counted at least so far.
    counter: u64,
}

fn by_versions(operations: &[Operation]) -> bool {
    let empty = Versioned { value: None, version: 0, exact: true, counter: 0 };
    brute(&that_say_something(operations), &empty, &version_step)
}

fn version_step(op: &Operation, before: &Versioned) -> Vec<Versioned> {
    match &op.outcome {
        Outcome::Ok(answer) => answered(op, answer, before).into_iter().collect(),
        _ => {
            let mut all = Vec::new();
            if may_fit(&op.action, before) {
                let mut after = changed(&op.action, before, before.counter + 1);
                after.exact = false;
                all.push(after);
            } else {
                all.push(before.clone());
            }
            all
        }
    }
}

fn may_fit(action: &Action, before: &Versioned) -> bool {
    match action {
        Action::Get => false,
        Action::Put { .. } | Action::Append { .. } => true,
        Action::Delete => before.value.is_some(),
        Action::Swap { expected: Expected::Absent, new } => before.value.is_none() && new.is_some(),
        Action::Swap { expected: Expected::Value(value), .. } => before.value.as_ref() == Some(&value.0),
        Action::Swap { expected: Expected::Version(version), .. } => {
            before.value.is_some() && has_version(before, *version)
        }
    }
}

fn has_version(state: &Versioned, version: u64) -> bool {
    if state.exact { state.version == version } else { version >= state.version }
}

fn changed(action: &Action, before: &Versioned, version: u64) -> Versioned {
    let value = match action {
        Action::Swap { new, .. } => new.as_ref().map(|text| text.0.clone()),
        Action::Delete => None,
        action => step(action, None, &before.value).expect("a write always acts"),
    };
    Versioned { value, version, exact: true, counter: version }
}

fn present(before: &Versioned, version: Option<u64>) -> Option<Versioned> {
    let version = version.expect("it was read");
    let fits = before.value.is_some() && has_version(before, version);
    fits.then(|| Versioned { version, exact: true, counter: before.counter.max(version), ..before.clone() })
}

fn absent(before: &Versioned, counter: Option<u64>) -> Option<Versioned> {
    let counter = counter.unwrap_or(before.counter);
    (before.value.is_none() && counter >= before.counter).then(|| Versioned { counter, ..before.clone() })
}

fn answered(op: &Operation, answer: &Answer, before: &Versioned) -> Option<Versioned> {
    let change = || {
        let version = answer.version.expect("a change has a version");
        (may_fit(&op.action, before) && version > before.counter)
            .then(|| changed(&op.action, before, version))
    };
    match &op.action {
        Action::Get => match &answer.value {
            None => absent(before, answer.version),
            Some(value) => {
                present(before, answer.version).filter(|_| before.value.as_ref() == Some(&value.0))
            }
        },
        Action::Delete if !answer.done => absent(before, None),
        Action::Swap { expected, .. } if !answer.done => {
            let fits = match expected {
                Expected::Absent => false,
                Expected::Value(value) => before.value.as_ref() == Some(&value.0),
                Expected::Version(version) => answer.version == Some(*version),
            };
            let there = present(before, answer.version).filter(|_| !fits);
            let gone = absent(before, answer.version).filter(|_| *expected != Expected::Absent);
            there.or(gone)
        }
        Action::Swap { expected: Expected::Absent, new: None } => absent(before, answer.version),
        Action::Swap { expected: Expected::Version(version), .. } => {
            let version_before = Some(*version);
            let seen = present(before, version_before)?;
            let next = answer.version.expect("a change has a version");
            (next > seen.counter).then(|| changed(&op.action, &seen, next))
        }
        _ => change(),
    }
}

/// Words that are easily confused, any answers: most such histories are wrong.
fn wild(rng: &mut Rng) -> Vec<Operation> {
    let word = |rng: &mut Rng| Text::from(["a", "b", "ab", "ba"][rng.index(4)].as_bytes());
    let count = 1 + rng.index(6);
    let mut one = |client: usize| {
        let (first, second) = (word(rng), word(rng));
        let read = rng.per_mille(500).then(|| first.clone());
        let action = match rng.below(5) {
            0 => Action::Put { value: first },
            1 => Action::Append { value: first },
            2 => Action::Delete,
            3 => Action::Swap {
                expected: read.clone().map_or(Expected::Absent, Expected::Value),
                new: rng.per_mille(800).then_some(second),
            },
            _ => Action::Get,
        };
        let called_ns = rng.below(12);
        let known = rng.per_mille(750);
        let value = read.filter(|_| action == Action::Get);
        let done = rng.per_mille(500) || !matches!(action, Action::Delete | Action::Swap { .. });
        let answer = Answer { value, done, ..Answer::default() };
        Operation {
            client: client as u64,
            key: Text::from("k"),
            action,
            called_ns,
            returned_ns: known.then(|| called_ns + 1 + rng.below(6)),
            outcome: if known { Outcome::Ok(answer) } else { Outcome::Unknown { why: String::new() } },
        }
    };
    (0..count).map(&mut one).collect()
}

fn holds(verdict: &crate::Verdict) -> bool {
    assert_eq!(verdict.open, [], "nothing small stays open");
    verdict.holds()
}

#[test]
fn the_searches_agree_with_brute_force() {
    let mut rng = Rng::new(1);
    let (mut yes, mut no) = (0, 0);
    for round in 0..20_000 {
        let operations = wild(&mut rng);
        let truth = by_values(&operations);
        let shown = || words::operations(&operations);
        assert_eq!(holds(&search::check(&operations, &Limits::default())), truth, "B{}", shown());
        // It starts a thread each time.
        if round % 10 == 0 {
            assert_eq!(holds(&porcupine::check(&operations, &Limits::default())), truth, "C{}", shown());
        }
        *(if truth { &mut yes } else { &mut no }) += 1;
    }
    assert!(yes > 2_000 && no > 2_000, "one-sided: {yes} pass, {no} do not");
}

/// A few operations on one key; some histories are broken on purpose, some by a changed answer or time.
fn small(seed: u64) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let shape = Shape {
        operations: 4 + rng.index(4),
        clients: 1 + rng.index(3),
        keys: 1,
        key_operations: 100,
        logs: usize::from(rng.per_mille(300)),
        shards: 1,
        unknown_per_mille: [0, 250][rng.index(2)],
        failed_per_mille: 30,
        moved_per_mille: 0,
    };
    let how = Break::ALL[rng.index(Break::ALL.len())];
    let numbers_only = matches!(how, Break::TwoOwners | Break::ConfigBack);
    let broken = if rng.per_mille(300) && !numbers_only { broken(seed, &shape, how) } else { None };
    let mut operations = broken.unwrap_or_else(|| history(seed, &shape));
    if rng.per_mille(500) {
        tamper(&mut rng, &mut operations);
    }
    operations
}

fn tamper(rng: &mut Rng, operations: &mut [Operation]) {
    let at = rng.index(operations.len());
    let other = operations[rng.index(operations.len())].clone();
    let op = &mut operations[at];
    let (Outcome::Ok(answer), Outcome::Ok(other_answer)) = (&mut op.outcome, &other.outcome) else { return };
    match rng.below(4) {
        0 if op.action == Action::Get && other.action == Action::Get => *answer = other_answer.clone(),
        1 if answer.version.is_some() => {
            answer.version = answer.version.map(|version| version + rng.below(3))
        }
        2 if answer.version.is_some() => {
            answer.version = answer.version.map(|version| version.saturating_sub(1))
        }
        3 => {
            let length = op.returned_ns.unwrap_or_default() - op.called_ns;
            op.called_ns = other.called_ns;
            op.returned_ns = Some(op.called_ns + length);
        }
        _ => {}
    }
}

#[test]
fn the_version_checker_agrees_with_brute_force() {
    let (mut yes, mut no, mut lenient, mut by_d) = (0, 0, 0, 0);
    for seed in 0..20_000 {
        let operations = small(seed);
        if that_say_something(&operations).len() > 9 {
            continue;
        }
        let shown = || format!("seed {seed}{}", words::operations(&operations));
        let truth = by_versions(&operations);
        let verdict = versions::check(&operations, &Limits::default());
        let unknown = operations.iter().any(|op| matches!(op.outcome, Outcome::Unknown { .. }));
        assert!(!truth || verdict.holds(), "A flags what has an order: {:?} {}", verdict.violations, shown());
        if !unknown && verdict.open.is_empty() {
            assert_eq!(verdict.holds(), truth, "A {}", shown());
        }
        lenient += usize::from(!truth && verdict.holds());
        let values = by_values(&operations);
        assert!(values || !truth, "what has an order with versions has one without: {}", shown());
        assert_eq!(holds(&search::check(&operations, &Limits::default())), values, "B {}", shown());
        let appends = tokens::check(&operations);
        assert!(
            appends.holds() || !values,
            "D flags what has an order: {:?} {}",
            appends.violations,
            shown()
        );
        by_d += usize::from(!appends.holds());
        *(if truth { &mut yes } else { &mut no }) += 1;
    }
    println!("{yes} have an order, {no} do not; of these A let {lenient} pass, D found {by_d}");
    assert!(yes > 2_000 && no > 2_000, "one-sided: {yes} pass, {no} do not");
    assert!(lenient * 20 < no, "too lenient: {lenient} of {no}");
}
