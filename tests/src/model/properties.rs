//! What must hold, by name. A name is what a test of a planted omission expects to see broken.

use stateright::Property;

use super::moves::Moves;
use super::schedule::Gid;
use super::shard::{Cursor, Phase, Shard, bit};
use super::state::State;

/// At any moment at most one group serves a shard.
pub const ONE_SERVER: &str = "one server at a time";
/// At any config number at most one group ever answers for a shard.
pub const ONE_SERVER_A_CONFIG: &str = "one server a config";
/// Whoever serves has every token that was promised.
pub const NOTHING_LOST: &str = "nothing lost";
/// No write is applied twice, or out of its client's order.
pub const NOTHING_DOUBLED: &str = "nothing doubled";
/// Whoever serves has nothing that was deleted or that has expired.
pub const NOTHING_COMES_BACK: &str = "nothing comes back";
/// The next write's version is above every version answered, and rows keep theirs.
pub const VERSIONS_GROW: &str = "versions only grow";
/// The old owner keeps a shard until the new one has all of it.
pub const KEPT_UNTIL_INSTALLED: &str = "kept until installed";
/// Service stops for the last delta only, never for the base copy.
pub const SHORT_PAUSE: &str = "sealed for the delta only";
/// From any group, the hints lead to the one that serves, if there is one.
pub const HINTS_LEAD: &str = "hints lead to the server";
/// In the end the last owner serves, nobody owes anything, old rows are gone, and every client has its
/// answers. Checked as: every state that is not yet so has a step that somebody retries until it happens. As
/// the state graph has no cycle (asserted at every step), a run in which retries succeed in the end cannot
/// but settle.
pub const SETTLES: &str = "everything settles";
/// The schedule does exercise service during a copy.
pub const SERVED_WHILE_COPIED: &str = "a write while the shard is copied";
/// The schedule does exercise answers of lagging replicas.
pub const LAGGING_ANSWER: &str = "a lagging replica can answer";

/// The properties of the model.
pub fn all(moves: &Moves) -> Vec<Property<Moves>> {
    let mut all = vec![
        Property::always(ONE_SERVER, |m: &Moves, s: &State| shards(m).all(|n| s.servers(n).count() <= 1)),
        Property::always(ONE_SERVER_A_CONFIG, |_, s: &State| s.promises.iter().all(|p| !p.has_rivals())),
        Property::always(NOTHING_LOST, |_, s| serving(s).all(|(n, shard)| has_every_token(s, n, shard))),
        Property::always(NOTHING_DOUBLED, |_, s: &State| !s.promises.iter().any(|p| p.twice)),
        Property::always(NOTHING_COMES_BACK, |_, s| {
            serving(s).all(|(n, shard)| has_nothing_else(s, n, shard))
        }),
        Property::always(VERSIONS_GROW, |_, s| serving(s).all(|(n, shard)| versions_hold(s, n, shard))),
        Property::always(KEPT_UNTIL_INSTALLED, |_, s: &State| {
            s.all().all(|(_, n, shard)| source_is_kept(s, n, shard))
        }),
        Property::always(SHORT_PAUSE, |m: &Moves, s: &State| {
            s.all().all(|(_, n, shard)| pause_is_short(m, s, n, shard))
        }),
        Property::always(HINTS_LEAD, |m: &Moves, s| shards(m).all(|n| hints_lead(m, s, n))),
        Property::always(SETTLES, |m: &Moves, s: &State| m.is_settled(s) || m.can_go_on(s)),
    ];
    if moves.schedule.scripts.iter().any(|script| !script.is_empty()) {
        all.push(Property::sometimes(SERVED_WHILE_COPIED, |_, s: &State| {
            s.all().any(|(_, _, shard)| shard.changes.iter().any(|counter| *counter > 0))
        }));
        all.push(Property::sometimes(LAGGING_ANSWER, |_, s: &State| s.past.iter().any(|p| !p.is_empty())));
    }
    all
}

fn shards(moves: &Moves) -> std::ops::Range<usize> {
    0..moves.schedule.chains.len()
}

fn serving(state: &State) -> impl Iterator<Item = (usize, &Shard)> {
    state.all().filter(|(_, _, shard)| shard.serves()).map(|(_, number, shard)| (number, shard))
}

fn has_every_token(state: &State, number: usize, shard: &Shard) -> bool {
    let promised = &state.promises[number].data;
    (0..promised.rows.len()).all(|key| match (promised.live(key), shard.data.live(key)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(want), Some(have)) => want.value.tokens().all(|t| have.value.count(t) >= want.value.count(t)),
    })
}

fn has_nothing_else(state: &State, number: usize, shard: &Shard) -> bool {
    let promised = &state.promises[number].data;
    (0..promised.rows.len()).all(|key| match (promised.live(key), shard.data.live(key)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(want), Some(have)) => have.value.tokens().all(|t| want.value.count(t) >= have.value.count(t)),
    })
}

fn versions_hold(state: &State, number: usize, shard: &Shard) -> bool {
    let promised = &state.promises[number].data;
    let same = |key: usize| match (promised.live(key), shard.data.live(key)) {
        (Some(want), Some(have)) => have.version >= want.version,
        _ => true,
    };
    shard.data.counter >= promised.counter && (0..promised.rows.len()).all(same)
}

fn source_is_kept(state: &State, number: usize, shard: &Shard) -> bool {
    let Phase::Pulling { from } = shard.phase else { return true };
    let source = state.shard(from, number);
    let aborted = state.promises[number].aborted & bit(shard.at) != 0;
    source.at < shard.at || source.at == shard.at && source.is_source() || aborted
}

fn pause_is_short(moves: &Moves, state: &State, number: usize, shard: &Shard) -> bool {
    if shard.phase != (Phase::BePulling { sealed: true }) {
        return true;
    }
    let to = state.shard(moves.schedule.owner(number, shard.at), number);
    let in_delta = to.at == shard.at && matches!(to.cursor, Cursor::Delta(_));
    in_delta || to.installed & bit(shard.at) != 0
}

/// The group that `gid` sends a client to: what it handed the shard to, else what its configs say.
fn hint(moves: &Moves, state: &State, number: usize, gid: Gid) -> Gid {
    let shard = state.shard(gid, number);
    match (shard.phase, shard.handed_to) {
        (Phase::Absent | Phase::Pulling { .. }, Some(to)) => to,
        (Phase::Pulling { .. }, None) => moves.schedule.owner(number, shard.at - 1),
        (Phase::BePulling { .. }, _) => moves.schedule.owner(number, shard.at),
        (Phase::Absent, None) => moves.schedule.owner(number, state.groups[usize::from(gid)].cfg),
        (Phase::Serving, _) => gid,
    }
}

fn hints_lead(moves: &Moves, state: &State, number: usize) -> bool {
    let Some(server) = state.servers(number).next() else { return true };
    state.gids().filter(|gid| moves.is_alive(state, *gid)).all(|first| {
        let mut gid = first;
        for _ in state.gids() {
            if gid == server {
                return true;
            }
            gid = match hint(moves, state, number, gid) {
                to if usize::from(to) < state.groups.len() && moves.is_alive(state, to) => to,
                // A dead group gives no hint: the client walks the owners back (not modelled).
                _ => return true,
            };
        }
        gid == server
    })
}
