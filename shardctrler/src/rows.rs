//! Every row the controller stores: its key's bytes, its value, and how it changes. Tags are on disk: they never
//! change meaning.

use bytes::Bytes;
use flotilla_types::wire::WireError;

use crate::api::Response;

/// A row's key. Numbers are big-endian, so that the order of keys is the order of numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// The cluster's birth certificate.
    ///
    /// * bytes: `01`
    /// * value: `command::Bootstrap`
    /// * written once, by the first Bootstrap.
    Birth,
    /// The machine's counters.
    ///
    /// * bytes: `02`
    /// * value: [`Counters`]
    /// * overwritten; every field only grows.
    Counters,
    /// A configuration.
    ///
    /// * bytes: `03`, number (8)
    /// * value: `ShardConfig`
    /// * immutable; deleted, oldest first, by compaction.
    Config(u64),
    /// One life of a group.
    ///
    /// * bytes: `04`, gid (8), incarnation (8)
    /// * value: `GroupRecord`
    /// * overwritten; deleted only after it was torn down.
    Group(u64, u64),
    /// A node.
    ///
    /// * bytes: `05`, node (8)
    /// * value: `NodeRecord`
    /// * overwritten.
    Node(u64),
    /// A lock.
    ///
    /// * bytes: `06`, name
    /// * value: [`LockRecord`]
    /// * overwritten; deleted when it is given back, or some time after it ran out.
    Lock(String),
    /// A remembered request.
    ///
    /// * bytes: `07`, serial number (8)
    /// * value: [`Remembered`]
    /// * immutable; deleted, oldest first, when there are too many.
    Request(u64),
    /// A cloud migration.
    ///
    /// * bytes: `08`, id (8)
    /// * value: `flotilla_cloud_migration::Record`
    /// * overwritten; deleted when it is forgotten.
    Migration(u64),
    /// A file of a cloud migration.
    ///
    /// * bytes: `09`, migration (8), file (4)
    /// * value: `flotilla_cloud_migration::File`
    /// * overwritten; deleted with the migration.
    MigrationFile(u64, u32),
    /// A part of such a file that was sent.
    ///
    /// * bytes: `0a`, migration (8), file (4), part (4)
    /// * value: `flotilla_cloud_migration::Part`
    /// * overwritten; deleted with the upload or the migration.
    MigrationPart(u64, u32, u32),
}

/// The first byte of a key.
pub(crate) mod tag {
    pub(crate) const BIRTH: u8 = 1;
    pub(crate) const COUNTERS: u8 = 2;
    pub(crate) const CONFIG: u8 = 3;
    pub(crate) const GROUP: u8 = 4;
    pub(crate) const NODE: u8 = 5;
    pub(crate) const LOCK: u8 = 6;
    pub(crate) const REQUEST: u8 = 7;
    pub(crate) const MIGRATION: u8 = 8;
    pub(crate) const MIGRATION_FILE: u8 = 9;
    pub(crate) const MIGRATION_PART: u8 = 10;
    /// One beyond the last.
    pub(crate) const END: u8 = 11;
}

impl RowKey {
    /// The key's bytes.
    pub fn encode(&self) -> Bytes {
        let (tag, rest) = match self {
            RowKey::Birth => (tag::BIRTH, Vec::new()),
            RowKey::Counters => (tag::COUNTERS, Vec::new()),
            RowKey::Config(num) => (tag::CONFIG, num.to_be_bytes().to_vec()),
            RowKey::Group(gid, life) => (tag::GROUP, [gid.to_be_bytes(), life.to_be_bytes()].concat()),
            RowKey::Node(node) => (tag::NODE, node.to_be_bytes().to_vec()),
            RowKey::Lock(name) => (tag::LOCK, name.as_bytes().to_vec()),
            RowKey::Request(serial) => (tag::REQUEST, serial.to_be_bytes().to_vec()),
            RowKey::Migration(id) => (tag::MIGRATION, id.to_be_bytes().to_vec()),
            RowKey::MigrationFile(id, file) => {
                (tag::MIGRATION_FILE, [&id.to_be_bytes()[..], &file.to_be_bytes()].concat())
            }
            RowKey::MigrationPart(id, file, part) => {
                let numbers = [&id.to_be_bytes()[..], &file.to_be_bytes(), &part.to_be_bytes()];
                (tag::MIGRATION_PART, numbers.concat())
            }
        };
        [vec![tag], rest].concat().into()
    }

    /// Reads a key back.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::parse(bytes)
            .ok_or_else(|| WireError { what: "a controller row's key", detail: format!("{bytes:02x?}") })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let number = || rest.try_into().ok().map(u64::from_be_bytes);
        match *tag {
            tag::BIRTH => rest.is_empty().then_some(RowKey::Birth),
            tag::COUNTERS => rest.is_empty().then_some(RowKey::Counters),
            tag::CONFIG => number().map(RowKey::Config),
            tag::GROUP => {
                let (gid, life) = rest.split_at_checked(8)?;
                let gid = u64::from_be_bytes(gid.try_into().ok()?);
                Some(RowKey::Group(gid, u64::from_be_bytes(life.try_into().ok()?)))
            }
            tag::NODE => number().map(RowKey::Node),
            tag::LOCK => String::from_utf8(rest.to_vec()).ok().map(RowKey::Lock),
            tag::REQUEST => number().map(RowKey::Request),
            tag::MIGRATION => number().map(RowKey::Migration),
            tag::MIGRATION_FILE => {
                let (id, file) = rest.split_at_checked(8)?;
                let id = u64::from_be_bytes(id.try_into().ok()?);
                Some(RowKey::MigrationFile(id, u32::from_be_bytes(file.try_into().ok()?)))
            }
            tag::MIGRATION_PART => {
                let (file, part) = rest.split_at_checked(12)?;
                let RowKey::MigrationFile(id, file) = Self::parse(&[&[tag::MIGRATION_FILE], file].concat())?
                else {
                    return None;
                };
                Some(RowKey::MigrationPart(id, file, u32::from_be_bytes(part.try_into().ok()?)))
            }
            _ => None,
        }
    }
}

/// What only grows.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Counters {
    /// The directory's revision.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    /// The latest configuration.
    #[prost(uint64, tag = "2")]
    pub config: u64,
    /// The oldest configuration kept.
    #[prost(uint64, tag = "3")]
    pub config_oldest: u64,
    /// The next member id.
    #[prost(uint64, tag = "4")]
    pub member_next: u64,
    /// The last fencing token given out.
    #[prost(uint64, tag = "5")]
    pub token: u64,
    /// Replicated time: the greatest stamp of a lock command that took effect, in ms since 1970 UTC.
    #[prost(uint64, tag = "6")]
    pub time_ms: u64,
    /// The serial number of the next remembered request.
    #[prost(uint64, tag = "7")]
    pub request_next: u64,
    /// The last cloud migration's id.
    #[prost(uint64, tag = "8")]
    pub migration: u64,
    /// The last freeze's id.
    #[prost(uint64, tag = "9")]
    pub freeze: u64,
    /// Grows with every change of a cloud migration's record.
    #[prost(uint64, tag = "10")]
    pub migrations: u64,
}

/// A lock that somebody took.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LockRecord {
    /// Who.
    #[prost(string, tag = "1")]
    pub holder: String,
    /// The fencing token of this taking.
    #[prost(uint64, tag = "2")]
    pub token: u64,
    /// From when on it is free again, in replicated milliseconds.
    #[prost(uint64, tag = "3")]
    pub expires_at_ms: u64,
}

/// A request that was answered.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Remembered {
    /// Its id.
    #[prost(fixed64, tag = "1")]
    pub request_id: u64,
    /// Its answer.
    #[prost(message, optional, tag = "2")]
    pub response: Option<Response>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = RowKey> {
        prop_oneof![
            Just(RowKey::Birth),
            Just(RowKey::Counters),
            any::<u64>().prop_map(RowKey::Config),
            any::<(u64, u64)>().prop_map(|(gid, life)| RowKey::Group(gid, life)),
            any::<u64>().prop_map(RowKey::Node),
            any::<String>().prop_map(RowKey::Lock),
            any::<u64>().prop_map(RowKey::Request),
            any::<u64>().prop_map(RowKey::Migration),
            any::<(u64, u32)>().prop_map(|(id, file)| RowKey::MigrationFile(id, file)),
            any::<(u64, u32, u32)>().prop_map(|(id, file, part)| RowKey::MigrationPart(id, file, part)),
        ]
    }

    proptest! {
        #[test]
        fn keys_round_trip_and_keep_their_order(a in keys(), b in keys()) {
            prop_assert_eq!(RowKey::decode(&a.encode()).expect("its own bytes"), a.clone());
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }

        #[test]
        fn any_bytes_decode_or_do_not(bytes: Vec<u8>) {
            if let Ok(key) = RowKey::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }
    }
}
