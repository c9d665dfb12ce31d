//! The record of a run: everything that happened, as lines of JSON. Simulation and chaos write it, checkers and the
//! report read it.
//!
//! ```text
//!   {"line":"run", ...}        first: what was run, and how to run it again
//!   {"line":"op", ...}         one operation of one client, when its outcome is known or was given up
//!   {"line":"fault", ...}      a fault, with its time and its targets
//!   {"line":"view", ...}       what one node said of its replicas (GetStatus)
//!   {"line":"event", ...}      something worth a mark: an election, a move's step, a snapshot
//!   {"line":"message", ...}    one message between nodes (the last few hundred, if kept at all)
//!   {"line":"violation", ...}  what an invariant or a checker found wrong
//!   {"line":"end", ...}        last: counts
//! ```
//!
//! All stamps are nanoseconds on the one monotonic clock of whoever recorded the run, from its start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::text::Text;

/// One line of a record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// What was run.
    Run(Run),
    /// An operation.
    Op(Operation),
    /// A fault.
    Fault(Fault),
    /// A node's word on its replicas.
    View(View),
    /// Something worth a mark.
    Event(Event),
    /// A message between nodes.
    Message(Message),
    /// Something wrong.
    Violation(Violation),
    /// The end.
    End(End),
}

/// What was run, and how to run it again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// `sim`, `wire` or `chaos`.
    pub kind: String,
    /// Its seed, if everything came from one.
    pub seed: Option<u64>,
    /// The command line that runs it again.
    pub again: String,
    /// The software's version, with the name of a planted bug if there is one.
    pub version: String,
    /// Choices that were drawn from the seed or given: nodes, groups, shards, latencies ...
    #[serde(default)]
    pub choices: BTreeMap<String, String>,
}

/// One operation of one client on one key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Who: does one operation at a time, and never another after one of unknown outcome.
    pub client: u64,
    /// The key.
    pub key: Text,
    /// What was asked.
    pub action: Action,
    /// When it was called: stamped before anything was sent.
    pub called_ns: u64,
    /// When its outcome was known; none for [`Outcome::Unknown`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_ns: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Read the value.
    Get,
    /// Write this value.
    Put {
        /// The value.
        value: Text,
    },
    /// Add this to the value's end; an absent key counts as empty.
    Append {
        /// The suffix: a token that no other append of the run uses.
        value: Text,
    },
    /// Remove the key.
    Delete,
    /// Write `new` (none: remove the key) if the key is as expected.
    Swap {
        /// What the key must be.
        expected: Expected,
        /// What it shall be.
        new: Option<Text>,
    },
}

/// What a key must be for a swap to act.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Not there.
    Absent,
    /// Exactly this value.
    Value(Text),
    /// Exactly this version.
    Version(u64),
}

/// What became of an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and this was the answer.
    Ok(Answer),
    /// It was certainly not done, now or later.
    Fail {
        /// Why, in a word or a line.
        why: String,
    },
    /// Nobody knows; it may still be done later, once.
    Unknown {
        /// Why, in a word or a line.
        why: String,
    },
}

/// The answer to an operation that was done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// For a get: the value; none: no such key. Nothing for other actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
    /// For a delete: whether the key was there. For a swap: whether it was written. True for the rest.
    pub done: bool,
    /// The key's version after a change or at a read; an absent key answers its shard's counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The last configuration at which the answering group owned the shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<u64>,
    /// The group that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u64>,
}

/// A fault that was really installed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// When it began.
    pub at_ns: u64,
    /// When it was healed; none: it has no duration, or lasted to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
    /// Its class, as in the table of faults: `crash`, `pause`, `partition`, `power_loss`, `slow_disk` ...
    pub kind: String,
    /// The nodes it acted on.
    pub nodes: Vec<u64>,
    /// More, for people: which links, how much.
    pub detail: String,
    /// What showed that it fired (dropped packets, a dead process, failed writes); empty: nothing did.
    pub evidence: String,
}

/// What one node said of its replicas at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct View {
    /// When it was asked; the answer came before the next line of this node.
    pub at_ns: u64,
    /// The node.
    pub node: u64,
    /// Its replicas; none: it did not answer (down, paused, cut off).
    pub replicas: Option<Vec<ReplicaView>>,
}

/// One replica, in its own words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReplicaView {
    /// The group; 0: the controller.
    pub gid: u64,
    /// The group's incarnation.
    pub incarnation: u64,
    /// The member.
    pub member: u64,
    /// `leader`, `follower`, `candidate`, `learner`, `starting` or `stopped`.
    pub role: String,
    /// The number of its opening: another one once its node opened it again.
    #[serde(default)]
    pub opening: u64,
    /// Its term.
    pub term: u64,
    /// The last applied index.
    pub applied: u64,
    /// The last committed index it knows of.
    pub committed: u64,
    /// The index of its last snapshot.
    pub snapshot: u64,
    /// The member ids of the voters.
    pub voters: Vec<u64>,
    /// A digest of its rows at `applied`, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// The configuration the group is at; 0 for the controller: its newest configuration.
    pub config: u64,
    /// The shards it has, whatever their phase.
    pub shards: Vec<ShardView>,
    /// How many old owners' duties are left.
    pub debts: u64,
    /// Why it stopped; empty: it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// One shard of a replica.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ShardView {
    /// The shard.
    pub shard: u32,
    /// `serving`, `pulling`, `be_pulling`, `sealed` or `gcing`.
    pub phase: String,
    /// The configuration at which it came to this phase's life.
    pub config: u64,
    /// Its write counter.
    pub version: u64,
    /// Its keys.
    pub keys: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Something worth a mark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ns: u64,
    /// A constant name: `elected`, `snapshot_built`, `snapshot_installed`, `move_started`, `sealed`, `moved`, `restarted` ...
    pub name: String,
    /// The node, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// The group, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u64>,
    /// The shard, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// More, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// One message between nodes, or its loss.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// When it was sent.
    pub sent_ns: u64,
    /// When it arrived; none: it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_ns: Option<u64>,
    /// Who sent it; 0: a client.
    pub from: u64,
    /// Who was to get it; 0: a client.
    pub to: u64,
    /// What it was: the method, and what is worth knowing of its content.
    pub what: String,
}

/// Something wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// When it was seen.
    pub at_ns: u64,
    /// Who saw it: `I4`, `A`, `B`, `C`, `D`, `panic`, `liveness`, `floor` ...
    pub by: String,
    /// What is wrong, in words that name the things involved.
    pub what: String,
    /// The key, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
}

/// The end of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at_ns: u64,
    /// When faults stopped and liveness began; none: there was no such phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed_ns: Option<u64>,
    /// Counts of what happened: elections, snapshots installed, dedup hits, dropped messages ...
    ///
    /// `checked_I4`, `checked_A`, `checked_liveness` and the like: how often that was looked at. The report shows as held only
    /// what was looked at.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
}
