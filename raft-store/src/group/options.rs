//! How a group is opened: who it is, how patient it is, how much it takes.

use flotilla_types::Machine;
use flotilla_types::limits::MESSAGE_BYTES_MAX;

use crate::error::StoreError;
use crate::ids::ReplicaId;

/// What [`crate::Group::open`] needs.
#[derive(Clone)]
pub struct GroupOptions<M: Machine> {
    /// Which replica.
    pub replica: ReplicaId,
    /// What the machine must know before its first row.
    pub machine: M::Options,
    /// How patient it is.
    pub timings: RaftTimings,
    /// How much it takes.
    pub limits: GroupLimits,
}

impl<M: Machine> GroupOptions<M> {
    /// Default timings and limits.
    pub fn new(replica: ReplicaId, machine: M::Options) -> Self {
        Self { replica, machine, timings: RaftTimings::default(), limits: GroupLimits::default() }
    }
}

/// How long a replica waits for what, in milliseconds.
///
/// After a leader dies, the gap is about one lease (`election_ms_max`) and one election timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftTimings {
    /// Between two heartbeats.
    pub heartbeat_ms: u64,
    /// The shortest election timeout.
    pub election_ms_min: u64,
    /// The longest election timeout, and the leader's lease.
    pub election_ms_max: u64,
    /// How old the oldest unanswered append may be before its stream is given up.
    pub append_ms_max: u64,
    /// How long a snapshot may stand still between two chunks.
    pub snapshot_chunk_ms_max: u64,
    /// How long a peer may take to install a snapshot that it has received.
    pub snapshot_install_ms_max: u64,
    /// How long a proposal waits, first in the queue and then for its commit.
    pub propose_ms_max: u64,
    /// How long a read waits for a majority and for its index to be applied.
    pub read_ms_max: u64,
    /// How long a leader that is shut down waits for another one to take over.
    pub handover_ms_max: u64,
}

impl Default for RaftTimings {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_ms_min: 300,
            election_ms_max: 450,
            append_ms_max: 2_000,
            snapshot_chunk_ms_max: 10_000,
            snapshot_install_ms_max: 600_000,
            propose_ms_max: 5_000,
            read_ms_max: 3_000,
            handover_ms_max: 1_500,
        }
    }
}

/// Bounds of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Where a log entry stops taking more commands. A single larger command has an entry of its own.
    pub entry_bytes: usize,
    /// The most commands in a log entry.
    pub entry_commands_max: usize,
    /// The longest encoded command.
    pub command_bytes_max: usize,
    /// How many entries are under way before commands wait for more to join them.
    pub entries_in_flight: usize,
    /// The most proposals that wait.
    pub queue_proposals_max: usize,
    /// The most bytes of proposals that wait.
    pub queue_bytes_max: usize,
    /// The most reads that wait.
    pub queue_reads_max: usize,
    /// What the newest entries of the log may take in memory.
    pub tail_bytes_max: usize,
    /// A snapshot is built when so many entries were applied since the last one,
    pub snapshot_entries: u64,
    /// or when so many bytes were appended since.
    pub snapshot_log_bytes: u64,
    /// After a snapshot at most so many entries stay in the log, for followers that lag a little,
    pub keep_entries: u64,
    /// and at most so many bytes, and at most half of `tail_bytes_max`.
    pub keep_bytes: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            entry_bytes: 1024 * 1024,
            entry_commands_max: 1024,
            command_bytes_max: MESSAGE_BYTES_MAX,
            entries_in_flight: 2,
            queue_proposals_max: 8192,
            queue_bytes_max: 64 * 1024 * 1024,
            queue_reads_max: 65_536,
            tail_bytes_max: 16 * 1024 * 1024,
            snapshot_entries: 100_000,
            snapshot_log_bytes: 256 * 1024 * 1024,
            keep_entries: 10_000,
            keep_bytes: 32 * 1024 * 1024,
        }
    }
}

/// openraft's settings; each one that differs from its default says why.
pub(crate) fn raft_config(name: String, timings: &RaftTimings) -> Result<openraft::Config, StoreError> {
    let config = openraft::Config {
        cluster_name: name,
        heartbeat_interval: timings.heartbeat_ms,
        election_timeout_min: timings.election_ms_min,
        election_timeout_max: timings.election_ms_max,
        // The keeper builds snapshots, by bytes too; and purges what they made superfluous.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1024,
        max_payload_entries: 1024,
        install_snapshot_timeout: timings.snapshot_install_ms_max,
        // Followers sync while the leader does.
        broadcast_submitted_on_append: Some(true),
        // A member without a majority must not raise the term of the others.
        enable_pre_vote: Some(true),
        // A restarted leader's old entry would be its read index: reads could be stale.
        enable_leader_restore: Some(false),
        // An old leader that reaches some members must not keep a connected majority from electing.
        quorum_loss_probe_interval: Some((4 * timings.election_ms_max).max(2_000)),
        // A member that lost its log is wiped and gets a new id; nobody's log goes back.
        allow_log_reversion: Some(false),
        ..openraft::Config::default()
    };
    config.validate().map_err(|error| StoreError::Settings(error.to_string()))
}
