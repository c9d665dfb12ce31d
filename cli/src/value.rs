//! Keys and values from the command line: any bytes, and `-` for a value on standard input.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

use anyhow::{Context, Result};
use bytes::Bytes;
use flotilla_types::limits::VALUE_BYTES_MAX;

use crate::exit;

/// The bytes of an argument.
pub fn bytes(argument: OsString) -> Bytes {
    argument.into_vec().into()
}

/// The value that an argument means: standard input for `-`, all of it, nothing cut off.
pub fn read(argument: OsString) -> Result<Bytes> {
    if argument == "-" { stdin() } else { Ok(bytes(argument)) }
}

fn stdin() -> Result<Bytes> {
    let mut value = Vec::new();
    let bound = VALUE_BYTES_MAX as u64 + 1;
    std::io::stdin()
        .lock()
        .take(bound)
        .read_to_end(&mut value)
        .context("cannot read the value from standard input")?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(exit::misuse(format!(
            "the value on standard input is longer than {VALUE_BYTES_MAX} bytes, the limit of one value: split it"
        )));
    }
    Ok(value.into())
}
