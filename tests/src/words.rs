//! The real input: Debian's word list, each word with itself reversed, and a second file of binary and empty values and
//! of keys up to the limit.

use std::collections::BTreeMap;
use std::path::Path;

use flotilla_types::limits::KEY_BYTES_MAX;

/// Where Debian's package `wamerican` puts its list.
const LIST: &str = "/usr/share/dict/american-english";
/// How many words that list has, about.
const WORDS: usize = 100_000;

/// What a cluster is to hold: value by key.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every word with itself reversed. Without the list, made-up words as many, and a word about that.
pub fn words() -> Rows {
    let list = match std::fs::read(Path::new(LIST)) {
        Ok(list) => list,
        Err(error) => {
            eprintln!("{LIST}: {error}: using made-up words (for the real ones: apt-get install wamerican)");
            made_up()
        }
    };
    let words = list.split(|byte| *byte == b'\n').filter(|word| !word.is_empty());
    words.map(|word| (word.to_vec(), reversed(word))).collect()
}

/// Backwards, letter by letter.
fn reversed(word: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(word).chars().rev().collect::<String>().into_bytes()
}

fn made_up() -> Vec<u8> {
    const SYLLABLES: [&str; 16] = [
        "ba", "cor", "di", "fle", "gö", "ha", "in", "jo", "ka", "lum", "me", "nor", "os", "pri", "qua",
        "ro's",
    ];
    let mut list = String::new();
    for number in 0..WORDS {
        let digits = (0..5).map(|place| number >> (4 * place) & 15);
        list.extend(digits.map(|digit| SYLLABLES[digit]));
        list.push('\n');
    }
    list.into_bytes()
}

/// Keys and values that are hard on escapes, limits and hashing: every byte, empty values, keys that differ in one
/// byte, long common prefixes, keys up to the limit.
pub fn awkward() -> Rows {
    let mut rows = Rows::new();
    for byte in 0..=255_u8 {
        rows.insert(vec![b'k', byte], vec![byte; usize::from(byte)]);
        rows.insert([&[byte][..], b"\t\\n\r\n", &[byte]].concat(), Vec::new());
        rows.insert([&vec![b'p'; 1000][..], &[byte]].concat(), vec![byte, 0, b'\n', b'\\', byte]);
    }
    for length in [1, 2, 255, 256, 4095, KEY_BYTES_MAX] {
        rows.insert(vec![0xff; length], format!("a key of {length} bytes").into_bytes());
    }
    rows.insert(b"{tag}".to_vec(), b"a hashtag alone".to_vec());
    rows.insert(b"{}".to_vec(), b"an empty hashtag".to_vec());
    rows.insert("grüße €".as_bytes().to_vec(), "grüße €".as_bytes().to_vec());
    rows
}

/// Rows as `flotilla import` reads them; everything but letters and digits is written as `\xNN`.
pub fn lines(rows: &Rows) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in rows {
        escape(&mut text, key);
        text.push(b'\t');
        escape(&mut text, value);
        text.push(b'\n');
    }
    text
}

fn escape(text: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(*byte),
            _ => text.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
}

/// What `flotilla export` wrote, in order. Written apart from the binary's own code, so that each checks the other.
pub fn parse(text: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, String> {
    let mut rows = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").ok_or("the last line does not end")?;
        let tab = line.iter().position(|byte| *byte == b'\t').ok_or("a line without a tab")?;
        rows.push((unescape(&line[..tab])?, unescape(&line[tab + 1..])?));
    }
    Ok(rows)
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'\\') => bytes.push(b'\\'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                if digits.len() != 2 {
                    return Err(format!("\\x{digits} is torn"));
                }
                bytes.push(u8::from_str_radix(&digits, 16).map_err(|error| format!("\\x{digits}: {error}"))?);
            }
            other => return Err(format!("unknown escape {other:?}")),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let rows = awkward();
        let back = parse(&lines(&rows)).expect("our own lines");
        assert!(back.iter().cloned().eq(rows), "{} rows", back.len());
    }

    #[test]
    fn made_up_words_are_as_many_and_all_different() {
        let list = made_up();
        let words: std::collections::BTreeSet<_> = list.split(|byte| *byte == b'\n').collect();
        assert!(words.len() >= WORDS, "{} different words", words.len());
    }

    #[test]
    fn torn_lines_are_flagged() {
        assert!(parse(b"a\tb").is_err());
        assert!(parse(b"ab\n").is_err());
        assert!(parse(b"a\\q\tb\n").is_err());
        assert!(parse(b"a\\x4\tb\n").is_err());
    }
}
