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
    /// A lock's fencing token; grows with every taking.
    #[prost(uint64, tag = "5")]
    pub token: u64,
    /// A lock that was taken, or refused since it is held: who holds it, ...
    #[prost(string, tag = "6")]
    pub holder: String,
    /// ... and until when, in milliseconds since 1970 UTC.
    #[prost(uint64, tag = "7")]
    pub expires_at_ms: u64,
}
