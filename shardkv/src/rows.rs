//! Every key that a shard group has in its engine.
//!
//! ```text
//!   00                                         Group
//!   01 config(8)                               Config
//!   02 shard(4)                                Shard
//!   03 config(8) shard(4)                      Debt
//!   04 freeze(8)                               Freeze
//!   05 file(4) shard(4)                        Restored
//!   10 shard(4) acquired(8) 00 key             Data        \
//!   10 shard(4) acquired(8) 01 client(8) lane(4)  Session   |  one incarnation of one shard:
//!   10 shard(4) acquired(8) 02 bucket(8) client(8) lane(4)  |  these 13 bytes are its Home, and
//!                                              SessionAge   |  everything under them lives and
//!   10 shard(4) acquired(8) 03 number(8)       Change       |  dies together
//!   10 shard(4) acquired(8) 04 kind(1) key     ChangeOf     |
//!   10 shard(4) acquired(8) 05 at(8) key       Expiry      /
//! ```
//!
//! Numbers are big endian, so that rows sort by them.

use bytes::Bytes;
use flotilla_types::{ClientId, ConfigNum, ShardId};

use crate::api::RowKind;

/// One incarnation of one shard: the configuration at which this group acquired it. Never used twice, so rows left
/// over from an earlier stay are never visible in a later one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Home {
    /// The shard.
    pub shard: ShardId,
    /// The configuration at which it came here.
    pub acquired: ConfigNum,
}

/// One key of the engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RowKey {
    /// The group's own row. Value: `GroupRow` (prost). Rewritten by Adopt, Reported and each death of a shard.
    Group,
    /// A kept configuration. Value: `ShardConfig` (prost). Written once; deleted when no shard needs it.
    Config {
        /// Its number.
        num: ConfigNum,
    },
    /// A shard's state. Value: `ShardState` (prost). Rewritten by each command on the shard.
    Shard {
        /// The shard.
        shard: ShardId,
    },
    /// The old owner still has to delete. Value: its gid, 8 bytes big endian. Written once; deleted by Acknowledge.
    Debt {
        /// The configuration of the move.
        config: ConfigNum,
        /// The shard.
        shard: ShardId,
    },
    /// A freeze in force. Value: `FreezeRow` (prost). Rewritten by each renewal; deleted by Thaw.
    Freeze {
        /// Its id.
        freeze: u64,
    },
    /// How many pieces of a dump's file a shard has taken, while a dump is restored. Value: 8 bytes big endian. Rewritten by
    /// each piece; deleted when the restore is published.
    Restored {
        /// The file.
        file: u32,
        /// The shard.
        shard: ShardId,
    },
    /// A key of a client. Value: `DataRow`. Rewritten by each write of the key.
    Data {
        /// Where.
        home: Home,
        /// The client's key.
        key: Bytes,
    },
    /// The last write of a client's lane. Value: `SessionRow`. Rewritten by each write of the lane.
    Session {
        /// Where.
        home: Home,
        /// The client.
        client: ClientId,
        /// Its lane.
        lane: u32,
    },
    /// Sessions by age: exactly one for each session row. Value: empty. Written and deleted with the session's bucket.
    SessionAge {
        /// Where.
        home: Home,
        /// The session's `issued_at`, in units of 128 ms.
        bucket: u64,
        /// The client.
        client: ClientId,
        /// Its lane.
        lane: u32,
    },
    /// A row that changed while the shard is copied away, by change number. Value: `ChangeRow`. Written once, deleted
    /// when the same row changes again: so each row has at most one, its latest.
    Change {
        /// Where.
        home: Home,
        /// Its number, from 1.
        number: u64,
    },
    /// The number of a row's change. Value: 8 bytes big endian. Rewritten with each change.
    ChangeOf {
        /// Where.
        home: Home,
        /// The kind of row that changed.
        kind: RowKind,
        /// Its key, without the home.
        key: Bytes,
    },
    /// Keys by expiry: exactly one for each data row that expires. Value: empty. Written and deleted with the row.
    Expiry {
        /// Where.
        home: Home,
        /// When the key expires, in the shard's time.
        at_ms: u64,
        /// The client's key.
        key: Bytes,
    },
}

const GROUP: u8 = 0x00;
const CONFIG: u8 = 0x01;
const SHARD: u8 = 0x02;
const DEBT: u8 = 0x03;
const FREEZE: u8 = 0x04;
const RESTORED: u8 = 0x05;
const HOME: u8 = 0x10;

/// The tables of one home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Table {
    /// [`RowKey::Data`].
    Data = 0,
    /// [`RowKey::Session`].
    Session = 1,
    /// [`RowKey::SessionAge`].
    SessionAge = 2,
    /// [`RowKey::Change`].
    Change = 3,
    /// [`RowKey::ChangeOf`].
    ChangeOf = 4,
    /// [`RowKey::Expiry`].
    Expiry = 5,
}

/// The length of a table's prefix: what stands before the part that is the table's own.
pub const TABLE_PREFIX_BYTES: usize = 14;

impl Home {
    /// The prefix of every row of this home.
    pub fn prefix(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(HOME);
        out.extend_from_slice(&self.shard.get().to_be_bytes());
        out.extend_from_slice(&self.acquired.get().to_be_bytes());
        out
    }

    /// The prefix of one table, followed by `rest`.
    pub fn key(self, table: Table, rest: &[&[u8]]) -> Vec<u8> {
        let mut out = self.prefix();
        out.push(table as u8);
        rest.iter().for_each(|part| out.extend_from_slice(part));
        out
    }

    /// The end of a table: the first key that is not in it.
    pub fn table_end(self, table: Table) -> Vec<u8> {
        let mut out = self.prefix();
        out.push(table as u8 + 1);
        out
    }
}

impl RowKey {
    /// The prefix of all homes.
    pub const HOMES: [u8; 1] = [HOME];
    /// The prefix of all configurations.
    pub const CONFIGS: [u8; 1] = [CONFIG];
    /// The prefix of all shard states.
    pub const SHARDS: [u8; 1] = [SHARD];
    /// The prefix of all debts.
    pub const DEBTS: [u8; 1] = [DEBT];
    /// The prefix of all freezes.
    pub const FREEZES: [u8; 1] = [FREEZE];
    /// The prefix of all files of a restore.
    pub const RESTORED: [u8; 1] = [RESTORED];

    /// The key's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Group => vec![GROUP],
            Self::Config { num } => [&[CONFIG][..], &num.get().to_be_bytes()].concat(),
            Self::Shard { shard } => [&[SHARD][..], &shard.get().to_be_bytes()].concat(),
            Self::Debt { config, shard } => {
                [&[DEBT][..], &config.get().to_be_bytes(), &shard.get().to_be_bytes()].concat()
            }
            Self::Restored { file, shard } => {
                [&[RESTORED][..], &file.to_be_bytes(), &shard.get().to_be_bytes()].concat()
            }
            Self::Freeze { freeze } => [&[FREEZE][..], &freeze.to_be_bytes()].concat(),
            Self::Data { home, key } => home.key(Table::Data, &[key]),
            Self::Session { home, client, lane } => {
                home.key(Table::Session, &[&client.get().to_be_bytes(), &lane.to_be_bytes()])
            }
            Self::SessionAge { home, bucket, client, lane } => home.key(
                Table::SessionAge,
                &[&bucket.to_be_bytes(), &client.get().to_be_bytes(), &lane.to_be_bytes()],
            ),
            Self::Change { home, number } => home.key(Table::Change, &[&number.to_be_bytes()]),
            Self::ChangeOf { home, kind, key } => home.key(Table::ChangeOf, &[&[*kind as u8], key]),
            Self::Expiry { home, at_ms, key } => home.key(Table::Expiry, &[&at_ms.to_be_bytes(), key]),
        }
    }

    /// Reads a key; none: these bytes are no key of a shard group.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = Input { bytes, at: 0 };
        let key = match input.byte()? {
            GROUP => Self::Group,
            CONFIG => Self::Config { num: ConfigNum(input.u64()?) },
            SHARD => Self::Shard { shard: ShardId(input.u32()?) },
            DEBT => Self::Debt { config: ConfigNum(input.u64()?), shard: ShardId(input.u32()?) },
            RESTORED => Self::Restored { file: input.u32()?, shard: ShardId(input.u32()?) },
            FREEZE => Self::Freeze { freeze: input.u64()? },
            HOME => {
                let home = Home { shard: ShardId(input.u32()?), acquired: ConfigNum(input.u64()?) };
                Self::decode_table(home, input.byte()?, &mut input)?
            }
            _ => return None,
        };
        input.is_done().then_some(key)
    }

    fn decode_table(home: Home, table: u8, input: &mut Input<'_>) -> Option<Self> {
        Some(match table {
            0 => Self::Data { home, key: input.rest() },
            1 => Self::Session { home, client: ClientId(input.u64()?), lane: input.u32()? },
            2 => Self::SessionAge {
                home,
                bucket: input.u64()?,
                client: ClientId(input.u64()?),
                lane: input.u32()?,
            },
            3 => Self::Change { home, number: input.u64()? },
            4 => {
                let kind = RowKind::try_from(i32::from(input.byte()?)).ok()?;
                Self::ChangeOf { home, kind, key: input.rest() }
            }
            5 => Self::Expiry { home, at_ms: input.u64()?, key: input.rest() },
            _ => return None,
        })
    }

    /// The home a key belongs to, if to any.
    pub fn home_of(bytes: &Bytes) -> Option<Home> {
        let mut input = Input { bytes, at: 0 };
        if input.byte()? != HOME {
            return None;
        }
        Some(Home { shard: ShardId(input.u32()?), acquired: ConfigNum(input.u64()?) })
    }
}

/// Reads fixed-width parts; byte parts share the input's memory.
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a Bytes,
    pub(crate) at: usize,
}

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let part = self.bytes.get(self.at..self.at.checked_add(N)?)?;
        self.at += N;
        part.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len)?;
        let part = (end <= self.bytes.len()).then(|| self.bytes.slice(self.at..end))?;
        self.at = end;
        Some(part)
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        let part = self.bytes.slice(self.at..);
        self.at = self.bytes.len();
        part
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }
}
