//! What a node is told when it starts. Every value is checked before anything is touched.

use std::net::SocketAddr;
use std::path::PathBuf;

use flotilla_types::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX, SHARDS_MAX};
use flotilla_types::{ClusterId, NodeId};
use serde::Deserialize;

/// Who this node is and whom it belongs to.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its id, from 1, unique in the cluster.
    pub node: NodeId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its data directory; created if it is not there.
    pub dir: PathBuf,
    /// Where it listens for gRPC; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where others reach it, `host:port`; none: the listening address.
    pub advertise: Option<String>,
    /// Where it listens for HTTP (health, readiness, metrics); none: nowhere.
    pub http: Option<SocketAddr>,
    /// The nodes that ran the controller when the cluster was created, with their addresses.
    pub controllers: Vec<(NodeId, String)>,
    /// Create the cluster: this node's directory is empty and it is one of `controllers`.
    pub bootstrap: bool,
    /// How many shards the new cluster has (only with `bootstrap`).
    pub shards: u32,
    /// Its failure domain; may be empty.
    pub zone: String,
    /// Everything that has a sensible default.
    pub settings: Settings,
}

/// What can be tuned. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often a leader says that it is there.
    pub heartbeat_ms: u64,
    /// The shortest wait of a follower that hears nothing before it asks for an election.
    pub election_min_ms: u64,
    /// The longest one; also the leader's lease.
    pub election_max_ms: u64,
    /// A snapshot is taken, and the log before it dropped, after so many entries...
    pub snapshot_log_entries: u64,
    /// ... or so many bytes of log.
    pub snapshot_log_bytes: u64,
    /// About how large a piece of a moving shard is.
    pub chunk_bytes: usize,
    /// How fast this node pulls moving shards, all together; 0: as fast as it can.
    pub move_bytes_per_second: u64,
    /// How many shards this node pulls at a time.
    pub moves_max: usize,
    /// RocksDB's block cache, shared by all replicas of the node.
    pub block_cache_bytes: usize,
    /// How many client commands may be in work at a time on one connection.
    pub stream_in_flight_max: usize,
    /// For tests only: acknowledge writes that are not on disk. A power cut loses them.
    pub unsafe_no_fsync: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_min_ms: 300,
            election_max_ms: 450,
            snapshot_log_entries: 200_000,
            snapshot_log_bytes: 256 * 1024 * 1024,
            chunk_bytes: CHUNK_BYTES,
            move_bytes_per_second: 0,
            moves_max: 4,
            block_cache_bytes: 256 * 1024 * 1024,
            stream_in_flight_max: 4096,
            unsafe_no_fsync: false,
        }
    }
}

/// A setting or option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}: {problem}")]
pub struct OptionsError {
    /// The field.
    pub field: &'static str,
    /// What it was given.
    pub value: String,
    /// What is wrong, with the limit.
    pub problem: String,
}

fn check<T: ToString>(field: &'static str, value: T, ok: bool, problem: &str) -> Result<(), OptionsError> {
    if ok {
        Ok(())
    } else {
        Err(OptionsError { field, value: value.to_string(), problem: problem.to_owned() })
    }
}

impl Settings {
    /// Checks every value against its limits.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let s = self;
        check("heartbeat_ms", s.heartbeat_ms, (5..=10_000).contains(&s.heartbeat_ms), "must be 5 to 10000")?;
        let min_ok = s.election_min_ms >= 2 * s.heartbeat_ms && s.election_min_ms <= 60_000;
        check(
            "election_min_ms",
            s.election_min_ms,
            min_ok,
            "must be at least twice heartbeat_ms and at most 60000",
        )?;
        let max_ok = s.election_max_ms > s.election_min_ms && s.election_max_ms <= 120_000;
        check(
            "election_max_ms",
            s.election_max_ms,
            max_ok,
            "must be more than election_min_ms and at most 120000",
        )?;
        check(
            "snapshot_log_entries",
            s.snapshot_log_entries,
            s.snapshot_log_entries >= 1,
            "must be at least 1",
        )?;
        check("snapshot_log_bytes", s.snapshot_log_bytes, s.snapshot_log_bytes >= 1, "must be at least 1")?;
        let chunk_ok = (1..=MESSAGE_BYTES_MAX / 4).contains(&s.chunk_bytes);
        check("chunk_bytes", s.chunk_bytes, chunk_ok, "must be 1 to 4194304")?;
        check("moves_max", s.moves_max, (1..=1024).contains(&s.moves_max), "must be 1 to 1024")?;
        let cache_ok = s.block_cache_bytes >= 1024 * 1024;
        check("block_cache_bytes", s.block_cache_bytes, cache_ok, "must be at least 1048576")?;
        let stream_ok = (1..=65_536).contains(&s.stream_in_flight_max);
        check("stream_in_flight_max", s.stream_in_flight_max, stream_ok, "must be 1 to 65536")
    }
}

impl NodeOptions {
    /// Checks every value against its limits.
    pub fn validate(&self) -> Result<(), OptionsError> {
        check("node id", self.node, self.node.get() >= 1, "must be at least 1")?;
        check("zone", &self.zone, self.zone.len() <= 64, "must be at most 64 bytes")?;
        let some = !self.controllers.is_empty();
        check("controllers", "", some, "at least one controller node is needed, as ID=HOST:PORT")?;
        let mut ids: Vec<_> = self.controllers.iter().map(|(node, _)| *node).collect();
        ids.sort_unstable();
        ids.dedup();
        let unique = ids.len() == self.controllers.len();
        check("controllers", format!("{:?}", self.controllers), unique, "names a node twice")?;
        if self.bootstrap {
            let shards_ok = (1..=SHARDS_MAX).contains(&self.shards);
            check("shards", self.shards, shards_ok, "must be 1 to 16384")?;
            let listed = ids.contains(&self.node);
            check(
                "bootstrap",
                self.node,
                listed,
                "only a node listed in controllers can create the cluster",
            )?;
        }
        self.settings.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_nonsense_is_named() {
        assert_eq!(Settings::default().validate(), Ok(()));
        let wrong = Settings { election_min_ms: 100, ..Settings::default() };
        let error = wrong.validate().expect_err("too short");
        assert_eq!(error.field, "election_min_ms");
    }
}
