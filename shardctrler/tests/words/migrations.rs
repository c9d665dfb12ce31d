//! Cloud migrations in stories: the words for their commands, and how records are shown.

use std::error::Error;
use std::str::FromStr;

use flotilla_cloud_migration::command::{
    Assign, CompensationDone, Create, Empty, FileDone, FileDumped, FilesPlanned, Frozen, GroupFailed, Kind,
    Note, OfGroup, OfNode, PartsDone, Planned, Registered, SetProgress, UploadCreated,
};
use flotilla_cloud_migration::{
    Ack, Command, Dumped, Failure, File, FreezeUntil, Options, Part, Record, State, Target, Undo, view,
};
use goldenscript::ArgumentConsumer;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The command that a line of a story means; none if it is about something else. `ID EPOCH` come first, where there is an id.
pub fn command(name: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<Option<Command>> {
    let kind = match name {
        "create" => return Ok(Some(Command { id: 0, epoch: 0, kind: Some(Kind::Create(create(args)?)) })),
        "cancel" | "retry" | "forget" => {
            let id = next(args)?;
            let kind = match name {
                "cancel" => Kind::Cancel(Empty {}),
                "retry" => Kind::Retry(Empty {}),
                _ => Kind::Forget(Empty {}),
            };
            return Ok(Some(Command { id, epoch: 0, kind: Some(kind) }));
        }
        "claim" | "renew" | "release" | "go" | "pin" | "frozen" | "proven" | "fail" | "assign" | "plan"
        | "dumped" | "upload" | "parts" | "stored" | "undone" | "registered" | "note" | "lost" => name,
        _ => return Ok(None),
    };
    let (id, epoch) = (next(args)?, next(args)?);
    Ok(Some(Command { id, epoch, kind: Some(of_record(kind, args)?) }))
}

fn of_record(name: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<Kind> {
    Ok(match name {
        "claim" => Kind::Claim(OfNode { node: next(args)? }),
        "renew" => Kind::Renew(Empty {}),
        "release" => Kind::Release(Empty {}),
        "go" => {
            let state: State = next(args)?;
            Kind::SetProgress(SetProgress {
                state: state.into(),
                progress: key(args, "progress", 0)?,
                detail: String::new(),
            })
        }
        "pin" => Kind::Pin(Empty {}),
        "frozen" => {
            let (gid, freeze, index) = (next(args)?, next(args)?, next(args)?);
            Kind::Frozen(Frozen { gid, freeze, ack: Some(Ack { index, term: 1, counters: index }) })
        }
        "proven" => Kind::Proven(OfGroup { gid: next(args)? }),
        "fail" => Kind::Fail(failure(args)?),
        "lost" => {
            let gid = next(args)?;
            Kind::GroupFailed(GroupFailed { gid, failure: Some(failure(args)?) })
        }
        "assign" => Kind::Assign(Assign { gid: next(args)?, node: next(args)?, after: next(args)? }),
        "undone" => {
            let undo = match next::<String>(args)?.as_str() {
                "thaw" => Undo::Thaw,
                "local" => Undo::Local,
                "store" => Undo::Store,
                other => return Err(format!("undone what? {other}").into()),
            };
            Kind::CompensationDone(CompensationDone { undo: undo.into(), of: next(args)? })
        }
        "registered" => Kind::Registered(Registered { external_id: next(args)? }),
        "note" => Kind::Note(Note { what: next(args)? }),
        name => of_files(name, args)?,
    })
}

fn of_files(name: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<Kind> {
    Ok(match name {
        "plan" => plan(args)?,
        "dumped" => {
            let (file, length) = (next(args)?, next(args)?);
            let digest: u8 = key(args, "digest", 1)?;
            let dumped = Dumped {
                length,
                rows: 10,
                raw_bytes: length,
                blake3: vec![digest; 32].into(),
                row_checksum: vec![digest; 64].into(),
                ..Dumped::default()
            };
            Kind::FileDumped(FileDumped { file, dumped: Some(dumped) })
        }
        "upload" => {
            let (file, upload, part_bytes) = (next(args)?, next(args)?, next(args)?);
            let replaces = key(args, "replaces", String::new())?;
            Kind::UploadCreated(UploadCreated { file, replaces, upload, part_bytes })
        }
        "parts" => {
            let (file, upload) = (next(args)?, next(args)?);
            let mut parts = Vec::new();
            while let Some(number) = args.next_pos() {
                parts.push(Part { number: number.parse()?, etag: format!("e{number}") });
            }
            Kind::PartsDone(PartsDone { file, upload, parts })
        }
        "stored" => Kind::FileDone(FileDone { file: next(args)?, etag: "whole".to_owned() }),
        other => return Err(format!("unknown command {other}").into()),
    })
}

fn create(args: &mut ArgumentConsumer<'_>) -> Outcome<Create> {
    let until: String = key(args, "until", "dumped".to_owned())?;
    let until = FreezeUntil::from_name(&until).ok_or("until when?")?;
    let part_bytes = key(args, "part_bytes", 0)?;
    let options = Options { freeze_until: until.into(), part_bytes, ..Options::default() };
    let target = Target { url: next(args)?, credentials_file: String::new() };
    Ok(Create { target: Some(target), options: Some(options) })
}

fn failure(args: &mut ArgumentConsumer<'_>) -> Outcome<Failure> {
    Ok(Failure { code: next(args)?, message: "told so".to_owned(), retryable: true, ..Failure::default() })
}

/// `GID FROM SHARD-BYTES ... [more]`
fn plan(args: &mut ArgumentConsumer<'_>) -> Outcome<Kind> {
    let (gid, from) = (next(args)?, next(args)?);
    let (mut files, mut last) = (Vec::new(), true);
    while let Some(word) = args.next_pos() {
        match word.split_once('-') {
            Some((shard, bytes)) => {
                files.push(Planned { shard: shard.parse()?, bytes: bytes.parse()?, ..Planned::default() });
            }
            None => last = word != "more",
        }
    }
    Ok(Kind::FilesPlanned(FilesPlanned { gid, from, files, last }))
}

fn next<T: FromStr<Err: Error + 'static>>(args: &mut ArgumentConsumer<'_>) -> Outcome<T> {
    Ok(args.next_pos().ok_or("an argument is missing")?.parse()?)
}

fn key<T: FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer<'_>,
    name: &str,
    default: T,
) -> Outcome<T> {
    Ok(args.take_key(name).map(str::parse).transpose()?.unwrap_or(default))
}

/// A record in a line or two.
pub fn show(record: &Record) -> String {
    let totals = record.totals();
    let mut words = vec![format!("m{} {} {}%", record.id, record.state(), record.progress)];
    words.extend((record.attempt > 1).then(|| format!("attempt {} of m{}", record.attempt, record.retry_of)));
    words.extend(record.owner.map(|owner| {
        format!("n{} epoch {}{}", owner.node, owner.epoch, if owner.leased { "" } else { " let go" })
    }));
    words.extend(record.pauses.then(|| "pauses".to_owned()));
    words.extend(record.freeze.map(|freeze| format!("freeze {} at config {}", freeze.id, freeze.config)));
    let groups = record.groups.iter().map(|group| {
        let word = |yes: bool, word: &str| if yes { format!(" {word}") } else { String::new() };
        let (frozen, proven) = (word(group.is_frozen(), "frozen"), word(group.proven, "proven"));
        let node = word(group.node > 0, &format!("n{}#{}", group.node, group.assignment));
        format!("g{}{frozen}{proven}{node} {}/{}/{}", group.gid, group.done, group.dumped, group.planned)
    });
    words.extend(groups);
    if totals.files > 0 {
        let sums = (totals.bytes_uploaded, totals.bytes_files, totals.bytes_dumped, totals.bytes_planned);
        words.push(format!("sent {}/{}, dumped {}/{}", sums.0, sums.1, sums.2, sums.3));
    }
    words.extend(record.error.as_ref().map(|error| format!("error {} in {}", error.code, error.phase())));
    words.extend(view::pending(record).into_iter().map(|owed| format!("owes: {owed}")));
    words.join("; ")
}

/// A file in a line.
pub fn show_file(file: &File) -> String {
    let upload = file.upload.as_ref().map(|u| format!(" upload {} {}/{}", u.id, u.parts_done, u.parts));
    format!("f{} {} {:?}{}", file.index, file.key, file.stage(), upload.unwrap_or_default())
}
