//! Uploads: begun, their parts, and finished objects.

use crate::apply::files::{file_of, put_file};
use crate::apply::{Done, find, freeze, save};
use crate::book::Book;
use crate::command::{Command, FileDone, PartsDone, UploadCreated};
use crate::file::{File, Stage, Upload};
use crate::limits;
use crate::record::{Record, Totals};
use crate::refusal::{Refusal, Stop, Why, ensure};
use crate::state::State;

/// A multipart upload was begun, or begun anew in place of one that the store lost. Its parts count from none.
pub(super) fn created(
    book: &mut impl Book,
    command: &Command,
    made: &UploadCreated,
    now_ms: u64,
) -> Result<Done, Stop> {
    let (mut record, mut file) = uploading(book, command, made.file)?;
    word("upload", &made.upload)?;
    let before = file.upload.clone();
    let known = before.as_ref().map_or("", |upload| &upload.id[..]);
    if known == made.upload {
        return Ok(Done { id: command.id, ..Done::default() });
    }
    if known != made.replaces {
        return Err(
            Refusal::new(Why::Fenced, "replaces: the file has another upload by now; read it again").into()
        );
    }
    let parts = part_count(length(&file), made.part_bytes)?;
    if let Some(before) = before {
        let lost = sent_bytes(book, &record, &file, &before)?;
        let totals = record.totals.get_or_insert_with(Totals::default);
        totals.bytes_uploaded = totals.bytes_uploaded.saturating_sub(lost);
        book.remove_parts(record.id, file.index)?;
    }
    file.upload = Some(Upload { id: made.upload.clone(), part_bytes: made.part_bytes, parts, parts_done: 0 });
    put_file(book, record, file, now_ms)
}

/// Parts were sent. Each counts once.
pub(super) fn parts(
    book: &mut impl Book,
    command: &Command,
    sent: &PartsDone,
    now_ms: u64,
) -> Result<Done, Stop> {
    let (mut record, mut file) = uploading(book, command, sent.file)?;
    let (length, stage) = (length(&file), file.stage());
    let upload = file.upload.as_mut().filter(|upload| upload.id == sent.upload);
    let other = || Refusal::new(Why::Fenced, "upload: the file has another one by now; read it again");
    let upload = upload.ok_or_else(other)?;
    check_parts(upload, sent)?;
    // A file whose object is there has been counted whole.
    let counts = stage != Stage::Done;
    for part in sent.parts.iter().filter(|_| counts) {
        if book.part(record.id, sent.file, part.number)?.is_none() {
            upload.parts_done += 1;
            let totals = record.totals.get_or_insert_with(Totals::default);
            totals.bytes_uploaded =
                totals.bytes_uploaded.saturating_add(upload.part_length(part.number, length));
        }
        book.put_part(record.id, sent.file, part.clone());
    }
    put_file(book, record, file, now_ms)
}

/// The object is in the store, whole and with the right ETag.
pub(super) fn done(
    book: &mut impl Book,
    command: &Command,
    done: &FileDone,
    now_ms: u64,
) -> Result<Done, Stop> {
    let (mut record, mut file) = uploading(book, command, done.file)?;
    word("etag", &done.etag)?;
    if file.stage() == Stage::Done {
        return Ok(Done { id: command.id, ..Done::default() });
    }
    let sent = match file.upload.clone() {
        Some(upload) => sent_bytes(book, &record, &file, &upload)?,
        None => 0,
    };
    let rest = length(&file).saturating_sub(sent);
    freeze::group_mut(&mut record, file.gid)?.done += 1;
    let totals = record.totals.get_or_insert_with(Totals::default);
    totals.files_done += 1;
    totals.bytes_uploaded = totals.bytes_uploaded.saturating_add(rest);
    file.set_stage(Stage::Done);
    file.etag.clone_from(&done.etag);
    book.put_file(record.id, file);
    save(book, record, now_ms);
    Ok(Done { id: command.id, ..Done::default() })
}

/// The record and a file that may be sent now.
fn uploading(book: &impl Book, command: &Command, index: u32) -> Result<(Record, File), Stop> {
    let record = find(book, command.id)?;
    let file = file_of(book, &record, command.epoch, index)?;
    if record.state() != State::Upload || file.dumped.is_none() {
        return Err(Refusal::refused(format!("state: {} sends nothing; upload does", record.state())).into());
    }
    Ok((record, file))
}

fn length(file: &File) -> u64 {
    file.dumped.as_ref().map_or(0, |dumped| dumped.length)
}

fn part_count(length: u64, part_bytes: u64) -> Result<u32, Refusal> {
    let count = length.checked_div(part_bytes).map(|_| length.div_ceil(part_bytes).max(1));
    let count = count.and_then(|count| u32::try_from(count).ok()).filter(|count| *count <= limits::PARTS_MAX);
    count.ok_or_else(|| {
        Refusal::invalid(format!(
            "part_bytes: {part_bytes} does not cut {length} bytes into 1 to {} parts",
            limits::PARTS_MAX
        ))
    })
}

fn check_parts(upload: &Upload, sent: &PartsDone) -> Result<(), Refusal> {
    let (count, most) = (sent.parts.len(), limits::PARTS_PER_COMMAND_MAX);
    ensure(count <= most, || format!("parts: {count} in one command, the limit is {most}; send several"))?;
    for part in &sent.parts {
        word("etag", &part.etag)?;
        ensure((1..=upload.parts).contains(&part.number), || {
            format!("parts: number {} is not in 1 to {}", part.number, upload.parts)
        })?;
    }
    Ok(())
}

fn word(field: &str, text: &str) -> Result<(), Refusal> {
    let most = limits::WORD_BYTES_MAX;
    ensure((1..=most).contains(&text.len()), || format!("{field}: {} bytes, not 1 to {most}", text.len()))
}

/// The bytes of the parts that are recorded.
fn sent_bytes(book: &impl Book, record: &Record, file: &File, upload: &Upload) -> Result<u64, Stop> {
    if upload.parts_done == 0 {
        return Ok(0);
    }
    let whole = u64::from(upload.parts_done).saturating_mul(upload.part_bytes);
    // Only the last part is shorter than the others.
    let last = upload.part_length(upload.parts, length(file));
    let has_last = book.part(record.id, file.index, upload.parts)?.is_some();
    Ok(if has_last { whole.saturating_sub(upload.part_bytes) + last } else { whole })
}
