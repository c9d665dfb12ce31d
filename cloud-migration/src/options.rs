//! Where a migration goes and how, with the limits of each field.

use crate::limits;
use crate::refusal::{Refusal, ensure};

/// Where a migration goes. Credentials are never part of it: nodes take them from their environment or a file.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Target {
    /// `s3://bucket/prefix`, or `http(s)://host[:port][/path]` of a migration store.
    #[prost(string, tag = "1")]
    pub url: String,
    /// A file on every node that holds the credentials; empty: from the node's environment.
    #[prost(string, tag = "2")]
    pub credentials_file: String,
}

/// When the freeze ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum FreezeUntil {
    /// When every file is dumped.
    Dumped = 0,
    /// When every group is pinned where it is dumped, and has planned: the dump reads from what was pinned.
    Pinned = 1,
    /// When every file is in the store.
    Uploaded = 2,
    /// When the manifest is written.
    Done = 3,
}

/// How a migration goes. 0 means the default everywhere; [`Options::filled`] puts it in.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Options {
    /// When the freeze ends.
    #[prost(enumeration = "FreezeUntil", tag = "1")]
    pub freeze_until: i32,
    /// How long moves that are under way may take to end, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub drain_timeout_ms: u64,
    /// How long the groups may take to become read-only, in milliseconds.
    #[prost(uint64, tag = "3")]
    pub freeze_timeout_ms: u64,
    /// How long an assigned node may be silent before its files go to another one, in milliseconds.
    #[prost(uint64, tag = "4")]
    pub node_timeout_ms: u64,
    /// About how many bytes of rows a file has.
    #[prost(uint64, tag = "5")]
    pub file_bytes: u64,
    /// Files larger than this go in parts.
    #[prost(uint64, tag = "6")]
    pub multipart_bytes: u64,
    /// The length of a part; grown so that no file needs more than 10 000.
    #[prost(uint64, tag = "7")]
    pub part_bytes: u64,
    /// Parts in flight for each node.
    #[prost(uint32, tag = "8")]
    pub parallel_parts: u32,
    /// How many bytes a second each node dumps; 0: no limit.
    #[prost(uint64, tag = "9")]
    pub dump_bytes_per_second: u64,
    /// How many bytes a second each node sends; 0: no limit.
    #[prost(uint64, tag = "10")]
    pub upload_bytes_per_second: u64,
    /// Write blocks uncompressed, for debugging.
    #[prost(bool, tag = "11")]
    pub uncompressed: bool,
    /// Leave finished objects in the store when the migration is cancelled or fails.
    #[prost(bool, tag = "12")]
    pub keep_objects: bool,
}

impl Options {
    /// These options with the defaults put in.
    pub fn filled(&self) -> Self {
        let or = |value: u64, default: u64| if value == 0 { default } else { value };
        Self {
            drain_timeout_ms: or(self.drain_timeout_ms, 300_000),
            freeze_timeout_ms: or(self.freeze_timeout_ms, 30_000),
            node_timeout_ms: or(self.node_timeout_ms, 10_000),
            file_bytes: or(self.file_bytes, 128 << 20),
            multipart_bytes: or(self.multipart_bytes, 100_000_000),
            part_bytes: or(self.part_bytes, 16 << 20),
            parallel_parts: if self.parallel_parts == 0 { 4 } else { self.parallel_parts },
            ..self.clone()
        }
    }

    /// Refuses what cannot be; to be asked of filled options.
    pub fn check(&self) -> Result<(), Refusal> {
        let hour = 3_600_000;
        let bounds = [
            ("drain_timeout_ms", self.drain_timeout_ms, 1, 24 * hour),
            ("freeze_timeout_ms", self.freeze_timeout_ms, 1, hour),
            ("node_timeout_ms", self.node_timeout_ms, 500, hour),
            ("file_bytes", self.file_bytes, 1, 5 << 40),
            ("multipart_bytes", self.multipart_bytes, 1, 5 << 30),
            ("part_bytes", self.part_bytes, 5 << 20, 5 << 30),
            ("parallel_parts", self.parallel_parts.into(), 1, 256),
        ];
        for (field, value, least, most) in bounds {
            ensure((least..=most).contains(&value), || {
                format!("options.{field}: {value} is not in {least} to {most}; choose a value in that range")
            })?;
        }
        ensure(FreezeUntil::try_from(self.freeze_until).is_ok(), || {
            format!(
                "options.freeze_until: {} is unknown; choose pinned, dumped, uploaded or done",
                self.freeze_until
            )
        })
    }
}

impl Target {
    /// Whether it is a migration store, which hands out presigned URLs, and not a bucket.
    pub fn is_store(&self) -> bool {
        !self.url.starts_with("s3://")
    }

    /// Refuses what cannot be a target, or what carries a secret.
    pub fn check(&self) -> Result<(), Refusal> {
        let (url, most) = (&self.url, limits::URL_BYTES_MAX);
        ensure(!url.is_empty(), || {
            "target.url: empty; name s3://bucket/prefix or the http address of a migration store".to_owned()
        })?;
        ensure(url.len() <= most, || format!("target.url: {} bytes, the limit is {most}", url.len()))?;
        let rest = ["s3://", "http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| {
            Refusal::invalid(
                "target.url: must start with s3://, http:// or https://; nothing else can be written to",
            )
        })?;
        let clean = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '"' | '\\' | '<' | '>');
        // The URL itself is not repeated: what is refused here may hold a secret.
        ensure(rest.chars().all(clean), || {
            "target.url: must hold no spaces, @, ? or #; credentials and parameters come from the node's environment".to_owned()
        })?;
        let host = rest.split('/').next().unwrap_or_default();
        ensure(!host.is_empty(), || "target.url: names no bucket or host after the scheme".to_owned())?;
        let file = &self.credentials_file;
        ensure(file.len() <= most && !file.contains('\0'), || {
            format!("target.credentials_file: {} bytes, the limit is {most}, and no NUL", file.len())
        })
    }
}

impl FreezeUntil {
    /// The word that people use.
    pub const fn name(self) -> &'static str {
        match self {
            FreezeUntil::Pinned => "pinned",
            FreezeUntil::Dumped => "dumped",
            FreezeUntil::Uploaded => "uploaded",
            FreezeUntil::Done => "done",
        }
    }

    /// Reads the word back.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [FreezeUntil::Pinned, FreezeUntil::Dumped, FreezeUntil::Uploaded, FreezeUntil::Done];
        all.into_iter().find(|until| until.name() == name)
    }
}
