//! Whole dumps at a target: what verification finds, what comes back, and what gc takes away. Against the S3 in memory.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::fake::Fake;
use common::proxy::Fault;
use common::{MODES, Mode, open, record};
use flotilla_backup::{BackupError, Limits, Piece, Quiet, Target, UploadJob, Uploader, VerifyEvents};
use flotilla_cloud_migration::dump::{
    Codec, DumpWriter, FORMAT, FileHeader, MANIFEST_NAME, Manifest, ManifestFile, Position, RowKind, RowRef,
    ShardFacts, Sums,
};
use tokio_util::sync::CancellationToken;

const SHARDS: u32 = 3;

fn key(shard: u32) -> String {
    format!("m1-a1/g1/s{shard:05}-0000.kvd")
}

/// A dump file of a shard, and what the manifest says of it.
fn file(shard: u32) -> (Vec<u8>, ManifestFile) {
    file_of(shard, 1)
}

fn file_of(shard: u32, migration: u64) -> (Vec<u8>, ManifestFile) {
    let header = FileHeader {
        format: FORMAT,
        cluster: "c1".to_owned(),
        migration,
        gid: 1,
        shard,
        shards: SHARDS,
        config: 4,
        start: Position::START,
        end: None,
        codec: Codec::Zstd,
        block_bytes: 20_000,
        facts: ShardFacts::default(),
    };
    let mut writer = DumpWriter::new(Vec::new(), key(shard), header).unwrap();
    for number in 0..3_000_u32 {
        let (name, value) = (format!("shard {shard} key {number:06}"), common::bytes(60));
        let row = RowRef {
            kind: RowKind::Data,
            key: name.as_bytes(),
            version: number.into(),
            expires_at_ms: 0,
            value: &value,
        };
        writer.push(row).unwrap();
    }
    let (bytes, summary) = writer.finish().unwrap();
    let listed = ManifestFile {
        key: key(shard),
        gid: 1,
        shard,
        start: Position::START,
        end: None,
        length: summary.length,
        blake3: summary.blake3,
        etag: String::new(),
        raw_bytes: summary.raw_bytes,
        sums: summary.sums,
    };
    (bytes, listed)
}

/// Sends a whole dump.
async fn dump(target: &Target) -> Manifest {
    let dir = tempfile::tempdir().unwrap();
    let uploader = Uploader::new(target.clone(), Limits::default());
    let mut files = Vec::new();
    for shard in 0..SHARDS {
        let (bytes, mut listed) = file(shard);
        let path = dir.path().join(shard.to_string());
        std::fs::write(&path, &bytes).unwrap();
        let job =
            UploadJob { key: key(shard), path, length: listed.length, blake3: listed.blake3, resume: None };
        listed.etag = uploader.upload(&job, record(), &CancellationToken::new()).await.unwrap().etag;
        files.push(listed);
    }
    let mut sums = Sums::default();
    files.iter().for_each(|file| sums.add(&file.sums));
    let manifest = Manifest {
        format: FORMAT,
        cluster: "c1".to_owned(),
        migration: 1,
        attempt: 1,
        shards: SHARDS,
        config: 4,
        frozen_at_ms: 1_000,
        bytes: files.iter().map(|file| file.length).sum(),
        raw_bytes: files.iter().map(|file| file.raw_bytes).sum(),
        sums,
        files,
    };
    target.put_plan("m1-a1", b"{}").await.unwrap();
    target.put_manifest(&manifest.to_json()).await.unwrap();
    target.acknowledge().await.unwrap();
    manifest
}

/// Changes an object behind everybody's back; the ETag stays what it was, as when a disk rots.
fn rot(fake: &Fake, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut store = fake.store.lock();
    let found = store.objects.iter_mut().find(|(name, _)| name.ends_with(key)).expect("the object is there");
    change(&mut found.1.0);
}

#[derive(Default)]
struct Heard(AtomicU64);

impl VerifyEvents for Heard {
    fn read(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_dump_is_whole_and_comes_back() {
    for mode in MODES {
        let fake = common::fake::start().await;
        let target = open(mode, &fake.endpoint).await;
        assert_eq!(target.verify(false, &Quiet).await.unwrap_err().code(), "object_missing", "{mode:?}");
        target.check_writable().await.unwrap();
        let manifest = dump(&target).await;
        let heard = Heard::default();
        for deep in [false, true] {
            let verified = target.verify(deep, &heard).await.unwrap();
            assert!(verified.wrong.is_empty(), "{mode:?}: {:?}", verified.wrong);
            assert_eq!(verified.manifest, manifest);
            assert_eq!(verified.sums, deep.then_some(manifest.sums));
        }
        assert_eq!(heard.0.load(Ordering::SeqCst), manifest.sums.data.bytes, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_the_file_is_named() {
    type Change = fn(&mut Vec<u8>);
    let flip: Change = |bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1
    };
    let cut: Change = |bytes| bytes.truncate(bytes.len() - 1);
    let swap: Change = |bytes| *bytes = file(0).0;
    // What happened, whether lengths and ETags betray it.
    for (what, change, shallow) in
        [("flipped", flip, false), ("cut", cut, true), ("another file", swap, true)]
    {
        let fake = common::fake::start().await;
        let target = open(Mode::Bucket, &fake.endpoint).await;
        dump(&target).await;
        rot(&fake, &key(1), change);
        if what == "another file" {
            rot(&fake, &key(1), |bytes| bytes.extend_from_slice(b"longer"));
        }
        let found = target.verify(false, &Quiet).await.unwrap().wrong;
        assert_eq!(found.len(), usize::from(shallow), "{what}: {found:?}");
        let found = target.verify(true, &Quiet).await.unwrap().wrong;
        let [(wrong, error)] = &found[..] else { panic!("{what}: {found:?}") };
        assert_eq!(*wrong, key(1));
        assert_eq!((error.code(), error.is_retryable()), ("dump_damaged", false), "{what}: {error}");
        assert!(error.to_string().contains(&key(1)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_or_another_ones_copy_is_named() {
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    let manifest = dump(&target).await;
    fake.store.lock().objects.retain(|name, _| !name.ends_with(&key(2)));
    // Shard 0's file in the place of shard 1's, with an ETag and a length that fit.
    let other = file(0).0;
    let length = manifest.files[1].length as usize;
    rot(&fake, &key(1), |bytes| {
        *bytes = other;
        bytes.resize(length, 0)
    });
    let found = target.verify(true, &Quiet).await.unwrap().wrong;
    let named: Vec<&str> = found.iter().map(|(key, _)| &key[..]).collect();
    assert_eq!(named, [key(1), key(2)], "{found:?}");
}

/// Files that are whole, and not the ones that the manifest names.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_file_in_the_wrong_place_is_found() {
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    let manifest = dump(&target).await;
    // Another file of the same shard and length: only the digest tells. (A number in its header differs.)
    let other = file_of(1, 2).0;
    assert_eq!(other.len() as u64, manifest.files[1].length);
    rot(&fake, &key(1), |bytes| *bytes = other);
    // Shard 0's file, and a manifest that says so: only the header tells.
    let copy = manifest.files[0].clone();
    let mut files = manifest.files.clone();
    files[2] = ManifestFile { key: key(2), shard: 2, ..copy };
    let mut sums = Sums::default();
    files.iter().for_each(|file| sums.add(&file.sums));
    let bytes = files.iter().map(|file| file.length).sum();
    let forged = Manifest { files, sums, bytes, ..manifest }.to_json();
    rot(&fake, &key(2), |bytes| *bytes = file(0).0);
    rot(&fake, MANIFEST_NAME, |bytes| *bytes = forged);
    let found = target.verify(true, &Quiet).await.unwrap().wrong;
    let [(first, digest), (second, header)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first, second), (&key(1), &key(2)));
    assert!(
        digest.to_string().contains("digest") && header.to_string().contains("header"),
        "{digest}; {header}"
    );
    assert_eq!((digest.code(), header.code()), ("dump_damaged", "dump_damaged"));
}

/// A copy made by other tools has other ETags, and is as good as its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_other_etags_passes_the_deep_look() {
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    dump(&target).await;
    let copied =
        fake.store.lock().objects.iter_mut().find(|(name, _)| name.ends_with(&key(1))).map(|(_, object)| {
            object.1 = "\"0123-2\"".to_owned();
        });
    assert!(copied.is_some());
    assert_eq!(target.verify(false, &Quiet).await.unwrap().wrong.len(), 1);
    assert_eq!(target.verify(true, &Quiet).await.unwrap().wrong.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_newer_damaged_or_forged_is_refused() {
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    let manifest = dump(&target).await;
    let json = String::from_utf8(manifest.to_json()).unwrap();
    let forged = Manifest { files: manifest.files[1..].to_vec(), ..manifest.clone() };
    let mut outside = manifest.clone();
    outside.files[0].key = "../other".to_owned();
    let cases = [
        (json.replacen("\"format\":1", "\"format\":9,\"new\":[]", 1), "dump_newer"),
        (json[..json.len() - 9].to_owned(), "manifest_damaged"),
        (String::from_utf8(forged.to_json()).unwrap(), "manifest_damaged"),
        (String::from_utf8(outside.to_json()).unwrap(), "manifest_damaged"),
    ];
    for (text, code) in cases {
        rot(&fake, MANIFEST_NAME, |bytes| *bytes = text.clone().into_bytes());
        let error = target.verify(true, &Quiet).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (code, false), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    for mode in MODES {
        let fake = common::fake::start().await;
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let target = open(mode, &proxy.endpoint).await;
        let manifest = dump(&target).await;
        // Twice for each file: half of what was asked for, then a broken connection.
        let hits = std::sync::Mutex::new(std::collections::BTreeMap::<String, u32>::new());
        proxy.plan(move |seen| {
            let is_file = seen.method == "GET" && seen.path.ends_with(".kvd");
            let mut hits = hits.lock().unwrap();
            let count = hits.entry(seen.path.clone()).or_default();
            *count += u32::from(is_file);
            if is_file && *count <= 2 { Fault::ShortReply } else { Fault::Pass }
        });
        let verified = target.verify(true, &Quiet).await.unwrap();
        assert!(
            verified.wrong.is_empty() && proxy.fired() == 6,
            "{mode:?}: {} {:?}",
            proxy.fired(),
            verified.wrong
        );
        let mut incoming = target.read_file(&manifest.files[0]);
        let mut sums = Sums::default();
        let mut ended = false;
        while let Some(piece) = incoming.next().await.unwrap() {
            match piece {
                Piece::Header(header) => assert_eq!((header.shard, header.cluster), (0, "c1".to_owned())),
                Piece::Rows(block) => block.rows.iter().for_each(|row| sums.add_row(row.as_ref())),
                Piece::End(_) => ended = true,
            }
        }
        assert!(ended && sums == manifest.files[0].sums, "{mode:?}");
        proxy.plan(
            |seen| if seen.path.ends_with(".kvd") { Fault::Status(503, "SlowDown") } else { Fault::Pass },
        );
        let mut incoming = target.read_file(&manifest.files[0]);
        let error = incoming.next().await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("target_busy", true), "{mode:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_told_before_anything_is_written() {
    let fake = common::fake::start().await;
    let location = flotilla_backup::Location {
        url: "s3://mistyped/p".to_owned(),
        ..flotilla_backup::Location::default()
    };
    let target = Target::with(&location, &common::credentials(&fake.endpoint), common::impatient()).unwrap();
    let error = target.check_writable().await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("target_no_bucket", false), "{error}");
    assert!(fake.store.lock().log.iter().all(|line| !line.starts_with("PUT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_found_and_nothing_else_is_taken() {
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    let small = |key: &'static str| {
        let target = target.clone();
        async move { target.put(key, "x".into(), false).await.map(drop) }
    };
    for key in
        ["m1-a0/g1/s00000-0000.kvd", "m1-a1/g1/left.kvd", "m9-a1/plan.json", "notes.txt", "holiday/m1-a1.jpg"]
    {
        small(key).await.unwrap();
    }
    dump(&target).await;
    target.create_upload("m1-a0/g1/s00001-0000.kvd", 3).await.unwrap();
    target.create_upload("m9-a1/g1/s00001-0000.kvd", 3).await.unwrap();
    let active = BTreeSet::from(["m9-a1".to_owned()]);
    let orphans = target.orphans(&active).await.unwrap();
    let found: Vec<&str> = orphans.objects.iter().map(|object| &object.key[..]).collect();
    assert_eq!(found, ["m1-a0/g1/s00000-0000.kvd", "m1-a1/g1/left.kvd"]);
    assert_eq!(
        orphans.uploads.iter().map(|upload| &upload.key[..]).collect::<Vec<_>>(),
        ["m1-a0/g1/s00001-0000.kvd"]
    );
    target.sweep(&orphans).await.unwrap();
    assert_eq!(target.orphans(&active).await.unwrap(), flotilla_backup::Orphans::default());
    assert!(target.verify(true, &Quiet).await.unwrap().wrong.is_empty());
    assert_eq!(fake.store.lock().uploads.len(), 1, "the active migration's upload is left alone");
    rot(&fake, MANIFEST_NAME, |bytes| bytes.truncate(10));
    assert!(
        matches!(target.orphans(&active).await, Err(BackupError::Manifest(_))),
        "what protects cannot be read"
    );
}

/// Whoever spawns needs futures that may change threads.
#[tokio::test]
async fn futures_are_send() {
    fn is_send<T: Send>(_: T) {}
    let fake = common::fake::start().await;
    let target = open(Mode::Bucket, &fake.endpoint).await;
    let uploader = Uploader::new(target.clone(), Limits::default());
    let (bytes, listed) = file(0);
    let job = common::job(tempfile::tempdir().unwrap().path(), "x", &bytes);
    let (active, orphans, cancel) =
        (BTreeSet::new(), flotilla_backup::Orphans::default(), CancellationToken::new());
    is_send(uploader.upload(&job, record(), &cancel));
    is_send(target.verify(true, &Quiet));
    is_send(target.orphans(&active));
    is_send(target.sweep(&orphans));
    is_send(target.abort_uploads("x"));
    is_send(target.delete_objects("x"));
    is_send(target.check_writable());
    is_send(target.put_manifest(b""));
    is_send(target.register());
    is_send(target.acknowledge());
    is_send(target.read_file(&listed));
    tokio::time::sleep(Duration::from_millis(1)).await;
}
