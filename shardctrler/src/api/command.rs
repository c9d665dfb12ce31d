//! What goes through the controller's log.

/// One replicated command.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Command {
    /// The same on every retry of one admin request (64 random bits); 0: this command is harmless to repeat.
    #[prost(fixed64, tag = "1")]
    pub request_id: u64,
    /// The leader's clock when it proposed this, in milliseconds since 1970 UTC.
    #[prost(uint64, tag = "2")]
    pub now_ms: u64,
    /// Which; none is refused as invalid.
    #[prost(oneof = "Kind", tags = "3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub kind: Option<Kind>,
}

/// The kinds of [`Command`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Kind {
    /// The cluster's birth: the first command of the controller's log; later ones answer as the first did if equal.
    #[prost(message, tag = "3")]
    Bootstrap(Bootstrap),
    /// A node is there, with this disk and these addresses.
    #[prost(message, tag = "4")]
    Register(Register),
    /// New groups.
    #[prost(message, tag = "5")]
    Join(Join),
    /// Groups go.
    #[prost(message, tag = "6")]
    Leave(Leave),
    /// One shard goes to one group, by hand.
    #[prost(message, tag = "7")]
    Move(Move),
    /// What a group says of itself.
    #[prost(message, tag = "8")]
    Report(Report),
    /// Takes or renews a lock.
    #[prost(message, tag = "9")]
    Lock(Lock),
    /// Gives a lock back.
    #[prost(message, tag = "10")]
    Unlock(Unlock),
    /// Something about a cloud migration.
    #[prost(message, tag = "11")]
    Migration(flotilla_cloud_migration::Command),
}

/// The cluster's birth.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Bootstrap {
    /// 32 hex digits.
    #[prost(string, tag = "1")]
    pub cluster: String,
    /// How many shards, for ever: 1 to 16384.
    #[prost(uint32, tag = "2")]
    pub shards: u32,
    /// The controller's own first replicas. Their disks may be 0, not known yet: each is bound when its node registers
    /// for the first time.
    #[prost(message, repeated, tag = "3")]
    pub controllers: Vec<super::Replica>,
}

/// A node is there.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Register {
    /// The cluster it belongs to, 32 hex digits; another one is refused.
    #[prost(string, tag = "1")]
    pub cluster: String,
    /// Its id, from 1.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// Its disk. Another one than before: every replica of the old disk gets a new member id.
    #[prost(fixed64, tag = "3")]
    pub disk: u64,
    /// Where its gRPC port is reached, `host:port`.
    #[prost(string, tag = "4")]
    pub address: String,
    /// Its failure domain; may be empty.
    #[prost(string, tag = "5")]
    pub zone: String,
}

/// New groups, all in one configuration.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Join {
    /// The groups, each with the nodes of its replicas.
    #[prost(message, repeated, tag = "1")]
    pub groups: Vec<NewGroup>,
}

/// One new group.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct NewGroup {
    /// Its gid, from 1; never one that is live.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// Registered nodes, 1 to 9, all different.
    #[prost(uint64, repeated, tag = "2")]
    pub nodes: Vec<u64>,
}

/// Groups go, all in one configuration.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Leave {
    /// Which; at least one group must remain.
    #[prost(uint64, repeated, tag = "1")]
    pub gids: Vec<u64>,
}

/// One shard goes to one group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Move {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Its new owner. If it is the owner already: done, no new configuration.
    #[prost(uint64, tag = "2")]
    pub gid: u64,
}

/// What a group says of itself. Numbers only grow; a report of another incarnation is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Report {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// Its life.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// It has elected a leader: from now on an empty disk never initialises it.
    #[prost(bool, tag = "3")]
    pub initialised: bool,
    /// It settled everything up to this configuration: no shard of it waits for an earlier one, nothing is owed.
    #[prost(uint64, tag = "4")]
    pub settled: u64,
    /// The member that speaks: one of founders that were given up initialises nothing.
    #[prost(uint64, tag = "5")]
    pub member: u64,
}

/// Takes a lock, or renews it (same holder).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Lock {
    /// Its name, 1 to 256 bytes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Who wants it, 1 to 256 bytes.
    #[prost(string, tag = "2")]
    pub holder: String,
    /// For how long, from the command's `now_ms`; 1 ms to 1 h.
    #[prost(uint64, tag = "3")]
    pub ttl_ms: u64,
}

/// Gives a lock back.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Unlock {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The token that taking it gave; another one changes nothing.
    #[prost(uint64, tag = "2")]
    pub token: u64,
}
