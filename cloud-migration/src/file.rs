//! One file of a dump, and its parts.

/// One file of a dump: a range of one shard's rows. A row of its own, beside the record.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct File {
    /// Its number in the migration, from 0, in the order of planning.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// The group that it is read from, and ...
    #[prost(uint64, tag = "2")]
    pub gid: u64,
    /// ... the shard.
    #[prost(uint32, tag = "3")]
    pub shard: u32,
    /// Its number within the shard, from 0.
    #[prost(uint32, tag = "4")]
    pub piece: u32,
    /// The first position of its range; empty: from the start. What a position is, the dump decides.
    #[prost(bytes = "bytes", tag = "5")]
    pub begin: bytes::Bytes,
    /// The first position after its range; empty: to the end.
    #[prost(bytes = "bytes", tag = "6")]
    pub end: bytes::Bytes,
    /// About how many bytes of rows it has, as planned.
    #[prost(uint64, tag = "7")]
    pub planned_bytes: u64,
    /// How far it is.
    #[prost(enumeration = "Stage", tag = "8")]
    pub stage: i32,
    /// The object's key below the target's prefix.
    #[prost(string, tag = "9")]
    pub key: String,
    /// What dumping it gave; absent before. Whoever makes it again must get the same.
    #[prost(message, optional, tag = "10")]
    pub dumped: Option<Dumped>,
    /// Its multipart upload; absent before, and where it goes in one piece.
    #[prost(message, optional, tag = "11")]
    pub upload: Option<Upload>,
    /// The finished object's ETag, verbatim; empty before.
    #[prost(string, tag = "12")]
    pub etag: String,
    /// The assignment under which it was last made: only that node has it on disk. 0: never.
    #[prost(uint32, tag = "13")]
    pub made_under: u32,
}

/// How far a file is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Stage {
    /// Its range is fixed.
    Planned = 0,
    /// It was made once: its length and digests are known.
    Dumped = 1,
    /// Its object is in the store, with the right ETag.
    Done = 2,
}

/// What a file holds, once made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Dumped {
    /// Its length in bytes.
    #[prost(uint64, tag = "1")]
    pub length: u64,
    /// Its rows.
    #[prost(uint64, tag = "2")]
    pub rows: u64,
    /// Bytes of rows, before compression.
    #[prost(uint64, tag = "3")]
    pub raw_bytes: u64,
    /// MD5 of the whole file, 16 bytes, for ETags only; may be empty.
    #[prost(bytes = "bytes", tag = "4")]
    pub md5: bytes::Bytes,
    /// BLAKE3 of the whole file, 32 bytes.
    #[prost(bytes = "bytes", tag = "5")]
    pub blake3: bytes::Bytes,
    /// The checksum over its rows that does not depend on their order, as the file's footer has it.
    #[prost(bytes = "bytes", tag = "6")]
    pub row_checksum: bytes::Bytes,
}

/// A multipart upload.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Upload {
    /// What the store calls it.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The length of every part but the last.
    #[prost(uint64, tag = "2")]
    pub part_bytes: u64,
    /// How many parts there are.
    #[prost(uint32, tag = "3")]
    pub parts: u32,
    /// How many of them are recorded as sent.
    #[prost(uint32, tag = "4")]
    pub parts_done: u32,
}

/// One part that was sent: a row of its own.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Part {
    /// Its number, from 1.
    #[prost(uint32, tag = "1")]
    pub number: u32,
    /// What the store answered, verbatim.
    #[prost(string, tag = "2")]
    pub etag: String,
}

impl File {
    /// The key of a piece of a shard below the target's prefix.
    pub fn key_of(folder: &str, gid: u64, shard: u32, piece: u32) -> String {
        format!("{folder}/g{gid}/s{shard:05}-{piece:04}.kvd")
    }
}

impl Upload {
    /// The length of part `number` of a file of `length` bytes.
    pub fn part_length(&self, number: u32, length: u64) -> u64 {
        let before = self.part_bytes.saturating_mul(u64::from(number.saturating_sub(1)));
        length.saturating_sub(before).min(self.part_bytes)
    }
}
