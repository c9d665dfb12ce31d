//! Checker A. The version of each answer says where its operation stands, so nothing has to be searched: it judges a
//! whole run in O(n log n).
//!
//! A shard counts its writes; a key's version is that count at its last change, and an absent key answers the count
//! itself. So the answers to one key, sorted by version, *are* the order, and what is left is to look whether
//!
//! * every change has a version of its own (of its shard, if the number of shards is known);
//! * the order keeps real time: who is called after an answer stands behind it, a change strictly;
//! * the values follow: a put leaves its value, an append the value before with its token at the end, a delete nothing;
//!   every read at a version agrees with it; every swap was done, or not, as the value or version before it demanded;
//! * a version that no acknowledged change carries comes from an operation of unknown outcome, each used once;
//! * the configuration of the answers never goes back in real time, and at each one only one group answers
//!   (for each shard, or for each key if the number of shards is not known).
//!
//! Without operations of unknown outcome this is complete: what it passes is linearizable.
//!
//! What it does not check. With unknown outcomes it is lenient where it cannot tell: one removal of unknown outcome may
//! explain more than one gap, and a swap of unknown outcome counts as able to act whatever it expected. A delete that
//! found nothing carries no version: a place is looked for, unless a removal of unknown outcome may have made one. Keys with an acknowledged change that carries no version stay
//! open, and so do mismatches on keys whose words of unknown outcome cannot be told apart. Time to live: none.

mod facts;
mod places;
mod pool;
mod presence;
mod state;
mod walk;

use std::collections::BTreeMap;

use flotilla_types::shard_of_key;

use crate::keys::by_key;
use crate::record::Operation;
use crate::verdict::{Limits, Verdict};

use facts::Facts;
use places::Place;

/// Judges every key, then every shard.
pub fn check(history: &[Operation], limits: &Limits) -> Verdict {
    let mut verdict = Verdict::new("A");
    let mut shards: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for (number, (key, operations)) in by_key(history).into_iter().enumerate() {
        // Without their number, each key counts as a shard of its own.
        let shard = limits.shards.map_or_else(
            || u32::try_from(number).unwrap_or(u32::MAX),
            |shards| shard_of_key(key.bytes(), shards).get(),
        );
        let Some(facts) = Facts::of(&operations) else {
            verdict.leave(key, "an acknowledged change carries no version");
            continue;
        };
        let judged = walk::judge(facts);
        verdict.keys += 1;
        if let Some(why) = judged.open {
            verdict.leave(key, why);
        }
        match judged.wrong.or_else(|| places::key(&judged.places)) {
            Some((op, what)) => verdict.wrong(op, what),
            None => shards.entry(shard).or_default().extend(judged.places),
        }
    }
    for places in shards.values() {
        if let Some((op, what)) = places::shard(places) {
            verdict.wrong(op, what);
        }
    }
    verdict
}

/// What is wrong, with the operation that shows it.
type Wrong<'a> = (&'a Operation, String);
