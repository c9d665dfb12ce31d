//! The values of the rows that are written most, in fixed layouts behind a format byte. (The others are prost.)

use bytes::Bytes;
use flotilla_types::EngineError;

use crate::api::{Code, Reply, RowKind};
use crate::rows::Input;

/// The first byte of every value of this file. Another one is a newer format.
const FORMAT: u8 = 1;
/// A value's length that means "no value".
const NONE: u32 = u32::MAX;

/// A key's value: `format(1) version(8) expires_at(8) value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataRow {
    /// The shard's write counter at the key's last write.
    pub version: u64,
    /// When it expires, in the shard's time; 0 never.
    pub expires_at_ms: u64,
    /// The value.
    pub value: Bytes,
}

impl DataRow {
    /// How many bytes the layout adds to a value.
    pub const HEADER_BYTES: usize = 17;

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::HEADER_BYTES + self.value.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.expires_at_ms.to_be_bytes());
        out.extend_from_slice(&self.value);
        out
    }

    /// Reads stored bytes; the value shares their memory. None: not of this layout.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = Input { bytes, at: 0 };
        if input.byte()? != FORMAT {
            return None;
        }
        Some(Self { version: input.u64()?, expires_at_ms: input.u64()?, value: input.rest() })
    }

    /// Whether its time has come.
    pub fn is_expired(&self, time_ms: u64) -> bool {
        self.expires_at_ms != 0 && self.expires_at_ms <= time_ms
    }
}

/// What is remembered of a lane:
/// `format(1) seq(8) issued_at(8) code(1) version(8) batch_len(2) { code(1) version(8) value_len(4) value }*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// The lane's last write.
    pub seq: u64,
    /// The greatest `issued_at` of the lane's writes.
    pub issued_at_ms: u64,
    /// What the last write answered.
    pub outcome: Outcome,
    /// What each operation of a batch answered.
    pub batch: Vec<Outcome>,
}

/// What one operation answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// `Ok`, `NoKey` or `CompareFailed`.
    pub code: Code,
    /// The version it named.
    pub version: u64,
    /// The value it read (only inside a batch).
    pub value: Option<Bytes>,
}

impl Outcome {
    fn of(reply: &Reply) -> Self {
        Self { code: reply.code(), version: reply.version, value: reply.value.clone() }
    }

    fn reply(self) -> Reply {
        Reply { code: self.code.into(), version: self.version, value: self.value, ..Reply::default() }
    }
}

impl SessionRow {
    /// How many bytes its key (client, lane) and the fixed part of its value take.
    pub const TYPICAL_BYTES: usize = 12 + 28;

    /// Remembers a reply.
    pub fn of(seq: u64, issued_at_ms: u64, reply: &Reply) -> Self {
        let batch = reply.batch.iter().map(Outcome::of).collect();
        Self { seq, issued_at_ms, outcome: Outcome::of(reply), batch }
    }

    /// The reply that was remembered.
    pub fn reply(self) -> Reply {
        let batch = self.batch.into_iter().map(Outcome::reply).collect();
        Reply { batch, ..self.outcome.reply() }
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(28 + self.batch.len() * 13);
        out.push(FORMAT);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.issued_at_ms.to_be_bytes());
        out.push(code_byte(self.outcome.code));
        out.extend_from_slice(&self.outcome.version.to_be_bytes());
        let len = u16::try_from(self.batch.len()).expect("a batch has at most 1024 operations");
        out.extend_from_slice(&len.to_be_bytes());
        for outcome in &self.batch {
            out.push(code_byte(outcome.code));
            out.extend_from_slice(&outcome.version.to_be_bytes());
            let value = outcome.value.as_deref();
            let len = value.map_or(NONE, |v| u32::try_from(v.len()).expect("a value has at most 8 MiB"));
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
        out
    }

    /// Reads stored bytes. None: not of this layout.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = Input { bytes, at: 0 };
        if input.byte()? != FORMAT {
            return None;
        }
        let (seq, issued_at_ms) = (input.u64()?, input.u64()?);
        let outcome = Outcome { code: code_of(input.byte()?)?, version: input.u64()?, value: None };
        let len = input.u16()?;
        let batch = (0..len).map(|_| Self::decode_outcome(&mut input)).collect::<Option<Vec<_>>>()?;
        input.is_done().then_some(Self { seq, issued_at_ms, outcome, batch })
    }

    fn decode_outcome(input: &mut Input<'_>) -> Option<Outcome> {
        let (code, version, len) = (code_of(input.byte()?)?, input.u64()?, input.u32()?);
        let value = if len == NONE { None } else { Some(input.slice(len as usize)?) };
        Some(Outcome { code, version, value })
    }
}

/// What changed: `format(1) kind(1) bytes(4) key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeRow {
    /// The kind of row.
    pub kind: RowKind,
    /// About how many bytes the change will take to ship.
    pub bytes: u32,
    /// The row's key, without the home.
    pub key: Bytes,
}

impl ChangeRow {
    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6 + self.key.len());
        out.extend_from_slice(&[FORMAT, self.kind as u8]);
        out.extend_from_slice(&self.bytes.to_be_bytes());
        out.extend_from_slice(&self.key);
        out
    }

    /// Reads stored bytes. None: not of this layout.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = Input { bytes, at: 0 };
        if input.byte()? != FORMAT {
            return None;
        }
        let kind = RowKind::try_from(i32::from(input.byte()?)).ok()?;
        Some(Self { kind, bytes: input.u32()?, key: input.rest() })
    }
}

/// Reads a stored number of 8 bytes.
pub(crate) fn decode_u64(bytes: &Bytes) -> Option<u64> {
    bytes.as_ref().try_into().ok().map(u64::from_be_bytes)
}

/// Turns "not of this layout" into what it means for a stored row: the storage is corrupt.
pub(crate) fn sound<T>(decoded: Option<T>, what: &str) -> Result<T, EngineError> {
    decoded.ok_or_else(|| EngineError::corrupt(format!("a stored {what} row does not decode")))
}

fn code_byte(code: Code) -> u8 {
    code as i32 as u8
}

fn code_of(byte: u8) -> Option<Code> {
    let code = Code::try_from(i32::from(byte)).ok()?;
    matches!(code, Code::Ok | Code::NoKey | Code::CompareFailed).then_some(code)
}
