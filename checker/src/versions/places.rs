//! The order by versions against real time.

use std::collections::BTreeMap;

use crate::record::Operation;
use crate::value::answer;
use crate::words;

use super::Wrong;

/// Where an operation stands in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) op: &'a Operation,
    /// The version it answered or left; for what is only known to have acted before a version, one less.
    pub(super) version: u64,
    /// How it stands to that version.
    pub(super) kind: Kind,
}

/// What a version says of the moment of its operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The shard had just counted this far.
    Change,
    /// The shard had counted exactly this far.
    Count,
    /// The key had this version: the shard had counted at least this far.
    Key,
    /// It acted when the key's version was at most this.
    AtMost,
}

/// What is wrong with the order of one key.
pub(super) fn key<'a>(places: &[Place<'a>]) -> Option<Wrong<'a>> {
    in_time(places, |_| true)
}

/// What is wrong with the order of all keys of a shard. The version of a key that is there says little of other keys.
pub(super) fn shard<'a>(places: &[Place<'a>]) -> Option<Wrong<'a>> {
    changes_differ(places)
        .or_else(|| in_time(places, |place| matches!(place.kind, Kind::Change | Kind::Count)))
        .or_else(|| one_group(places))
        .or_else(|| configs_grow(places))
}

fn changes_differ<'a>(places: &[Place<'a>]) -> Option<Wrong<'a>> {
    let mut changes: Vec<&Place> = places.iter().filter(|place| place.kind == Kind::Change).collect();
    changes.sort_by_key(|place| (place.version, place.op.called_ns));
    let pair = changes.windows(2).find(|pair| pair[0].version == pair[1].version)?;
    let what = format!(
        "two changes of one shard carry version {}:{}",
        pair[0].version,
        words::operations([pair[0].op, pair[1].op])
    );
    Some((pair[1].op, what))
}

impl<'a> Place<'a> {
    /// When its version was heard, if it was.
    pub(super) fn heard(&self) -> Option<(u64, u64, &'a Operation)> {
        answer(self.op)?;
        Some((self.op.returned_ns?, self.version, self.op))
    }
}

/// The greatest number answered before each moment, with who answered it.
pub(super) struct Answered<'a>(Vec<(u64, u64, &'a Operation)>);

impl<'a> Answered<'a> {
    pub(super) fn of(numbers: impl Iterator<Item = (u64, u64, &'a Operation)>) -> Self {
        let mut all: Vec<_> = numbers.collect();
        all.sort_by_key(|(returned, number, _)| (*returned, *number));
        for at in 1..all.len() {
            if all[at - 1].1 > all[at].1 {
                (all[at].1, all[at].2) = (all[at - 1].1, all[at - 1].2);
            }
        }
        Self(all)
    }

    pub(super) fn before(&self, called: u64) -> Option<(u64, &'a Operation)> {
        let until = self.0.partition_point(|(returned, ..)| *returned < called);
        until.checked_sub(1).map(|at| (self.0[at].1, self.0[at].2))
    }
}

/// Nobody stands before what was answered before his call.
fn in_time<'a>(places: &[Place<'a>], is_bound: impl Fn(&Place) -> bool) -> Option<Wrong<'a>> {
    let answered = Answered::of(places.iter().filter_map(Place::heard));
    for place in places.iter().filter(|place| is_bound(place)) {
        let Some((seen, by)) = answered.before(place.op.called_ns) else { continue };
        let is_behind = if place.kind == Kind::Change { place.version > seen } else { place.version >= seen };
        if !is_behind {
            let what = match place.kind {
                Kind::AtMost => {
                    format!("it acted before version {seen}, which was answered before it was called")
                }
                _ => format!("version {} goes back: {seen} was answered before the call", place.version),
            };
            return Some((place.op, format!("{what}:{}", words::operations([by, place.op]))));
        }
    }
    None
}

/// A configuration of which somebody answered, for each answer that says so.
fn configs<'a>(places: &[Place<'a>]) -> impl Iterator<Item = (u64, u64, &'a Operation)> {
    places.iter().filter_map(|place| Some((place.op.returned_ns?, answer(place.op)?.config?, place.op)))
}

fn configs_grow<'a>(places: &[Place<'a>]) -> Option<Wrong<'a>> {
    let answered = Answered::of(configs(places));
    configs(places).find_map(|(_, config, op)| {
        let (seen, by) = answered.before(op.called_ns).filter(|(seen, _)| config < *seen)?;
        let what = format!("config {config} goes back: {seen} was answered before the call");
        Some((op, format!("{what}:{}", words::operations([by, op]))))
    })
}

fn one_group<'a>(places: &[Place<'a>]) -> Option<Wrong<'a>> {
    let mut groups: BTreeMap<u64, (u64, &Operation)> = BTreeMap::new();
    configs(places).find_map(|(_, config, op)| {
        let gid = answer(op)?.gid?;
        let (other, by) = *groups.entry(config).or_insert((gid, op));
        let what = format!("groups {other} and {gid} both answered for one shard at config {config}");
        (other != gid).then(|| (op, format!("{what}:{}", words::operations([by, op]))))
    })
}
