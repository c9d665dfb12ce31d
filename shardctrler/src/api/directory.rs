//! Who is where: groups with their replicas, nodes with their addresses.

/// One replica of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message, serde::Serialize)]
pub struct Replica {
    /// The node that hosts it.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Its Raft member id: issued once, never reused.
    #[prost(uint64, tag = "2")]
    pub member: u64,
    /// The disk it lives on. A node with another disk does not start it.
    #[prost(fixed64, tag = "3")]
    pub disk: u64,
}

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum GroupState {
    /// It may own shards.
    Live = 0,
    /// It left: it gives its shards away and then has nothing more to do.
    Leaving = 1,
    /// It owes nothing and is owed nothing: nodes remove its replicas.
    TornDown = 2,
}

/// One group.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize)]
pub struct GroupRecord {
    /// Its gid; 0 is the controller.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// Its life: the number of the configuration whose Join created it (0 for the controller).
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// Its replicas as they should be.
    #[prost(message, repeated, tag = "3")]
    pub replicas: Vec<Replica>,
    /// Where it stands.
    #[prost(enumeration = "GroupState", tag = "4")]
    pub state: i32,
    /// It has been initialised: from now on an empty disk never initialises it.
    #[prost(bool, tag = "5")]
    pub initialised: bool,
    /// Everything up to this configuration is settled there.
    #[prost(uint64, tag = "6")]
    pub settled: u64,
    /// The configuration whose Leave made it go; 0 while it is live.
    #[prost(uint64, tag = "7")]
    pub left: u64,
    /// The directory's revision that tore it down; 0 before.
    #[prost(uint64, tag = "8")]
    pub torn_down: u64,
    /// The members that make the group: each of them initialises itself with exactly these, and nobody else does. While the
    /// group is not initialised and most of them are lost, there are new ones. None for the controller.
    #[prost(message, repeated, tag = "9")]
    pub founders: Vec<Replica>,
}

impl GroupRecord {
    /// Whether a member belongs to a set that was given up before it had made the group.
    pub fn is_void(&self, member: u64) -> bool {
        self.founders.iter().map(|founder| founder.member).min().is_some_and(|first| member < first)
    }
}

/// One node.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize)]
pub struct NodeRecord {
    /// Its id, from 1.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Where its gRPC port is reached, `host:port`.
    #[prost(string, tag = "2")]
    pub address: String,
    /// Its failure domain; may be empty.
    #[prost(string, tag = "3")]
    pub zone: String,
    /// Its present disk.
    #[prost(fixed64, tag = "4")]
    pub disk: u64,
}

/// The whole directory.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize)]
pub struct Directory {
    /// Grows by one with each change.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    /// The cluster, 32 hex digits.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// How many shards there are.
    #[prost(uint32, tag = "3")]
    pub shards: u32,
    /// Every group by gid, the controller (0) first; groups that left stay until torn down, and after that as a
    /// record (bounded) so that nodes that were away still remove their replicas.
    #[prost(message, repeated, tag = "4")]
    pub groups: Vec<GroupRecord>,
    /// Every node by id.
    #[prost(message, repeated, tag = "5")]
    pub nodes: Vec<NodeRecord>,
}

impl Directory {
    /// The newest life of a group.
    pub fn group(&self, gid: u64) -> Option<&GroupRecord> {
        self.groups.iter().filter(|group| group.gid == gid).max_by_key(|group| group.incarnation)
    }

    /// The life of a group that could own shards at configuration `config`.
    pub fn group_at(&self, gid: u64, config: u64) -> Option<&GroupRecord> {
        let lives = self.groups.iter().filter(|group| group.gid == gid && group.incarnation <= config);
        lives.max_by_key(|group| group.incarnation)
    }

    /// Whether the life of a group that owned shards at configuration `config` is torn down: whatever it was still to
    /// be asked has been done, only the answer was lost. A gid that this directory does not know may be newer than the
    /// directory, so it has not departed. (A record is forgotten only when nobody can have a question left.)
    pub fn departed(&self, gid: u64, config: u64) -> bool {
        match self.group_at(gid, config) {
            Some(group) => group.state() == GroupState::TornDown,
            // Only a gid whose earlier life was torn down can join again.
            None => self.group(gid).is_some(),
        }
    }

    /// A node.
    pub fn node(&self, node: u64) -> Option<&NodeRecord> {
        self.nodes.iter().find(|record| record.node == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(incarnation: u64, state: GroupState) -> GroupRecord {
        GroupRecord { gid: 7, incarnation, state: state.into(), ..GroupRecord::default() }
    }

    #[test]
    fn a_question_finds_the_life_it_was_meant_for() {
        use GroupState::{Leaving, Live, TornDown};
        let mut directory = Directory { groups: vec![life(3, Leaving)], ..Directory::default() };
        assert!(!directory.departed(7, 4), "it still has to answer");
        assert!(!directory.departed(8, 4), "an unknown gid may be newer than the directory");
        directory.groups[0].set_state(TornDown);
        assert!(directory.departed(7, 4));
        directory.groups.push(life(9, Live));
        assert!(directory.departed(7, 8) && !directory.departed(7, 9));
        assert_eq!(directory.group(7).map(|group| group.incarnation), Some(9));
        assert_eq!(directory.group_at(7, 8).map(|group| group.incarnation), Some(3));
        directory.groups.remove(0);
        assert!(directory.departed(7, 8), "a newer life says that the older one is gone");
    }
}
