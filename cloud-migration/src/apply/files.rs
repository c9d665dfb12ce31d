//! Files: who makes them, how shards are cut, and what was made.

use bytes::Bytes;
use prost::Message;

use crate::apply::{Done, check_alive, check_owner, event, find, freeze, save};
use crate::book::Book;
use crate::command::{Assign, Command, FileDumped, FilesPlanned, Planned};
use crate::file::{Dumped, File, Stage};
use crate::limits;
use crate::record::{Group, Record, Totals};
use crate::refusal::{Refusal, Stop, Why, ensure};
use crate::state::State;

/// A node dumps a group from now on. Answers the assignment's number.
pub(super) fn assign(record: &mut Record, epoch: u64, assign: &Assign, now_ms: u64) -> Result<u64, Refusal> {
    check_owner(record, epoch)?;
    if !matches!(record.state(), State::Dump | State::Upload) {
        return Err(Refusal::refused(format!(
            "state: {} assigns nothing; dump and upload do",
            record.state()
        )));
    }
    let group = freeze::group_mut(record, assign.gid)?;
    if group.assignment != assign.after {
        return Err(Refusal::new(Why::Fenced, format!("after: assignment {} is over", assign.after)));
    }
    if !group.readers().any(|node| node == assign.node) {
        let message =
            format!("node: node {} cannot read what was pinned of group {}", assign.node, assign.gid);
        return Err(Refusal::new(Why::NotFound, message));
    }
    group.node = assign.node;
    group.assignment += 1;
    let number = group.assignment;
    event(record, now_ms, format!("node {} dumps and sends group {}", assign.node, assign.gid));
    Ok(number.into())
}

/// Refuses unless the migration is not over and the command comes from the node assigned to the group.
pub(super) fn check_assigned(record: &Record, gid: u64, assignment: u64) -> Result<(), Refusal> {
    check_alive(record)?;
    let id = record.id;
    let missing = || Refusal::new(Why::NotFound, format!("gid: group {gid} is not part of migration {id}"));
    let group = record.group(gid).ok_or_else(missing)?;
    if u64::from(group.assignment) == assignment && group.node != 0 {
        return Ok(());
    }
    let message =
        format!("epoch: assignment {assignment} of group {gid} is over; it is at {}", group.assignment);
    Err(Refusal::new(Why::Fenced, message))
}

/// Files of a group are cut. Repeated, it changes nothing: `from` says where the plan stood.
pub(super) fn planned(
    book: &mut impl Book,
    command: &Command,
    plan: &FilesPlanned,
    now_ms: u64,
) -> Result<Done, Stop> {
    let mut record = find(book, command.id)?;
    check_assigned(&record, plan.gid, command.epoch)?;
    let group = record.group(plan.gid).cloned().unwrap_or_default();
    let done = Done { id: command.id, ..Done::default() };
    let is_repeated = group.planned_all || plan.from < group.planned;
    if is_repeated {
        return Ok(done);
    }
    check_plan(&record, &group, plan)?;
    let (folder, mut totals) = (record.folder(), record.totals());
    for planned in &plan.files {
        let file = cut_file(&folder, plan.gid, totals.files, planned);
        record.plan_digest = crc32c::crc32c_append(record.plan_digest, &file.encode_to_vec());
        totals.files += 1;
        totals.bytes_planned = totals.bytes_planned.saturating_add(planned.bytes);
        book.put_file(record.id, file);
    }
    record.totals = Some(totals);
    let group = freeze::group_mut(&mut record, plan.gid)?;
    group.planned += u32::try_from(plan.files.len()).unwrap_or(u32::MAX);
    group.planned_all = plan.last;
    save(book, record, now_ms);
    Ok(done)
}

fn check_plan(record: &Record, group: &Group, plan: &FilesPlanned) -> Result<(), Refusal> {
    if record.state() != State::Dump {
        return Err(Refusal::refused(format!("state: {} plans nothing; dump does", record.state())));
    }
    ensure(plan.from == group.planned, || {
        format!("from: {} files are planned, not {}", group.planned, plan.from)
    })?;
    let (count, most) = (plan.files.len(), limits::FILES_PER_COMMAND_MAX);
    ensure(count <= most, || format!("files: {count} in one command, the limit is {most}; send several"))?;
    let position_ok = |at: &Bytes| at.len() <= limits::POSITION_BYTES_MAX;
    for file in &plan.files {
        ensure(file.shard < record.shards, || format!("files: shard {} does not exist", file.shard))?;
        ensure(position_ok(&file.begin) && position_ok(&file.end), || {
            format!("files: a position is longer than {} bytes", limits::POSITION_BYTES_MAX)
        })?;
    }
    let total = record.totals().files as usize + count;
    if total > limits::FILES_MAX as usize {
        let message = format!(
            "files: {total} are more than the limit of {}; choose a larger file_bytes",
            limits::FILES_MAX
        );
        return Err(Refusal::new(Why::TooMany, message));
    }
    Ok(())
}

fn cut_file(folder: &str, gid: u64, index: u32, planned: &Planned) -> File {
    File {
        index,
        gid,
        shard: planned.shard,
        piece: planned.piece,
        begin: planned.begin.clone(),
        end: planned.end.clone(),
        planned_bytes: planned.bytes,
        key: File::key_of(folder, gid, planned.shard, planned.piece),
        ..File::default()
    }
}

/// A file is made. Whoever makes it again, on any replica, must get the very same.
pub(super) fn dumped(
    book: &mut impl Book,
    command: &Command,
    made: &FileDumped,
    now_ms: u64,
) -> Result<Done, Stop> {
    let mut record = find(book, command.id)?;
    let mut file = file_of(book, &record, command.epoch, made.file)?;
    if !matches!(record.state(), State::Dump | State::Upload) {
        return Err(
            Refusal::refused(format!("state: {} dumps nothing; dump and upload do", record.state())).into()
        );
    }
    let dumped =
        made.dumped.clone().ok_or_else(|| Refusal::invalid("dumped: missing; say what the file holds"))?;
    ensure(
        matches!(dumped.md5.len(), 0 | 16) && dumped.blake3.len() == 32 && dumped.row_checksum.len() <= 64,
        || "dumped: md5 has 16 bytes or none, blake3 32, row_checksum at most 64".to_owned(),
    )?;
    match &file.dumped {
        Some(before) if *before != dumped => {
            let message = format!(
                "file {} came out otherwise than before: the replicas of group {} differ",
                file.index, file.gid
            );
            return Err(Refusal::refused(message).into());
        }
        Some(_) => {}
        None => count_dumped(&mut record, &file, &dumped)?,
    }
    file.dumped = Some(dumped);
    file.stage = file.stage.max(Stage::Dumped.into());
    file.made_under = u32::try_from(command.epoch).unwrap_or(0);
    put_file(book, record, file, now_ms)
}

fn count_dumped(record: &mut Record, file: &File, dumped: &Dumped) -> Result<(), Refusal> {
    freeze::group_mut(record, file.gid)?.dumped += 1;
    let totals = record.totals.get_or_insert_with(Totals::default);
    totals.files_dumped += 1;
    totals.bytes_dumped = totals.bytes_dumped.saturating_add(file.planned_bytes);
    totals.bytes_files = totals.bytes_files.saturating_add(dumped.length);
    totals.rows = totals.rows.saturating_add(dumped.rows);
    Ok(())
}

/// A file that the node under this assignment may speak of.
pub(super) fn file_of(book: &impl Book, record: &Record, assignment: u64, index: u32) -> Result<File, Stop> {
    check_alive(record)?;
    let missing =
        || Refusal::new(Why::NotFound, format!("file: migration {} has no file {index}", record.id));
    let file = book.file(record.id, index)?.ok_or_else(missing)?;
    check_assigned(record, file.gid, assignment)?;
    Ok(file)
}

/// Writes a file, if it changed, and its record.
pub(super) fn put_file(
    book: &mut impl Book,
    mut record: Record,
    file: File,
    now_ms: u64,
) -> Result<Done, Stop> {
    let done = Done { id: record.id, ..Done::default() };
    if book.file(record.id, file.index)?.as_ref() == Some(&file) {
        return Ok(done);
    }
    book.put_file(record.id, file);
    // A watcher of the record must see that a file changed, also where no sum did.
    record.revision += 1;
    save(book, record, now_ms);
    Ok(done)
}
