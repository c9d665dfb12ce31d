//! How steps are drawn.

use flotilla_shardkv::api::op::{Expected, Kind as OpKind};
use proptest::prelude::*;

use crate::steps::{GROUPS, KEYS, SHARDS, Step, same_shard};
use crate::world;

pub fn key() -> impl Strategy<Value = usize> {
    0..KEYS.len()
}

pub fn single() -> impl Strategy<Value = OpKind> {
    let value = prop::collection::vec(any::<u8>(), 0..4);
    prop_oneof![
        4 => (key(), value.clone()).prop_map(|(key, value)| world::append(KEYS[key], &value)),
        3 => (key(), value.clone(), prop_oneof![3 => Just(0), 1 => 1u64..50])
            .prop_map(|(key, value, ttl)| world::put(KEYS[key], &value, ttl)),
        2 => key().prop_map(|key| world::delete(KEYS[key])),
        2 => (key(), prop::option::of(value.clone())).prop_map(|(key, new)| world::cas(KEYS[key], None, new.as_deref())),
        1 => (key(), 0u64..20).prop_map(|(key, version)| world::cas(KEYS[key], Some(Expected::Version(version)), Some(b"v"))),
        1 => (key(), value).prop_map(|(key, old)| {
            world::cas(KEYS[key], Some(Expected::Value(world::copy(&old))), None)
        }),
        1 => key().prop_map(|key| world::get(KEYS[key])),
    ]
}

pub fn op() -> impl Strategy<Value = OpKind> {
    prop_oneof![
        5 => single(),
        1 => prop::collection::vec(single(), 1..4).prop_map(same_shard),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let gid = 1..=GROUPS;
    // 0: whichever group serves.
    let at = prop_oneof![4 => Just(0), 1 => 1..=GROUPS].boxed();
    prop_oneof![
        12 => (0u64..3, at.clone(), op()).prop_map(|(client, gid, op)| Step::Write { client, gid, op }),
        10 => (0u64..3, at, 0u64..3).prop_map(|(client, gid, back)| Step::Retry { client, gid, back }),
        2 => (gid.clone(), key()).prop_map(|(gid, key)| Step::Read { gid, key }),
        1 => (0u64..40).prop_map(|ms| Step::Pass { ms }),
        3 => prop::collection::vec(1..=GROUPS, SHARDS as usize).prop_map(|owners| Step::Config { owners }),
        8 => (0..=GROUPS).prop_map(|gid| Step::Adopt { gid }),
        2 => (gid.clone(), 0..SHARDS, any::<bool>()).prop_map(|(gid, shard, lagging)| Step::Pull { gid, shard, lagging }),
        6 => any::<usize>().prop_map(|message| Step::Deliver { message }),
        2 => (gid.clone(), 0..SHARDS).prop_map(|(gid, shard)| Step::Seal { gid, shard }),
        2 => (gid.clone(), any::<bool>()).prop_map(|(gid, answered)| Step::Delete { gid, answered }),
        2 => any::<usize>().prop_map(|index| Step::LateDelete { index }),
        2 => any::<usize>().prop_map(|index| Step::LateSeal { index }),
        2 => any::<usize>().prop_map(|index| Step::LateAcknowledge { index }),
        1 => gid.clone().prop_map(|gid| Step::Restart { gid }),
        2 => gid.clone().prop_map(|gid| Step::Lag { gid }),
        1 => gid.clone().prop_map(|gid| Step::Sweep { gid }),
        1 => (gid, 0..SHARDS).prop_map(|(gid, shard)| Step::Expire { gid, shard }),
        24 => any::<usize>().prop_map(|index| Step::Progress { index }),
    ]
}
