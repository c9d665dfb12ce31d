//! Three shard groups: writes, retries, late and repeated messages, moves, restarts. At every step the groups together
//! answer as a plain map does; in the end everything settles and the rows are the map's.

use flotilla_shardkv::api::op::{Expected, Kind as OpKind};

use super::choices::Choices;
use super::run::Run;
use super::steps::{GROUPS, KEYS, SHARDS, Step, same_shard};
use super::world;

/// Longer schedules show nothing that shorter ones do not.
const STEPS_MAX: usize = 400;

/// A schedule: two bytes of bounds, then steps.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let chunk_bytes = [1, 80, 1 << 20][choices.index(3)];
    let seal_when_bytes = [0, 100, 1 << 16][choices.index(3)];
    let mut run = Run::new(chunk_bytes, seal_when_bytes);
    run.step(Step::Adopt { gid: 0 });
    for _ in 0..STEPS_MAX {
        let Some(kind) = choices.next() else { break };
        run.step(step(kind, &mut choices));
    }
    run.heal();
}

fn step(kind: u8, choices: &mut Choices<'_>) -> Step {
    match kind % 20 {
        0 | 1 => Step::Write { client: choices.below(3), gid: at(choices), op: op(choices) },
        2 | 3 => Step::Retry { client: choices.below(3), gid: at(choices), back: choices.below(3) },
        4 => Step::Read { gid: gid(choices), key: choices.index(KEYS.len()) },
        5 => Step::Pass { ms: choices.below(40) },
        6 => Step::Config { owners: (0..SHARDS).map(|_| gid(choices)).collect() },
        7 => Step::Adopt { gid: choices.below(GROUPS + 1) },
        8 => Step::Pull { gid: gid(choices), shard: shard(choices), lagging: choices.flag() },
        9 => Step::Deliver { message: choices.byte().into() },
        10 => Step::Seal { gid: gid(choices), shard: shard(choices) },
        11 => Step::Delete { gid: gid(choices), answered: choices.flag() },
        12 => Step::LateDelete { index: choices.byte().into() },
        13 => Step::LateSeal { index: choices.byte().into() },
        14 => Step::LateAcknowledge { index: choices.byte().into() },
        15 => Step::Restart { gid: gid(choices) },
        16 => Step::Lag { gid: gid(choices) },
        17 => Step::Sweep { gid: gid(choices) },
        18 => Step::Expire { gid: gid(choices), shard: shard(choices) },
        _ => Step::Progress { index: choices.byte().into() },
    }
}

fn gid(choices: &mut Choices<'_>) -> u64 {
    1 + choices.below(GROUPS)
}

// 0: whichever group serves.
fn at(choices: &mut Choices<'_>) -> u64 {
    choices.below(8).saturating_sub(7 - GROUPS)
}

fn shard(choices: &mut Choices<'_>) -> u32 {
    u32::from(choices.byte()) % SHARDS
}

fn op(choices: &mut Choices<'_>) -> OpKind {
    match choices.byte() % 8 {
        7 => {
            let many = 1 + choices.index(3);
            same_shard((0..many).map(|_| single(choices)).collect())
        }
        _ => single(choices),
    }
}

fn single(choices: &mut Choices<'_>) -> OpKind {
    let kind = choices.byte();
    let key = KEYS[choices.index(KEYS.len())];
    match kind % 8 {
        0 | 1 => world::append(key, choices.slice(3)),
        2 => world::put(key, choices.slice(3), 0),
        3 => world::put(key, choices.slice(3), 1 + choices.below(50)),
        4 => world::delete(key),
        5 => world::cas(key, None, choices.flag().then_some(&b"new"[..])),
        6 => world::cas(key, Some(expected(choices)), choices.flag().then_some(&b"v"[..])),
        _ => world::get(key),
    }
}

fn expected(choices: &mut Choices<'_>) -> Expected {
    if choices.flag() {
        Expected::Version(choices.below(20))
    } else {
        Expected::Value(world::copy(choices.slice(3)))
    }
}
