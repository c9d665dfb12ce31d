//! What applying a command answers.

/// What became of a command. Everything but `Ok` is a refusal: nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// Done (or done before, for a repeated request id).
    Ok = 0,
    /// A field is malformed or out of range.
    Invalid = 1,
    /// The group, node or shard does not exist.
    NotFound = 2,
    /// It exists already.
    AlreadyExists = 3,
    /// Not in this state: the last group cannot leave, a lock is held, ...
    Refused = 4,
    /// It belongs to another cluster.
    WrongCluster = 5,
    /// Over a limit.
    TooMany = 6,
    /// A cloud migration holds the configuration still; retry when it is over. Not remembered: the same request
    /// succeeds later.
    Paused = 7,
    /// Of a migration: somebody else has claimed it, or been assigned, since.
    Fenced = 8,
    /// Of a migration: it is over, and nothing leaves a terminal state.
    Terminal = 9,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Response {
    /// What became of it.
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    /// For people: names the field, the limit and the next step. Empty unless refused.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The latest configuration's number, after this command.
    #[prost(uint64, tag = "3")]
    pub config: u64,
    /// The directory's revision, after this command.
    #[prost(uint64, tag = "4")]
    pub revision: u64,
    /// A lock's fencing token, which grows with every taking; a migration's epoch, assignment or freeze.
    #[prost(uint64, tag = "5")]
    pub token: u64,
    /// A lock that was taken, or refused since it is held: who holds it, ...
    #[prost(string, tag = "6")]
    pub holder: String,
    /// ... and until when, in milliseconds since 1970 UTC.
    #[prost(uint64, tag = "7")]
    pub expires_at_ms: u64,
    /// The cloud migration that was made or changed, or that stands in the way.
    #[prost(uint64, tag = "8")]
    pub migration: u64,
    /// How many migrations a cancellation ended.
    #[prost(uint64, tag = "9")]
    pub count: u64,
}
