//! The way of a dump to object storage and back.
//!
//! ```text
//!   local .kvd file --> Uploader --> Target --> S3            files, parts, retries, resume
//!                                      |
//!                                      `------> migration store --> S3      where others have the keys
//!   Target --> verify, download, gc
//! ```
//!
//! * A request to a store is a presigned URL and one exchange: for a bucket it is signed here, for a migration store asked
//!   for. So retries and checks are written once (`class` is the table).
//! * Nothing is taken for sent before its ETag was compared with the MD5 of what was to be sent.
//! * Keys, tokens and presigned URLs never leave this room: not in errors, not in logs, not in what `Debug` shows.
//! * Memory does not grow with the data: bodies are read and written in pieces.
//!
//! Absent on purpose: what a dump's files hold (`cloud_migration::dump`), when they are sent and by whom (the node), and any
//! record of it; whoever calls keeps that, told by [`UploadEvents`].

mod address;
mod class;
mod credentials;
mod download;
mod error;
mod gc;
mod http;
mod rate;
mod server;
mod target;
mod upload;
mod verify;
mod wire;
mod xml;

pub use address::{Address, STORE_PATH};
pub use class::{Class, Retries};
pub use credentials::{Credentials, INSTANCE_PROFILE, STORE_TOKEN};
pub use download::{Incoming, Piece};
pub use error::BackupError;
pub use gc::Orphans;
pub use rate::RateLimit;
pub use server::{MigrationStore, ServerOptions};
pub use target::{Download, Location, Patience, Registered, Stat, Target};
pub use upload::{
    Limits, NoEvents, PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX, Resume, Started, UploadEvents, UploadJob,
    Uploaded, Uploader, part_bytes,
};
pub use verify::{Quiet, Verified, VerifyEvents};
pub use xml::{ListedObject, ListedPart, ListedUpload};
