//! How a replicated value becomes bytes. Everything replicated or durable is a protobuf message (prost), so
//! that it can grow fields; the pure crates derive those messages by hand, without a compiler.

use bytes::Bytes;
use prost::Message;

/// Bytes that do not decode: corruption or a newer format, never a client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode {what}: {detail}")]
pub struct WireError {
    /// The type that was expected.
    pub what: &'static str,
    /// What the decoder said.
    pub detail: String,
}

/// A value that can be replicated. Encoding then decoding gives back an equal value.
pub trait Wire: Sized {
    /// Appends this value's bytes to `buffer`.
    fn encode_to(&self, buffer: &mut Vec<u8>);

    /// Reads a value that fills `bytes` exactly. Byte fields share `bytes`' memory.
    fn decode_from(bytes: Bytes) -> Result<Self, WireError>;

    /// This value's bytes.
    fn to_bytes(&self) -> Bytes {
        let mut buffer = Vec::new();
        self.encode_to(&mut buffer);
        buffer.into()
    }
}

impl<T: Message + Default> Wire for T {
    fn encode_to(&self, buffer: &mut Vec<u8>) {
        buffer.reserve(self.encoded_len());
        self.encode_raw(buffer);
    }

    fn decode_from(bytes: Bytes) -> Result<Self, WireError> {
        T::decode(bytes)
            .map_err(|error| WireError { what: std::any::type_name::<T>(), detail: error.to_string() })
    }
}
