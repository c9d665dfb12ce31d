//! What replicas and peers are called.

use std::fmt;
use std::str::FromStr;

use flotilla_types::{GroupId, Incarnation, MemberId, NodeId};

/// One replica: one member of one life of one group. Never reused, also not after the replica is destroyed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplicaId {
    /// The group.
    pub gid: GroupId,
    /// The life of the group: the config number of its Join.
    pub incarnation: Incarnation,
    /// The Raft member.
    pub member: MemberId,
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}-i{}-m{}", self.gid, self.incarnation, self.member)
    }
}

/// Text that is not `g<gid>-i<incarnation>-m<member>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replica id {0:?} is not of the form g1-i2-m3")]
pub struct ReplicaIdError(String);

impl FromStr for ReplicaId {
    type Err = ReplicaIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('-');
            let mut number = |letter: char| parts.next()?.strip_prefix(letter)?.parse::<u64>().ok();
            let (gid, incarnation, member) = (number('g')?, number('i')?, number('m')?);
            let id = Self { gid: gid.into(), incarnation: incarnation.into(), member: member.into() };
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| ReplicaIdError(text.to_owned()))
    }
}

/// Where a member lives: what the group's membership remembers of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Peer {
    /// The node.
    pub node: NodeId,
    /// Its gRPC address, `host:port`.
    pub address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at {}", self.node, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_ids_round_trip_and_nothing_else_parses() {
        let id = ReplicaId { gid: GroupId(1), incarnation: 22.into(), member: MemberId(333) };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "g1", "g1-i2", "g1-i2-m3-x", "g1-i2-m+3", "g01-i2-m3", "i1-g2-m3"] {
            assert!(bad.parse::<ReplicaId>().is_err(), "{bad}");
        }
    }
}
