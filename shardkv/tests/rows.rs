//! Every key and every fixed layout survives its own encoding; keys sort as their parts do; nothing else decodes.

use bytes::Bytes;
use flotilla_shardkv::api::{Code, RowKind};
use flotilla_shardkv::rows::{Home, RowKey};
use flotilla_shardkv::values::{ChangeRow, DataRow, Outcome, SessionRow};
use flotilla_types::{ClientId, ConfigNum, ShardId};
use proptest::prelude::*;

fn home() -> impl Strategy<Value = Home> {
    (any::<u32>(), any::<u64>())
        .prop_map(|(shard, num)| Home { shard: ShardId(shard), acquired: ConfigNum(num) })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn kind() -> impl Strategy<Value = RowKind> {
    prop_oneof![Just(RowKind::Data), Just(RowKind::Session)]
}

fn key() -> impl Strategy<Value = RowKey> {
    let at = (any::<u64>(), any::<u32>());
    prop_oneof![
        Just(RowKey::Group),
        any::<u64>().prop_map(|num| RowKey::Config { num: ConfigNum(num) }),
        any::<u32>().prop_map(|shard| RowKey::Shard { shard: ShardId(shard) }),
        at.prop_map(|(config, shard)| RowKey::Debt { config: ConfigNum(config), shard: ShardId(shard) }),
        (home(), bytes()).prop_map(|(home, key)| RowKey::Data { home, key }),
        (home(), any::<u64>(), any::<u32>()).prop_map(|(home, client, lane)| RowKey::Session {
            home,
            client: ClientId(client),
            lane
        }),
        (home(), any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(home, bucket, client, lane)| {
            RowKey::SessionAge { home, bucket, client: ClientId(client), lane }
        }),
        (home(), any::<u64>()).prop_map(|(home, number)| RowKey::Change { home, number }),
        (home(), kind(), bytes()).prop_map(|(home, kind, key)| RowKey::ChangeOf { home, kind, key }),
        (home(), any::<u64>(), bytes()).prop_map(|(home, at_ms, key)| RowKey::Expiry { home, at_ms, key }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let code = prop_oneof![Just(Code::Ok), Just(Code::NoKey), Just(Code::CompareFailed)];
    (code, any::<u64>(), prop::option::of(bytes())).prop_map(|(code, version, value)| Outcome {
        code,
        version,
        value,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_round_trip_and_sort(a in key(), b in key()) {
        let (left, right) = (Bytes::from(a.encode()), Bytes::from(b.encode()));
        prop_assert_eq!(RowKey::decode(&left), Some(a.clone()));
        if std::mem::discriminant(&a) == std::mem::discriminant(&b) {
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }
    }

    #[test]
    fn data_rows_round_trip(version: u64, expires_at_ms: u64, value in bytes()) {
        let row = DataRow { version, expires_at_ms, value };
        prop_assert_eq!(DataRow::decode(&row.encode().into()), Some(row));
    }

    #[test]
    fn session_rows_round_trip(
        seq: u64,
        issued_at_ms: u64,
        last in outcome(),
        batch in prop::collection::vec(outcome(), 0..5),
    ) {
        // Only the operations of a batch read.
        let row = SessionRow { seq, issued_at_ms, outcome: Outcome { value: None, ..last }, batch };
        prop_assert_eq!(SessionRow::decode(&row.encode().into()), Some(row));
    }

    #[test]
    fn change_rows_round_trip(kind in kind(), bytes: u32, key in bytes()) {
        let row = ChangeRow { kind, bytes, key };
        prop_assert_eq!(ChangeRow::decode(&row.encode().into()), Some(row));
    }

    #[test]
    fn other_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let bytes = Bytes::from(bytes);
        RowKey::decode(&bytes);
        RowKey::home_of(&bytes);
        DataRow::decode(&bytes);
        SessionRow::decode(&bytes);
        ChangeRow::decode(&bytes);
    }
}

#[test]
fn a_newer_format_is_refused() {
    assert_eq!(DataRow::decode(&Bytes::from_static(&[2; 40])), None);
    assert_eq!(SessionRow::decode(&Bytes::from_static(&[2; 40])), None);
    assert_eq!(ChangeRow::decode(&Bytes::from_static(&[2; 40])), None);
}
