//! The language of the stories.

#[derive(goldenscript::Command)]
/// One command. Those about a group have a prefix such as `g1:`.
pub enum Command {
    /// How many shards the cluster has (before any group).
    Shards(u32),
    /// A new group; with its own bounds.
    Group {
        gid: u64,
        #[arg(key, optional)]
        inc: u64,
        #[arg(key)]
        sessions: Option<u64>,
        #[arg(key)]
        window: Option<u64>,
        #[arg(key)]
        rounds: Option<u32>,
        #[arg(key)]
        expire: Option<usize>,
        #[arg(key)]
        seal: Option<u64>,
    },
    /// A configuration: its number and the owner of each shard.
    Config(u64, Vec<u64>),
    /// The clock of every leader and client, in milliseconds after the start.
    Time(u64),
    /// Whether leaders trust their clocks (`yes`) or stamp nothing (`no`).
    Stamp(String),
    /// The size of a chunk.
    Chunk(usize),
    /// The group adopts a configuration.
    Adopt(u64),
    Put {
        key: String,
        value: String,
        #[arg(key)]
        id: Option<String>,
        #[arg(key, optional)]
        ttl: u64,
    },
    Append {
        key: String,
        value: String,
        #[arg(key)]
        id: Option<String>,
    },
    Delete {
        key: String,
        #[arg(key)]
        id: Option<String>,
    },
    /// Compares with a value; `nil` stands for "absent".
    Cas {
        key: String,
        old: String,
        new: String,
        #[arg(key)]
        id: Option<String>,
    },
    /// Operations as `put/key/value`, `append/key/value`, `delete/key`, `get/key`, `cas/key/old/new`.
    Batch {
        ops: Vec<String>,
        #[arg(key)]
        id: Option<String>,
    },
    Get(String),
    Scan {
        shard: u32,
        #[arg(key, optional)]
        from: String,
        #[arg(key, optional)]
        limit: usize,
    },
    Tick(u32),
    Expire(u32),
    /// The group asks the old owner for the next piece; `via=lagging`: its lagging replica.
    Pull {
        shard: u32,
        #[arg(key)]
        via: Option<String>,
    },
    /// A message arrives (again).
    Deliver(usize),
    /// The group is told to seal.
    Seal {
        shard: u32,
        config: u64,
        #[arg(key)]
        phase: Option<String>,
    },
    /// The group is told to delete.
    DeleteShards(u32, u64),
    /// The group hears that the old owner has deleted.
    Acknowledge(u32, u64),
    /// The group becomes read-only for migration 9 at a configuration.
    Freeze {
        freeze: u64,
        config: u64,
        #[arg(key, optional)]
        lease: u64,
        #[arg(key)]
        migration: Option<u64>,
    },
    Thaw(u64),
    Renew(u64),
    /// The lease of a freeze runs out for a leader that saw so many renewals.
    Lapse(u64, u64),
    /// What the group says of a freeze.
    Proof(u64),
    /// What the leader's door says to a put.
    Ahead {
        key: String,
        value: String,
        #[arg(key)]
        id: Option<String>,
    },
    /// Every group acts until nothing is left to do.
    Settle,
    /// Only this group acts, once.
    Act,
    /// What the group wants to do.
    Actions,
    Status,
    /// The rows of the group's engine.
    Dump,
    /// The process dies and starts again.
    Restart,
    /// A replica stops applying here.
    Lag,
    Sweep,
}
