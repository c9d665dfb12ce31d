//! Is a history of operations on one key linearizable? Wing and Gong's search with Lowe's memory of configurations
//! already refuted ("Testing for linearizability", 2017).
//!
//! ```text
//!   calls and returns in time ---> pick an operation that nobody returned before ---> does its answer fit the value?
//!            ^                                                                        yes: go on with the rest
//!            `--------------- undo the latest pick, take the next <------------------ no
//! ```
//!
//! * An operation without a return may take effect at any time after its call, or never.
//! * Keys are independent, so histories are judged key by key.
//! * Versions are judged apart (`versions_grow`): they order what the values leave open.
//!
//! Absent: batches over several keys, and time to live.

use std::collections::{BTreeMap, HashSet};

/// What an operation did, with its answer if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Read this value; none: the key was absent.
    Get(Option<Vec<u8>>),
    /// Wrote this value.
    Put(Vec<u8>),
    /// Added this suffix.
    Append(Vec<u8>),
    /// Removed the key; whether it was there, if the answer came.
    Delete(Option<bool>),
    /// Wrote `new` if the value was `old`; whether it was, if the answer came.
    Swap {
        /// The value that was expected; none: no key.
        old: Option<Vec<u8>>,
        /// The value to write.
        new: Vec<u8>,
        /// What the answer said.
        done: Option<bool>,
    },
}

/// One operation on one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Its key.
    pub key: Vec<u8>,
    /// What it did.
    pub action: Action,
    /// When it was called; all stamps of a history come from one clock.
    pub called: u64,
    /// When its answer came; none: outcome unknown.
    pub returned: Option<u64>,
    /// The version that the answer carried.
    pub version: Option<u64>,
}

/// Judges every key of a history; names the first that cannot be explained.
pub fn verdict(history: &[Operation]) -> Result<(), String> {
    let mut keys: BTreeMap<&[u8], Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    for (key, operations) in keys {
        let key = String::from_utf8_lossy(key);
        if !is_linearizable(&operations) {
            return Err(format!("key {key}: no order explains {operations:#?}"));
        }
        versions_grow(&operations).map_err(|words| format!("key {key}: {words}"))?;
    }
    Ok(())
}

/// Versions never go back in real time, and every acknowledged change has one of its own.
fn versions_grow(operations: &[&Operation]) -> Result<(), String> {
    let mut changes: Vec<u64> =
        operations.iter().filter(|o| o.is_change()).filter_map(|operation| operation.version).collect();
    changes.sort_unstable();
    if let Some(twice) = changes.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two changes carry version {}", twice[0]));
    }
    // By return, the greatest version answered so far; whoever is called later must not see less.
    let mut answered: Vec<(u64, u64)> =
        operations.iter().filter_map(|operation| operation.returned.zip(operation.version)).collect();
    answered.sort_unstable();
    let mut greatest = 0;
    for (_, version) in &mut answered {
        greatest = greatest.max(*version);
        *version = greatest;
    }
    for operation in operations {
        let before = answered.partition_point(|(returned, _)| *returned < operation.called);
        let Some((_, seen)) = before.checked_sub(1).map(|at| answered[at]) else { continue };
        if operation.version.is_some_and(|version| version < seen) {
            return Err(format!("version {seen} was answered before the call of {operation:?}"));
        }
    }
    Ok(())
}

impl Operation {
    /// Whether it certainly changed the key.
    fn is_change(&self) -> bool {
        match &self.action {
            Action::Get(_) => false,
            Action::Put(_) | Action::Append(_) => true,
            Action::Delete(done) | Action::Swap { done, .. } => *done == Some(true),
        }
    }

    /// The value after this operation, if its answer fits the value before it.
    fn step(&self, value: &Option<Vec<u8>>) -> Option<Option<Vec<u8>>> {
        match &self.action {
            Action::Get(read) => (read == value).then(|| value.clone()),
            Action::Put(new) => Some(Some(new.clone())),
            Action::Append(suffix) => Some(Some([value.as_deref().unwrap_or_default(), suffix].concat())),
            Action::Delete(there) => there.is_none_or(|there| there == value.is_some()).then_some(None),
            Action::Swap { old, new, done } => {
                let fits = old == value;
                let after = if fits { Some(new.clone()) } else { value.clone() };
                done.is_none_or(|done| done == fits).then_some(after)
            }
        }
    }
}

/// Which operations have been placed: one bit each.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Placed(Vec<u64>);

impl Placed {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn flip(&mut self, at: usize) {
        self.0[at / 64] ^= 1 << (at % 64);
    }
}

/// The search of one key.
struct Search<'a> {
    /// By call.
    operations: Vec<&'a Operation>,
    placed: Placed,
    /// How many operations with an answer still wait for their place.
    waiting: usize,
    /// Configurations from which nothing was found.
    refuted: HashSet<(Placed, Option<Vec<u8>>)>,
}

/// One pick: the operation, and the value before it.
struct Pick {
    at: usize,
    before: Option<Vec<u8>>,
}

fn is_linearizable(operations: &[&Operation]) -> bool {
    // A read without an answer says nothing.
    let says_something = |o: &&&Operation| o.returned.is_some() || !matches!(o.action, Action::Get(_));
    let mut operations: Vec<&Operation> = operations.iter().filter(says_something).copied().collect();
    operations.sort_by_key(|operation| operation.called);
    let placed = Placed::none(operations.len());
    let waiting = operations.iter().filter(|operation| operation.returned.is_some()).count();
    Search { operations, placed, waiting, refuted: HashSet::new() }.run()
}

impl Search<'_> {
    // Written as a loop with a stack of its own: a history is longer than a thread's stack is deep.
    fn run(mut self) -> bool {
        let mut picks: Vec<Pick> = Vec::new();
        let mut value: Option<Vec<u8>> = None;
        let mut from = 0;
        while self.waiting > 0 {
            if let Some((at, after)) = self.next(from, &value) {
                self.place(at, true);
                picks.push(Pick { at, before: std::mem::replace(&mut value, after) });
                from = 0;
                continue;
            }
            let Some(Pick { at, before }) = picks.pop() else { return false };
            self.place(at, false);
            value = before;
            from = at + 1;
        }
        true
    }

    fn place(&mut self, at: usize, forward: bool) {
        self.placed.flip(at);
        if self.operations[at].returned.is_some() {
            self.waiting = if forward { self.waiting - 1 } else { self.waiting + 1 };
        }
    }

    /// The next operation from `from` on that can stand here and leads to a configuration not yet refuted.
    fn next(&mut self, from: usize, value: &Option<Vec<u8>>) -> Option<(usize, Option<Vec<u8>>)> {
        let waits = |at: &usize| !self.placed.has(*at);
        let returns = (0..self.operations.len()).filter(waits).filter_map(|at| self.operations[at].returned);
        // Whoever was called after somebody's return cannot stand before him.
        let first_return = returns.min().unwrap_or(u64::MAX);
        for at in from..self.operations.len() {
            let operation = self.operations[at];
            if operation.called > first_return {
                break;
            }
            if self.placed.has(at) {
                continue;
            }
            let Some(after) = operation.step(value) else { continue };
            let mut placed = self.placed.clone();
            placed.flip(at);
            // Inserted when it is entered: it is left again only when nothing was found from it.
            if self.refuted.insert((placed, after.clone())) {
                return Some((at, after));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(action: Action, called: u64, returned: Option<u64>) -> Operation {
        Operation { key: b"k".to_vec(), action, called, returned, version: None }
    }

    fn text(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    fn some(value: &str) -> Option<Vec<u8>> {
        Some(text(value))
    }

    /// Tries every order of every subset that holds all answered operations.
    fn brute(operations: &[Operation]) -> bool {
        fn go(left: &[&Operation], value: &Option<Vec<u8>>) -> bool {
            if left.iter().all(|operation| operation.returned.is_none()) {
                return true;
            }
            (0..left.len()).any(|at| {
                let picked = left[at];
                let mut others = left.to_vec();
                others.remove(at);
                let first =
                    others.iter().filter_map(|o| o.returned).all(|returned| picked.called <= returned);
                first && picked.step(value).is_some_and(|after| go(&others, &after))
            })
        }
        let answered =
            operations.iter().filter(|o| o.returned.is_some() || !matches!(o.action, Action::Get(_)));
        go(&answered.collect::<Vec<_>>(), &None)
    }

    fn judge(operations: &[Operation]) -> bool {
        let found = is_linearizable(&operations.iter().collect::<Vec<_>>());
        assert_eq!(found, brute(operations), "{operations:#?}");
        found
    }

    #[test]
    fn honest_histories_pass() {
        assert!(judge(&[]));
        assert!(judge(&[op(Action::Get(None), 0, Some(1)), op(Action::Put(text("a")), 2, Some(3))]));
        let overlap = [
            op(Action::Put(text("a")), 0, Some(9)),
            op(Action::Get(None), 1, Some(2)),
            op(Action::Get(some("a")), 3, Some(4)),
            op(Action::Append(text("b")), 5, None),
            op(Action::Get(some("a")), 10, Some(11)),
            op(Action::Get(some("ab")), 12, Some(13)),
        ];
        assert!(judge(&overlap));
    }

    #[test]
    fn saboteurs_are_flagged() {
        let put = |called| op(Action::Put(text("a")), called, Some(called + 1));
        let lost = [put(0), op(Action::Get(None), 2, Some(3))];
        assert!(!judge(&lost), "an acknowledged write is not seen");
        let stale = [put(0), op(Action::Put(text("b")), 2, Some(3)), op(Action::Get(some("a")), 4, Some(5))];
        assert!(!judge(&stale), "an old value is read");
        let twice = [op(Action::Append(text("x")), 0, None), op(Action::Get(some("xx")), 2, Some(3))];
        assert!(!judge(&twice), "one append is applied twice");
        let back = [
            op(Action::Append(text("x")), 0, None),
            op(Action::Get(some("x")), 2, Some(3)),
            op(Action::Get(None), 4, Some(5)),
        ];
        assert!(!judge(&back), "a value that was seen goes away again");
        let early = [op(Action::Get(some("a")), 0, Some(1)), put(2)];
        assert!(!judge(&early), "a value is read before it is written");
        let swap = Action::Swap { old: some("q"), new: text("b"), done: Some(true) };
        assert!(!judge(&[put(0), op(swap, 2, Some(3))]), "a swap of a value that never was");
    }

    #[test]
    fn agrees_with_brute_force_on_small_histories() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let (mut yes, mut no) = (0, 0);
        for _ in 0..20_000 {
            let operations: Vec<Operation> = (0..1 + next(6)).map(|_| random(&mut next)).collect();
            if judge(&operations) {
                yes += 1;
            } else {
                no += 1;
            }
        }
        assert!(yes > 2_000 && no > 2_000, "one-sided: {yes} pass, {no} do not");
    }

    fn random(next: &mut impl FnMut(u64) -> u64) -> Operation {
        let mut word = || text(["a", "b", "ab", "ba"][next(4) as usize]);
        let (first, second) = (word(), word());
        let read = (next(2) == 0).then_some(first.clone());
        let done = (next(3) > 0).then_some(next(2) == 0);
        let action = match next(5) {
            0 => Action::Put(first),
            1 => Action::Append(first),
            2 => Action::Delete(done),
            3 => Action::Swap { old: read, new: second, done },
            _ => Action::Get(read),
        };
        let called = next(12);
        let returned = (next(4) > 0).then_some(called + 1 + next(6));
        op(action, called, returned)
    }

    #[test]
    fn long_histories_are_judged_quickly() {
        let mut operations = Vec::new();
        for at in 0..400_u64 {
            let returned = (at % 20 != 7).then_some(at * 10 + 35);
            operations.push(op(Action::Append(text(&format!("{at};"))), at * 10, returned));
        }
        assert_eq!(verdict(&operations), Ok(()));
    }

    #[test]
    fn versions_that_go_back_or_repeat_are_flagged() {
        let with = |action: Action, at, version| Operation {
            version: Some(version),
            ..op(action, at, Some(at + 1))
        };
        let get = |at, version| with(Action::Get(some("a")), at, version);
        let put = |at, version| with(Action::Put(text("a")), at, version);
        assert_eq!(verdict(&[put(0, 5), get(2, 5), put(4, 7), get(6, 8)]), Ok(()));
        assert!(verdict(&[put(0, 5), put(2, 5)]).expect_err("repeat").contains("two changes"));
        assert!(verdict(&[put(0, 5), get(2, 4)]).expect_err("back").contains("version 5 was answered"));
    }
}
