//! Every key of the log database.
//!
//! | key | bytes | value | mutability |
//! |---|---|---|---|
//! | [`LogKey::Format`] | `00` | the layout's version | written once |
//! | [`LogKey::Round`] | `01` | the number of the last batch | overwritten by every batch |
//! | [`LogKey::State`] | `02 gid incarnation member` | vote, committed, purged, last | overwritten by the replica's batches |
//! | [`LogKey::Destroyed`] | `03 gid incarnation member` | empty | written once, in the batch that removes the replica; kept for ever |
//! | [`LogKey::Entry`] | `10 gid incarnation member index` | a log entry | written once, truncated or purged |
//!
//! Numbers are big-endian u64, so that keys sort like them.

use flotilla_types::engine::prefix_end;

use crate::ids::ReplicaId;

/// A key of the log database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogKey {
    /// The layout's version.
    Format,
    /// The number of the last batch.
    Round,
    /// What a replica has promised, and the bounds of its log.
    State(ReplicaId),
    /// A replica was here and was removed: it never comes back, whoever asks for it.
    Destroyed(ReplicaId),
    /// One entry of a replica's log.
    Entry(ReplicaId, u64),
}

const FORMAT: u8 = 0x00;
const ROUND: u8 = 0x01;
const STATE: u8 = 0x02;
const DESTROYED: u8 = 0x03;
const ENTRY: u8 = 0x10;

impl LogKey {
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Format => vec![FORMAT],
            Self::Round => vec![ROUND],
            Self::State(replica) => replica_key(STATE, replica),
            Self::Destroyed(replica) => replica_key(DESTROYED, replica),
            Self::Entry(replica, index) => {
                let mut key = replica_key(ENTRY, replica);
                key.extend_from_slice(&index.to_be_bytes());
                key
            }
        }
    }

    pub fn decode(key: &[u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let numbers: Vec<u64> =
            rest.chunks(8).map(|n| n.try_into().map(u64::from_be_bytes)).collect::<Result<_, _>>().ok()?;
        let replica =
            |n: &[u64]| ReplicaId { gid: n[0].into(), incarnation: n[1].into(), member: n[2].into() };
        match (*kind, numbers.as_slice()) {
            (FORMAT, []) => Some(Self::Format),
            (ROUND, []) => Some(Self::Round),
            (STATE, n @ [_, _, _]) => Some(Self::State(replica(n))),
            (DESTROYED, n @ [_, _, _]) => Some(Self::Destroyed(replica(n))),
            (ENTRY, n @ [_, _, _, index]) => Some(Self::Entry(replica(n), *index)),
            _ => None,
        }
    }

    /// The range of all the state rows.
    pub fn states() -> (Vec<u8>, Vec<u8>) {
        (vec![STATE], vec![STATE + 1])
    }

    /// The range of all of a replica's entries.
    pub fn entries(replica: ReplicaId) -> (Vec<u8>, Vec<u8>) {
        let start = replica_key(ENTRY, replica);
        let end = prefix_end(&start);
        (start, end)
    }
}

fn replica_key(kind: u8, replica: ReplicaId) -> Vec<u8> {
    let mut key = Vec::with_capacity(33);
    key.push(kind);
    for number in [replica.gid.get(), replica.incarnation.get(), replica.member.get()] {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: ReplicaId = ReplicaId {
        gid: flotilla_types::GroupId(1),
        incarnation: flotilla_types::ConfigNum(2),
        member: flotilla_types::MemberId(u64::MAX),
    };

    #[test]
    fn keys_round_trip_and_sort() {
        let keys = [
            LogKey::Format,
            LogKey::Round,
            LogKey::State(REPLICA),
            LogKey::Destroyed(REPLICA),
            LogKey::Entry(REPLICA, 0),
            LogKey::Entry(REPLICA, 256),
        ];
        for key in keys {
            assert_eq!(LogKey::decode(&key.encode()), Some(key));
            assert_eq!(LogKey::decode(&[&key.encode(), &[0][..]].concat()), None);
        }
        assert!(keys.map(LogKey::encode).is_sorted());
    }

    #[test]
    fn a_replicas_entries_lie_in_its_range_and_no_others_do() {
        let (start, end) = LogKey::entries(REPLICA);
        let inside = LogKey::Entry(REPLICA, u64::MAX).encode();
        let outside = LogKey::Entry(ReplicaId { gid: 2.into(), ..REPLICA }, 0).encode();
        assert!(start <= inside && inside < end && end <= outside);
    }
}
