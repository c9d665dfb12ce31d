//! A table: an immutable file of sorted rows in checksummed blocks, with an index at its end. As in RocksDB, a damaged
//! block is noticed by whoever reads rows in it, a damaged index by whoever opens the file.

use bytes::{Buf, BufMut, Bytes};

/// A row of a table: a value, or the removal of what older tables hold.
pub type TableRow = (Bytes, Option<Bytes>);

/// A range of keys that cannot be read, both ends included.
pub type Damaged = (Bytes, Bytes);

const BLOCK_BYTES: usize = 1024;
const FOOTER_BYTES: usize = 16;
const MAGIC: u32 = 0x5f10_7ab1;

/// The bytes of a table.
pub fn encode(rows: &[TableRow]) -> Vec<u8> {
    let (mut file, mut index) = (Vec::new(), Vec::new());
    let mut rest = rows;
    while !rest.is_empty() {
        let (start, mut count) = (file.len(), 0);
        while count < rest.len() && file.len() - start < BLOCK_BYTES {
            put_row(&mut file, &rest[count]);
            count += 1;
        }
        let block = &file[start..];
        put_bytes(&mut index, &rest[0].0);
        put_bytes(&mut index, &rest[count - 1].0);
        index.put_u32_le(block.len() as u32);
        index.put_u32_le(crc32c::crc32c(block));
        rest = &rest[count..];
    }
    let index_at = file.len() as u32;
    file.extend_from_slice(&index);
    file.put_u32_le(index_at);
    file.put_u32_le(index.len() as u32);
    file.put_u32_le(crc32c::crc32c(&index));
    file.put_u32_le(MAGIC);
    file
}

/// The rows of a table, and the ranges that are damaged; none if the index itself is.
pub fn decode(file: &Bytes) -> Option<(Vec<TableRow>, Vec<Damaged>)> {
    let footer_at = file.len().checked_sub(FOOTER_BYTES)?;
    let mut footer = file.slice(footer_at..);
    let (index_at, index_len) = (footer.get_u32_le() as usize, footer.get_u32_le() as usize);
    let (crc, magic) = (footer.get_u32_le(), footer.get_u32_le());
    if magic != MAGIC || index_at.checked_add(index_len) != Some(footer_at) {
        return None;
    }
    let mut index = file.slice(index_at..footer_at);
    if crc32c::crc32c(&index) != crc {
        return None;
    }
    let (mut rows, mut damaged, mut at) = (Vec::new(), Vec::new(), 0);
    while index.has_remaining() {
        let (first, last) = (get_bytes(&mut index)?, get_bytes(&mut index)?);
        let length = index.get_u32_le() as usize;
        let block = file.slice(at..at + length);
        at += length;
        match crc32c::crc32c(&block) == index.get_u32_le() {
            true => rows.extend(block_rows(block)?),
            false => damaged.push((first, last)),
        }
    }
    Some((rows, damaged))
}

fn block_rows(mut block: Bytes) -> Option<Vec<TableRow>> {
    let mut rows = Vec::new();
    while block.has_remaining() {
        let key = get_bytes(&mut block)?;
        let value = match block.get_u8() {
            0 => None,
            _ => Some(get_bytes(&mut block)?),
        };
        rows.push((key, value));
    }
    Some(rows)
}

/// Appends a row.
pub fn put_row(buffer: &mut Vec<u8>, (key, value): &TableRow) {
    put_bytes(buffer, key);
    buffer.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put_bytes(buffer, value);
    }
}

/// The rows that [`put_row`] appended one after the other.
pub fn get_rows(bytes: Bytes) -> Option<Vec<TableRow>> {
    block_rows(bytes)
}

fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.put_u32_le(bytes.len() as u32);
    buffer.extend_from_slice(bytes);
}

fn get_bytes(buffer: &mut Bytes) -> Option<Bytes> {
    let length = buffer.try_get_u32_le().ok()? as usize;
    (length <= buffer.remaining()).then(|| buffer.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed_and_the_other_blocks_still_read() {
        let row = |n: u32| {
            (Bytes::from(format!("key-{n:04}")), (!n.is_multiple_of(7)).then(|| Bytes::from(vec![7; 40])))
        };
        let rows: Vec<TableRow> = (0..60).map(row).collect();
        let file = encode(&rows);
        assert_eq!(decode(&file.clone().into()), Some((rows.clone(), Vec::new())));
        let mut partly = 0;
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let Some((read, damaged)) = decode(&bad.into()) else { continue };
            let [(first, last)] = &damaged[..] else { panic!("bit {bit}: {} ranges", damaged.len()) };
            assert!(read.iter().all(|row| rows.contains(row)), "bit {bit}: a wrong row");
            assert!(read.iter().all(|(key, _)| key < first || key > last));
            partly += 1;
        }
        assert!(partly > 0);
        for length in 0..file.len() {
            assert_eq!(decode(&Bytes::copy_from_slice(&file[..length])), None, "cut to {length}");
        }
        assert_eq!(decode(&encode(&[]).into()), Some((Vec::new(), Vec::new())));
    }
}
