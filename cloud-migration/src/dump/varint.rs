//! Numbers in as few bytes as they need (LEB128), in exactly one way each.

/// The most bytes that a number takes.
pub const BYTES_MAX: usize = 10;

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front of `input`. None: cut short, too great, or longer than need be.
pub fn take(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (at, byte) in input.iter().take(BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == BYTES_MAX - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            let minimal = *byte != 0 || at == 0;
            *input = &input[at + 1..];
            return minimal.then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_comes_back(number: u64, rest: [u8; 3]) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            bytes.extend_from_slice(&rest);
            let mut input = &bytes[..];
            prop_assert_eq!(take(&mut input), Some(number));
            prop_assert_eq!(input, &rest[..]);
        }

        #[test]
        fn what_is_taken_was_put(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut input = &bytes[..];
            if let Some(number) = take(&mut input) {
                let mut again = Vec::new();
                put(&mut again, number);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - input.len()]);
            }
        }
    }
}
