//! A small key-value machine, for tests of what lies below machines.

use bytes::Bytes;
use flotilla_types::{EngineError, Machine, Reader, Txn, Wire};

/// What to do with a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// One of the constants.
    #[prost(uint32, tag = "1")]
    pub what: u32,
    /// The key.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
    /// Noise: encoders nest as deeply as they are told, decoders do not follow.
    #[prost(message, optional, boxed, tag = "4")]
    pub inner: Option<Box<Command>>,
}

/// Stores a value.
pub const PUT: u32 = 0;
/// Appends to a value.
pub const APPEND: u32 = 1;
/// Panics in apply.
pub const PANIC: u32 = 2;
/// Fails in apply, as a broken disk would.
pub const FAIL: u32 = 3;
/// Declares every row under `dead/` garbage.
pub const BURY: u32 = 4;

/// A command without its noise.
pub fn command(what: u32, key: &str, value: impl Into<Bytes>) -> Command {
    Command { what, key: Bytes::copy_from_slice(key.as_bytes()), value: value.into(), inner: None }
}

/// How many commands were applied before, and the length of the value now.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// Commands applied, with this one.
    #[prost(uint64, tag = "1")]
    pub applied: u64,
    /// Bytes under the key.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
}

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Query {
    /// The value under a key.
    Get(&'static str),
    /// How many rows start with this.
    Count(&'static str),
    /// Panics.
    Panic,
    /// Meet rows that contradict themselves.
    Fail,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A value.
    Value(Option<Bytes>),
    /// A number.
    Count(usize),
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    applied: u64,
    buried: u64,
}

const STATE: &[u8] = b"\x01state";

impl Kv {
    /// How many commands were applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    fn save(&self, rows: &mut Txn<'_>) {
        rows.put(STATE, [self.applied.to_be_bytes(), self.buried.to_be_bytes()].concat());
    }
}

fn row(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

impl Machine for Kv {
    type Options = ();
    type Command = Command;
    type Response = Response;
    type Query = Query;
    type Answer = Answer;
    type Action = ();
    type Outcome = ();

    fn open(_: &(), rows: &dyn Reader) -> Result<Self, EngineError> {
        let Some(state) = rows.get(STATE)? else { return Ok(Self::default()) };
        let number = |at: usize| u64::from_be_bytes(state[at..at + 8].try_into().expect("eight bytes"));
        Ok(Self { applied: number(0), buried: number(8) })
    }

    fn apply(&mut self, rows: &mut Txn<'_>, command: Command) -> Result<Response, EngineError> {
        self.applied += 1;
        let key = row(&command.key);
        let mut value = command.value;
        match command.what {
            PUT => rows.put(key, value.clone()),
            APPEND => {
                let before = rows.get(&key)?.unwrap_or_default();
                value = [before, value].concat().into();
                rows.put(key, value.clone());
            }
            BURY => self.buried += 1,
            PANIC => panic!("told to panic"),
            _ => return Err(EngineError::corrupt("told to fail")),
        }
        self.save(rows);
        Ok(Response { applied: self.applied, bytes: value.len() as u64 })
    }

    fn query(&self, rows: &dyn Reader, query: Query) -> Result<Answer, EngineError> {
        Ok(match query {
            Query::Get(key) => Answer::Value(rows.get(&row(key.as_bytes()))?),
            Query::Count(prefix) => {
                let start = row(prefix.as_bytes());
                Answer::Count(rows.scan(&start, &flotilla_types::engine::prefix_end(&start)).count())
            }
            Query::Panic => panic!("told to panic"),
            Query::Fail => return Err(EngineError::corrupt("told to fail")),
        })
    }

    fn actions(&self) -> Vec<()> {
        Vec::new()
    }

    fn resolve(&self, (): &(), (): ()) -> Option<Command> {
        None
    }

    fn garbage_mark(&self) -> u64 {
        self.buried
    }

    fn garbage(&self, _: &dyn Reader) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        let dead = (Bytes::from_static(b"kdead/"), Bytes::from_static(b"kdead0"));
        Ok(if self.buried > 0 { vec![dead] } else { Vec::new() })
    }
}

/// Whether a value round-trips; used so that every test sees the machine's encoding work.
pub fn round_trips(command: &Command) -> bool {
    Command::decode_from(command.to_bytes()).is_ok_and(|decoded| decoded == *command)
}
