//! When a key was there, by version, and whether who found nothing can have come at such a time.

use crate::record::Operation;
use crate::words;

use super::Wrong;
use super::places::{Answered, Kind, Place};

/// From each version on: whether the key is there.
#[derive(Debug, Default)]
pub(super) struct Presence(Vec<(u64, bool)>);

impl Presence {
    /// Versions come in order.
    pub(super) fn note(&mut self, version: u64, is_there: bool) {
        self.0.push((version, is_there));
    }

    /// The first moment from `version` on at which the key is not there.
    fn absent_from(&self, version: u64) -> Option<u64> {
        let after = self.0.partition_point(|(from, _)| *from <= version);
        if after == 0 || !self.0[after - 1].1 {
            return Some(version);
        }
        self.0[after..].iter().find(|(_, is_there)| !is_there).map(|(from, _)| *from)
    }

    /// Finds a place for each operation that found nothing and does not say when: as early as it can be, since that
    /// leaves the most room to those behind it.
    pub(super) fn place<'a>(
        &self,
        mut unplaced: Vec<&'a Operation>,
        places: &[Place<'a>],
    ) -> Option<Wrong<'a>> {
        if unplaced.is_empty() {
            return None;
        }
        unplaced.sort_by_key(|op| op.called_ns);
        let answered = Answered::of(places.iter().filter_map(Place::heard));
        let limits = Limits::of(places);
        let mut placed: Vec<(u64, u64)> = Vec::new();
        for op in unplaced {
            let before = placed.iter().filter(|(returned, _)| *returned < op.called_ns).map(|(_, at)| *at);
            let seen = answered.before(op.called_ns).map_or(0, |(version, _)| version);
            let earliest = before.max().unwrap_or_default().max(seen);
            let returned = op.returned_ns.unwrap_or(u64::MAX);
            let limit = limits.after(returned);
            match self.absent_from(earliest).filter(|at| *at <= limit) {
                Some(at) => placed.push((returned, at)),
                None => {
                    let what = format!("it found nothing, and from version {earliest} on the key was there");
                    return Some((op, format!("{what}:{}", words::operations([op]))));
                }
            }
        }
        None
    }
}

/// The least version of whoever was called after a moment, by call.
struct Limits(Vec<(u64, u64)>);

impl Limits {
    fn of(places: &[Place<'_>]) -> Self {
        let limit = |place: &Place<'_>| match place.kind {
            Kind::Change => place.version.saturating_sub(1),
            Kind::Count | Kind::Key | Kind::AtMost => place.version,
        };
        let heard = places.iter().filter(|place| place.heard().is_some());
        let mut all: Vec<(u64, u64)> = heard.map(|place| (place.op.called_ns, limit(place))).collect();
        all.sort_unstable();
        for at in (1..all.len()).rev() {
            all[at - 1].1 = all[at - 1].1.min(all[at].1);
        }
        Self(all)
    }

    fn after(&self, returned: u64) -> u64 {
        let from = self.0.partition_point(|(called, _)| *called <= returned);
        self.0.get(from).map_or(u64::MAX, |(_, limit)| *limit)
    }
}
