//! What goes through the controller's log: each a compare-and-set, decided when it is applied.

use crate::file::{Dumped, Part};
use crate::options::{Options, Target};
use crate::record::{Ack, Failure};
use crate::state::State;

/// A command to the migrations.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Command {
    /// The migration; 0 where the command makes a new one, and for "all" in a cancellation.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Who speaks: the owner with its epoch, or a node with the number of its assignment; neither for people.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// What; none is refused.
    #[prost(
        oneof = "Kind",
        tags = "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24"
    )]
    pub kind: Option<Kind>,
}

/// The kinds of [`Command`]. Of people: create, cancel, retry, forget. Of the owner: those with its epoch. Of nodes: the
/// ones about files, with their assignment's number as the epoch.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Kind {
    /// A new migration; refused while another is not over.
    #[prost(message, tag = "3")]
    Create(Create),
    /// Call it off; with id 0 all that are not over. Answers how many: again gives 0.
    #[prost(message, tag = "4")]
    Cancel(Empty),
    /// Try one that failed or was cancelled again, as a new migration.
    #[prost(message, tag = "5")]
    Retry(Empty),
    /// Remove a record that is over and tidied up.
    #[prost(message, tag = "6")]
    Forget(Empty),
    /// A node becomes the owner, if no lease stands. Answers the epoch.
    #[prost(message, tag = "7")]
    Claim(OfNode),
    /// The owner is alive.
    #[prost(message, tag = "8")]
    Renew(Empty),
    /// The owner of this epoch gives its lease back, or has been silent for too long.
    #[prost(message, tag = "9")]
    Release(Empty),
    /// On to this state or progress.
    #[prost(message, tag = "10")]
    SetProgress(SetProgress),
    /// The configuration is pinned: every group has settled it. Answers the freeze's id.
    #[prost(message, tag = "11")]
    Pin(Empty),
    /// A group is read-only.
    #[prost(message, tag = "12")]
    Frozen(Frozen),
    /// A group was read-only without a break since it acknowledged.
    #[prost(message, tag = "13")]
    Proven(OfGroup),
    /// It cannot go on.
    #[prost(message, tag = "14")]
    Fail(Failure),
    /// A node dumps this group and sends its files from now on.
    #[prost(message, tag = "15")]
    Assign(Assign),
    /// Files of a group are cut.
    #[prost(message, tag = "16")]
    FilesPlanned(FilesPlanned),
    /// A file is made.
    #[prost(message, tag = "17")]
    FileDumped(FileDumped),
    /// A multipart upload was begun, or begun anew.
    #[prost(message, tag = "18")]
    UploadCreated(UploadCreated),
    /// Parts were sent.
    #[prost(message, tag = "19")]
    PartsDone(PartsDone),
    /// A file's object is in the store.
    #[prost(message, tag = "20")]
    FileDone(FileDone),
    /// Something was undone.
    #[prost(message, tag = "21")]
    CompensationDone(CompensationDone),
    /// The migration store gave it this name.
    #[prost(message, tag = "22")]
    Registered(Registered),
    /// A line for the timeline.
    #[prost(message, tag = "23")]
    Note(Note),
    /// The node that is assigned to a group cannot go on.
    #[prost(message, tag = "24")]
    GroupFailed(GroupFailed),
}

/// Nothing to add.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Empty {}

/// A new migration.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Create {
    /// Where to.
    #[prost(message, optional, tag = "1")]
    pub target: Option<Target>,
    /// How.
    #[prost(message, optional, tag = "2")]
    pub options: Option<Options>,
}

/// A node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct OfNode {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub node: u64,
}

/// A group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct OfGroup {
    /// Its gid.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
}

/// On to this state or progress.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetProgress {
    /// The next state, or the present one. Error and cancelled have commands of their own.
    #[prost(enumeration = "State", tag = "1")]
    pub state: i32,
    /// Within the state's range; 0: whatever the record's sums say.
    #[prost(uint32, tag = "2")]
    pub progress: u32,
    /// For people; empty: as it was.
    #[prost(string, tag = "3")]
    pub detail: String,
}

/// A group is read-only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Frozen {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// The freeze that it acknowledged.
    #[prost(uint64, tag = "2")]
    pub freeze: u64,
    /// Where.
    #[prost(message, optional, tag = "3")]
    pub ack: Option<Ack>,
}

/// A node dumps a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Assign {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// The node.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// The assignment that this one follows.
    #[prost(uint32, tag = "3")]
    pub after: u32,
}

/// One file of a plan.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Planned {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Its number within the shard, from 0.
    #[prost(uint32, tag = "2")]
    pub piece: u32,
    /// The first position; empty: from the start.
    #[prost(bytes = "bytes", tag = "3")]
    pub begin: bytes::Bytes,
    /// The first position after it; empty: to the end.
    #[prost(bytes = "bytes", tag = "4")]
    pub end: bytes::Bytes,
    /// About how many bytes of rows.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
}

/// Files of a group are cut. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FilesPlanned {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// How many of the group's files were planned before these: a repeated command changes nothing.
    #[prost(uint32, tag = "2")]
    pub from: u32,
    /// The files, in the order of shards and pieces.
    #[prost(message, repeated, tag = "3")]
    pub files: Vec<Planned>,
    /// These are the group's last.
    #[prost(bool, tag = "4")]
    pub last: bool,
}

/// A file is made. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FileDumped {
    /// The file's index.
    #[prost(uint32, tag = "1")]
    pub file: u32,
    /// What it holds.
    #[prost(message, optional, tag = "2")]
    pub dumped: Option<Dumped>,
}

/// A multipart upload was begun. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct UploadCreated {
    /// The file's index.
    #[prost(uint32, tag = "1")]
    pub file: u32,
    /// The upload that this one replaces; empty: none.
    #[prost(string, tag = "2")]
    pub replaces: String,
    /// What the store calls it.
    #[prost(string, tag = "3")]
    pub upload: String,
    /// The length of every part but the last.
    #[prost(uint64, tag = "4")]
    pub part_bytes: u64,
}

/// Parts were sent. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct PartsDone {
    /// The file's index.
    #[prost(uint32, tag = "1")]
    pub file: u32,
    /// Of this upload.
    #[prost(string, tag = "2")]
    pub upload: String,
    /// Which.
    #[prost(message, repeated, tag = "3")]
    pub parts: Vec<Part>,
}

/// A file's object is in the store. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FileDone {
    /// The file's index.
    #[prost(uint32, tag = "1")]
    pub file: u32,
    /// The object's ETag, verbatim.
    #[prost(string, tag = "2")]
    pub etag: String,
}

/// Something was undone. No epoch: undoing twice does no harm, so whoever did it may say so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct CompensationDone {
    /// What.
    #[prost(enumeration = "crate::record::Undo", tag = "1")]
    pub undo: i32,
    /// Of which.
    #[prost(uint64, tag = "2")]
    pub of: u64,
}

/// The migration store gave it a name.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Registered {
    /// The name.
    #[prost(string, tag = "1")]
    pub external_id: String,
}

/// A line for the timeline.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Note {
    /// For people.
    #[prost(string, tag = "1")]
    pub what: String,
}

/// The node that is assigned to a group cannot go on. Epoch: the group's assignment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct GroupFailed {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub gid: u64,
    /// Why. `pin_lost` sends the group to another node; everything else ends the migration.
    #[prost(message, optional, tag = "2")]
    pub failure: Option<Failure>,
}
