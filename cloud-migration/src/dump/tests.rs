//! The format, whole: what is written comes back, and what is damaged is refused by name.

use std::collections::BTreeMap;
use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

type Rows = BTreeMap<(RowKind, Vec<u8>), (u64, u64, Vec<u8>)>;

fn header(codec: Codec, block_bytes: u32) -> FileHeader {
    FileHeader {
        format: FORMAT,
        cluster: "c1".to_owned(),
        migration: 7,
        gid: 3,
        shard: 17,
        shards: 64,
        config: 12,
        start: Position::START,
        end: None,
        codec,
        block_bytes,
        facts: ShardFacts { counter: 99, time_ms: 1_000, floor_ms: 10 },
    }
}

fn write(header: FileHeader, rows: &Rows) -> (Vec<u8>, FileSummary) {
    let mut writer = DumpWriter::new(Vec::new(), "f.kvd", header).unwrap();
    for ((kind, key), (version, expires_at_ms, value)) in rows {
        let (version, expires_at_ms) = (*version, *expires_at_ms);
        writer.push(RowRef { kind: *kind, key, version, expires_at_ms, value }).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: impl Read) -> Result<(Rows, FileSummary), DumpError> {
    let mut reader = DumpReader::new(bytes, "f.kvd")?;
    let mut rows = Rows::new();
    while let Some(block) = reader.next_block()? {
        for row in block.rows {
            rows.insert((row.kind, row.key.to_vec()), (row.version, row.expires_at_ms, row.value.to_vec()));
        }
    }
    Ok((rows, reader.summary().unwrap().clone()))
}

fn some_rows(count: u32) -> Rows {
    let data = (0..count).map(|n| {
        let value = format!("value {n} ").repeat(1 + n as usize % 7).into_bytes();
        (
            (RowKind::Data, format!("key {n:06}").into_bytes()),
            (u64::from(n) + 1, u64::from(n % 3) * 5_000, value),
        )
    });
    let sessions = (0..count / 10)
        .map(|n| ((RowKind::Session, [&n.to_be_bytes()[..], &[0; 8]].concat()), (0, 0, vec![1, 2, 3])));
    data.chain(sessions).collect()
}

fn any_rows() -> impl Strategy<Value = Rows> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let kind = prop_oneof![Just(RowKind::Data), Just(RowKind::Session)];
    prop::collection::btree_map((kind, bytes(20)), (any::<u64>(), any::<u64>(), bytes(200)), 0..60)
}

/// Gives one byte at a time, as a slow connection may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let some = out.len().min(1);
        self.0.read(&mut out[..some])
    }
}

proptest! {
    #[test]
    fn rows_come_back(rows in any_rows(), zstd: bool, block_bytes in 1_u32..2_000) {
        let codec = if zstd { Codec::Zstd } else { Codec::None };
        let (bytes, written) = write(header(codec, block_bytes), &rows);
        let (again, read) = read(Trickle(&bytes)).unwrap();
        prop_assert_eq!(&again, &rows);
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.length, bytes.len() as u64);
        prop_assert_eq!(read.blake3, Digest::of(&bytes));
        prop_assert_eq!(read.sums.rows(), rows.len() as u64);
        prop_assert_eq!(Sums::from_bytes(&read.sums.to_bytes()), Some(read.sums));
    }

    // However the rows are cut into files, the sums over all files are the same; and the same file twice has the same bytes.
    #[test]
    fn cuts_do_not_change_sums(rows in any_rows(), cut in prop::collection::vec(any::<u8>(), 0..3)) {
        let (whole, all) = write(header(Codec::Zstd, 500), &rows);
        prop_assert_eq!(&write(header(Codec::Zstd, 500), &rows).0, &whole);
        let at = Position(cut);
        let (before, after): (Rows, Rows) =
            rows.into_iter().partition(|((kind, key), _)| at.is_after(*kind, key));
        let (_, mut sums) = write(FileHeader { end: Some(at.clone()), ..header(Codec::None, 9) }, &before);
        sums.sums.add(&write(FileHeader { start: at, ..header(Codec::Zstd, 700) }, &after).1.sums);
        prop_assert_eq!(sums.sums, all.sums);
    }

    #[test]
    fn garbage_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), after_magic: bool) {
        let (file, _) = write(header(Codec::Zstd, 500), &some_rows(3));
        let bytes = if after_magic { [&file[..file.len() / 2], &bytes].concat() } else { bytes };
        prop_assert!(read(&bytes[..]).is_err());
    }
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let (bytes, summary) = write(header(Codec::Zstd, 2_000), &some_rows(100));
    assert!(summary.blocks >= 3, "{summary:?}");
    let mut blocks = std::collections::BTreeSet::new();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = read(&damaged[..]).expect_err(&format!("byte {at} was flipped and nobody noticed"));
        assert!(error.to_string().contains("f.kvd"), "{error}");
        if let DumpError::Damaged { place: Place::Block(number), offset, .. } = error {
            assert!(offset <= at as u64, "block {number} at {offset} begins after byte {at}");
            blocks.insert(number);
        }
    }
    assert!((0..summary.blocks).all(|block| blocks.contains(&block)), "only {blocks:?} were named");
}

#[test]
fn every_truncation_is_found_and_named() {
    let (bytes, _) = write(header(Codec::Zstd, 2_000), &some_rows(100));
    for length in 0..bytes.len() {
        let error = read(&bytes[..length]).expect_err(&format!("{length} bytes are not the whole file"));
        assert!(matches!(error, DumpError::Truncated { .. }) && error.is_damage(), "at {length}: {error}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(read(&longer[..]), Err(DumpError::Damaged { place: Place::Footer, .. })));
}

#[test]
fn blocks_that_changed_places_are_found() {
    let (bytes, summary) = write(header(Codec::None, 100), &some_rows(20));
    let starts: Vec<usize> = block_starts(&bytes, summary.blocks as usize);
    let swapped = [
        &bytes[..starts[0]],
        &bytes[starts[1]..starts[2]],
        &bytes[starts[0]..starts[1]],
        &bytes[starts[2]..],
    ]
    .concat();
    let error = read(&swapped[..]).unwrap_err();
    assert!(matches!(error, DumpError::Damaged { place: Place::Block(1), .. }), "{error}");
    let dropped = [&bytes[..starts[1]], &bytes[starts[2]..]].concat();
    let error = read(&dropped[..]).unwrap_err();
    assert!(matches!(error, DumpError::Damaged { place: Place::Index, .. }), "{error}");
}

/// Where the first blocks begin, from their heads.
fn block_starts(bytes: &[u8], blocks: usize) -> Vec<usize> {
    let header_bytes = u32::from_le_bytes(bytes[9..13].try_into().unwrap()) as usize;
    let mut starts = vec![8 + section::FRAME_BYTES + header_bytes];
    for block in 0..blocks {
        let at = starts[block];
        let stored = u32::from_le_bytes(bytes[at + 6..at + 10].try_into().unwrap()) as usize;
        starts.push(at + block::HEAD_BYTES + stored);
    }
    starts
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let (bytes, _) = write(header(Codec::Zstd, 500), &some_rows(3));
    let json = serde_json::to_vec(&FileHeader { format: FORMAT + 1, ..header(Codec::Zstd, 500) }).unwrap();
    let newer = [&bytes[..8], &section::frame(section::Tag::Header, &json)].concat();
    assert!(matches!(read(&newer[..]), Err(DumpError::Newer { found: 2, known: 1, .. })));
}

#[test]
fn the_writer_refuses_what_no_reader_would_take() {
    let row = |key| RowRef { kind: RowKind::Data, key, version: 1, expires_at_ms: 0, value: b"v" };
    let ranged = FileHeader {
        start: Position::of(RowKind::Data, b"b"),
        end: Some(Position::of(RowKind::Data, b"d")),
        ..header(Codec::Zstd, 500)
    };
    let mut writer = DumpWriter::new(Vec::new(), "f.kvd", ranged).unwrap();
    assert!(writer.push(row(b"a")).is_err(), "before the range");
    writer.push(row(b"b")).unwrap();
    assert!(writer.push(row(b"b")).is_err(), "twice");
    writer.push(row(b"c")).unwrap();
    assert!(writer.push(row(b"bb")).is_err(), "backwards");
    assert!(writer.push(row(b"d")).is_err(), "after the range");
    let (bytes, _) = writer.finish().unwrap();
    assert_eq!(read(&bytes[..]).unwrap().0.len(), 2);
    assert!(DumpWriter::new(Vec::new(), "f.kvd", header(Codec::None, 0)).is_err(), "no block size");
}

#[test]
fn one_large_row_is_a_block_of_its_own() {
    let value: Vec<u8> = (0..9 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let rows = Rows::from([((RowKind::Data, b"big".to_vec()), (1, 0, value))]);
    let (bytes, summary) = write(header(Codec::Zstd, FileHeader::BLOCK_BYTES), &rows);
    assert_eq!(summary.blocks, 1);
    assert_eq!(read(&bytes[..]).unwrap().0, rows);
}

/// The bytes are a promise: a change of any of them needs a new format number.
#[test]
fn the_bytes_are_those_of_format_one() {
    let (bytes, summary) = write(header(Codec::None, 500), &some_rows(3));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"{"format":1,"cluster":"c1","migration":7,"gid":3,"shard":17,"#), "{text}");
    assert_eq!(summary.blake3.to_string(), PINNED, "the format changed");
}

const PINNED: &str = "06258210addf5bd4c7c53ba0f3634fea7fb1acb774d3a7e28893acba3751f989";
