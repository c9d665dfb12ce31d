//! Checker D. Was every append applied exactly once? By the tokens in the value, in linear time: for hot keys.
//!
//! It judges keys that only appends change. For each:
//!
//! * every value read is the beginning of every longer one;
//! * the longest is made of tokens of this key, none of them twice, and none of an append that failed;
//! * a token acknowledged or read before a read was called is in what was read, and one called after it returned is not;
//! * of two tokens, the one acknowledged before the other was called stands first (so a client's stand in its order).
//!
//! What it does not check: keys that a put, a delete or a swap changed, or may have changed (they are left out, without
//! a word: other checkers judge them); acknowledged appends that no later read covers (they are counted as open);
//! versions. It needs tokens of which none begins another (an end mark does that); a key without this stays open.

use std::collections::BTreeMap;

use crate::keys::by_key;
use crate::record::{Action, Operation, Outcome};
use crate::text::Text;
use crate::value::{answer, says_something};
use crate::verdict::Verdict;
use crate::words;

/// Judges every key that only appends change.
pub fn check(history: &[Operation]) -> Verdict {
    let mut verdict = Verdict::new("D");
    for (key, operations) in by_key(history) {
        if !operations.iter().any(|op| is_append(op)) || operations.iter().any(|op| may_reset(op)) {
            continue;
        }
        let Some(tokens) = Tokens::of(&operations) else {
            verdict.leave(key, "its tokens cannot be told apart: one begins another");
            continue;
        };
        verdict.keys += 1;
        if let Err((op, what)) = judge(&operations, &tokens) {
            verdict.wrong(op, what);
            continue;
        }
        let uncovered = uncovered(&operations);
        if uncovered > 0 {
            verdict.leave(key, format!("{uncovered} acknowledged appends with no read after them"));
        }
    }
    verdict
}

fn is_append(op: &Operation) -> bool {
    matches!(op.action, Action::Append { .. })
}

/// Whether an operation changed the value other than by an append, or may have.
fn may_reset(op: &Operation) -> bool {
    let acted = says_something(op) && answer(op).is_none_or(|answer| answer.done);
    match &op.action {
        Action::Get | Action::Append { .. } => false,
        Action::Put { .. } => says_something(op),
        Action::Delete | Action::Swap { .. } => acted,
    }
}

/// What is wrong, with the operation that shows it.
type Wrong<'a> = (&'a Operation, String);

/// The tokens of a key, in the order of their bytes.
struct Tokens<'a>(Vec<(&'a [u8], &'a Operation)>);

impl<'a> Tokens<'a> {
    /// None if some token begins another, or is empty.
    fn of(operations: &[&'a Operation]) -> Option<Self> {
        let token = |op: &&'a Operation| match &op.action {
            Action::Append { value } => Some((value.bytes(), *op)),
            _ => None,
        };
        let mut tokens: Vec<_> = operations.iter().filter_map(token).collect();
        tokens.sort_by_key(|(bytes, _)| *bytes);
        let clear = tokens.windows(2).all(|pair| !pair[1].0.starts_with(pair[0].0));
        (clear && tokens.first().is_none_or(|(bytes, _)| !bytes.is_empty())).then_some(Self(tokens))
    }

    /// The token at the beginning of these bytes, by its place in the order.
    fn first_of(&self, rest: &[u8]) -> Option<usize> {
        // As none begins another, only the greatest token not above the rest can begin it.
        let after = self.0.partition_point(|(token, _)| *token <= rest);
        after.checked_sub(1).filter(|at| rest.starts_with(self.0[*at].0))
    }
}

/// A token where it stands in the longest value.
struct Found<'a> {
    op: &'a Operation,
    /// How long the value is with it.
    end: usize,
}

fn judge<'a>(operations: &[&'a Operation], tokens: &Tokens<'a>) -> Result<(), Wrong<'a>> {
    let mut reads: Vec<(&Operation, &[u8])> = operations.iter().filter_map(|op| read(op)).collect();
    reads.sort_by_key(|(_, value)| value.len());
    for pair in reads.windows(2) {
        if !pair[1].1.starts_with(pair[0].1) {
            return Err((
                pair[1].0,
                format!(
                    "of two reads neither begins the other:{}",
                    words::operations([pair[0].0, pair[1].0])
                ),
            ));
        }
    }
    let Some((longest, value)) = reads.last() else { return Ok(()) };
    let found = parse(longest, value, tokens)?;
    not_torn(&reads, &found)?;
    in_order(&found)?;
    complete(operations, &reads, &found)?;
    nothing_early(&reads, &found)
}

/// What a get read; a missing key counts as empty, as it does for appends.
fn read<'a>(op: &&'a Operation) -> Option<(&'a Operation, &'a [u8])> {
    let answer = answer(op).filter(|_| op.action == Action::Get)?;
    Some((op, answer.value.as_ref().map(Text::bytes).unwrap_or_default()))
}

fn parse<'a>(by: &'a Operation, value: &[u8], tokens: &Tokens<'a>) -> Result<Vec<Found<'a>>, Wrong<'a>> {
    let mut found = Vec::new();
    let mut seen = vec![false; tokens.0.len()];
    let mut end = 0;
    while end < value.len() {
        let Some(at) = tokens.first_of(&value[end..]) else {
            let rest = Text::from(value[end..].to_vec());
            return Err((by, format!("nobody appended what stands at byte {end}: {}", words::value(&rest))));
        };
        let (token, op) = tokens.0[at];
        if std::mem::replace(&mut seen[at], true) {
            return Err((by, format!("an append was applied twice:{}", words::operations([op, by]))));
        }
        if matches!(op.outcome, Outcome::Fail { .. }) {
            return Err((
                by,
                format!("an append that was certainly not done was read:{}", words::operations([op, by])),
            ));
        }
        end += token.len();
        found.push(Found { op, end });
    }
    Ok(found)
}

/// Every read ends where a token ends.
fn not_torn<'a>(reads: &[(&'a Operation, &[u8])], found: &[Found<'a>]) -> Result<(), Wrong<'a>> {
    let ends = |len: usize| len == 0 || found.binary_search_by_key(&len, |found| found.end).is_ok();
    match reads.iter().find(|(_, value)| !ends(value.len())) {
        Some((read, _)) => {
            Err((read, format!("a read ends in the middle of a token:{}", words::operations([*read]))))
        }
        None => Ok(()),
    }
}

/// Nobody stands before one that was acknowledged before he was called.
fn in_order<'a>(found: &[Found<'a>]) -> Result<(), Wrong<'a>> {
    let mut earliest: Option<&'a Operation> = None;
    for Found { op, .. } in found.iter().rev() {
        if let Some(later) = earliest.filter(|later| acked_at(later) < Some(op.called_ns)) {
            let what =
                format!("the first append stands after the second:{}", words::operations([later, *op]));
            return Err((op, what));
        }
        if acked_at(op).is_some() && earliest.is_none_or(|other| acked_at(op) < acked_at(other)) {
            earliest = Some(op);
        }
    }
    Ok(())
}

fn acked_at(op: &Operation) -> Option<u64> {
    answer(op).and(op.returned_ns)
}

/// Every token that was acknowledged or read before a read was called is in what it read.
fn complete<'a>(
    operations: &[&'a Operation],
    reads: &[(&'a Operation, &[u8])],
    found: &[Found<'a>],
) -> Result<(), Wrong<'a>> {
    let mut shown = shown(operations, reads, found).into_iter().peekable();
    let mut reads: Vec<_> = reads.to_vec();
    reads.sort_by_key(|(op, _)| op.called_ns);
    let mut furthest: Option<(usize, &Operation)> = None;
    for (read, value) in reads {
        while let Some((_, end, op)) = shown.next_if(|(returned, ..)| *returned < read.called_ns) {
            if furthest.is_none_or(|(most, _)| end > most) {
                furthest = Some((end, op));
            }
        }
        if let Some((_, lost)) = furthest.filter(|(end, _)| *end > value.len()) {
            let what = "what was acknowledged or read before is not in a later read";
            return Err((read, format!("{what}:{}", words::operations([lost, read]))));
        }
    }
    Ok(())
}

/// By return: how long the value was at least when an append was acknowledged, or a read answered.
fn shown<'a>(
    operations: &[&'a Operation],
    reads: &[(&'a Operation, &[u8])],
    found: &[Found<'a>],
) -> Vec<(u64, usize, &'a Operation)> {
    let ends: BTreeMap<*const Operation, usize> =
        found.iter().map(|found| (std::ptr::from_ref(found.op), found.end)).collect();
    let end = |op: &Operation| ends.get(&std::ptr::from_ref(op)).copied().unwrap_or(usize::MAX);
    let appends = operations.iter().filter(|op| is_append(op));
    let acked = appends.filter_map(|op| Some((acked_at(op)?, end(op), *op)));
    let read = reads.iter().filter_map(|(op, value)| Some((op.returned_ns?, value.len(), *op)));
    let mut shown: Vec<_> = acked.chain(read).collect();
    shown.sort_by_key(|(returned, ..)| *returned);
    shown
}

/// No read holds a token that was called only after it.
fn nothing_early<'a>(reads: &[(&'a Operation, &[u8])], found: &[Found<'a>]) -> Result<(), Wrong<'a>> {
    let mut latest: Option<&Operation> = None;
    let mut found = found.iter().peekable();
    // By length.
    for (read, value) in reads {
        while let Some(Found { op, .. }) = found.next_if(|found| found.end <= value.len()) {
            if latest.is_none_or(|other| op.called_ns > other.called_ns) {
                latest = Some(op);
            }
        }
        if let Some(early) =
            latest.filter(|op| read.returned_ns.is_some_and(|returned| op.called_ns > returned))
        {
            let what =
                format!("an append was read before it was called:{}", words::operations([early, *read]));
            return Err((read, what));
        }
    }
    Ok(())
}

/// How many acknowledged appends no later read covers.
fn uncovered(operations: &[&Operation]) -> usize {
    let last_read = operations.iter().filter_map(read).map(|(op, _)| op.called_ns).max();
    let appends = operations.iter().filter(|op| is_append(op));
    appends
        .filter_map(|op| acked_at(op))
        .filter(|returned| last_read.is_none_or(|read| read <= *returned))
        .count()
}
