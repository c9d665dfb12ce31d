//! The text form of keys and values in `import`, `export` and `scan`: any bytes pass, and UTF-8 stays readable.
//!
//! | bytes | written |
//! |---|---|
//! | backslash, tab, newline, carriage return | `\\`, `\t`, `\n`, `\r` |
//! | others below 0x20, 0x7f, and what is not UTF-8 | `\xNN` |
//! | everything else | as it is |

use std::fmt;

/// What is wrong with an escaped text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EscapeError {
    /// A backslash before something else than `\\`, `t`, `n`, `r` or `x`.
    Unknown(u8),
    /// `\x` without two hexadecimal digits.
    Hex,
    /// The text ends with a lone backslash.
    End,
}

impl fmt::Display for EscapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(byte) => {
                write!(f, "unknown escape \\{}; known are \\\\ \\t \\n \\r \\xNN", byte.escape_ascii())
            }
            Self::Hex => f.write_str("\\x needs two hexadecimal digits after it"),
            Self::End => f.write_str("a backslash stands at the end; write \\\\ for a backslash"),
        }
    }
}

/// The text form of `bytes`.
pub fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    escape_to(&mut text, bytes);
    text
}

/// Appends the text form of `bytes`.
pub fn escape_to(text: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            escape_byte(text, byte);
        }
        for &byte in chunk.invalid() {
            push_hex(text, byte);
        }
    }
}

fn escape_byte(text: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' => text.extend(b"\\\\"),
        b'\t' => text.extend(b"\\t"),
        b'\n' => text.extend(b"\\n"),
        b'\r' => text.extend(b"\\r"),
        0..0x20 | 0x7f => push_hex(text, byte),
        _ => text.push(byte),
    }
}

fn push_hex(text: &mut Vec<u8>, byte: u8) {
    text.extend(b"\\x");
    text.extend(digits(byte));
}

fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// The bytes that a text stands for.
pub fn unescaped(text: &[u8]) -> Result<Vec<u8>, EscapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        bytes.extend(&rest[..at]);
        let (byte, length) = one(&rest[at + 1..])?;
        bytes.push(byte);
        rest = &rest[at + 1 + length..];
    }
    bytes.extend(rest);
    Ok(bytes)
}

/// The byte that the escape after a backslash stands for, and the escape's length.
fn one(after: &[u8]) -> Result<(u8, usize), EscapeError> {
    match after {
        [b'\\', ..] => Ok((b'\\', 1)),
        [b't', ..] => Ok((b'\t', 1)),
        [b'n', ..] => Ok((b'\n', 1)),
        [b'r', ..] => Ok((b'\r', 1)),
        [b'x', high, low, ..] => Ok((digit(*high)? << 4 | digit(*low)?, 3)),
        [b'x', ..] => Err(EscapeError::Hex),
        [other, ..] => Err(EscapeError::Unknown(*other)),
        [] => Err(EscapeError::End),
    }
}

fn digit(byte: u8) -> Result<u8, EscapeError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(EscapeError::Hex),
    }
}

/// Lower-case hexadecimal digits, two for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits(*byte)).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(bytes: &[u8]) {
        let text = escaped(bytes);
        assert!(std::str::from_utf8(&text).is_ok(), "{bytes:?} is not written as UTF-8");
        assert!(!text.iter().any(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0..0x20 | 0x7f)), "{text:?}");
        assert_eq!(unescaped(&text).as_deref(), Ok(bytes));
    }

    #[test]
    fn every_string_of_one_and_two_bytes_comes_back() {
        round_trip(b"");
        for a in 0..=255 {
            round_trip(&[a]);
            (0..=255).for_each(|b| round_trip(&[a, b]));
        }
    }

    #[test]
    fn long_strings_of_dangerous_bytes_come_back() {
        const DANGEROUS: &[u8] = b"\\\\tnrx09afAF\t\n\r\0\x7f\x1b\xc3\xa4\xe2\x82\xac\xff\xf0\x9f";
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for length in 0..400 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                DANGEROUS[(state >> 33) as usize % DANGEROUS.len()]
            };
            round_trip(&(0..length).map(|_| next()).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn text_stays_readable() {
        assert_eq!(escaped("grüße €\t".as_bytes()), "grüße €\\t".as_bytes());
        assert_eq!(escaped(b"\x00\x7f\xff"), b"\\x00\\x7f\\xff");
        assert_eq!(unescaped(b"\\x4A\\x4a"), Ok(b"JJ".to_vec()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(unescaped(b"a\\"), Err(EscapeError::End));
        assert_eq!(unescaped(b"\\q"), Err(EscapeError::Unknown(b'q')));
        assert_eq!(unescaped(b"\\x1"), Err(EscapeError::Hex));
        assert_eq!(unescaped(b"\\x1g"), Err(EscapeError::Hex));
    }
}
