//! Puts as much into a shard as it is to hold.

use bytes::{Bytes, BytesMut};
use flotilla_client::Client;
use flotilla_workload::Dice;
use futures::stream::{self, StreamExt};

use crate::error::BenchError;

/// How long each value is.
const VALUE_BYTES: usize = 8 * 1024;
/// So many at a time.
const IN_FLIGHT: usize = 32;
/// After so many values it is said how far it is.
const SAID_EVERY: u64 = 4096;

/// Writes `bytes` to keys that begin with `tag`; of keys that are there from before, it makes no more.
pub async fn fill(client: &Client, tag: &str, bytes: u64, say: &dyn Fn(&str)) -> Result<(), BenchError> {
    let count = bytes.div_ceil(VALUE_BYTES as u64);
    let mut puts = stream::iter((0..count).map(|number| {
        let key = format!("{tag}fill-{number:010}");
        client.put(key, value(number))
    }))
    .buffer_unordered(IN_FLIGHT);
    let mut done = 0;
    while let Some(result) = puts.next().await {
        result.map_err(|error| BenchError::Fill {
            failed: 1,
            keys: u32::try_from(count).unwrap_or(u32::MAX),
            first: error.to_string(),
        })?;
        done += 1;
        if done % SAID_EVERY == 0 {
            say(&format!("filling: {} of {} MB", done * VALUE_BYTES as u64 / 1_000_000, bytes / 1_000_000));
        }
    }
    Ok(())
}

/// Does not compress, so that the speed of a move is that of its bytes.
fn value(number: u64) -> Bytes {
    let mut dice = Dice::new(number);
    let mut value = BytesMut::with_capacity(VALUE_BYTES);
    while value.len() < VALUE_BYTES {
        value.extend_from_slice(&dice.next_u64().to_be_bytes());
    }
    value.freeze()
}
