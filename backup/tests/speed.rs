//! How fast it is. Not judged by itself: `cargo test --release -p flotilla-backup --test speed -- --ignored --nocapture
//! --test-threads 1` prints figures, of this machine under whatever else it does.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::time::{Duration, Instant};

use common::seaweed::Seaweed;
use common::{BUCKET, MIB, bucket, bytes, record};
use flotilla_backup::{Limits, Patience, Target, UploadJob, Uploader};
use flotilla_cloud_migration::dump::{
    Codec, Digest, DumpReader, DumpWriter, FORMAT, FileHeader, Position, RowKind, RowRef, ShardFacts,
};
use tokio_util::sync::CancellationToken;

const RAW_BYTES: u64 = 512 << 20;

/// Seconds that this thread has been on a core: what others do on the machine does not count.
fn on_core() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The most memory that this process has had.
fn memory_peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn header(codec: Codec) -> FileHeader {
    FileHeader {
        format: FORMAT,
        cluster: "c".repeat(32),
        migration: 1,
        gid: 1,
        shard: 0,
        shards: 64,
        config: 1,
        start: Position::START,
        end: None,
        codec,
        block_bytes: FileHeader::BLOCK_BYTES,
        facts: ShardFacts::default(),
    }
}

/// Values of 256 bytes that shrink to about half, as JSON or protocol messages would.
fn value(number: u64, random: &[u8]) -> Vec<u8> {
    let at = number.wrapping_mul(7_919) as usize % (random.len() - 128);
    let mut value =
        format!("{{\"user\":{number:012},\"name\":\"somebody with a name\",\"note\":\"").into_bytes();
    value.extend(random[at..at + 100].iter().map(|byte| b' ' + byte % 90));
    value.resize(256, b'.');
    value
}

fn write(codec: Codec) -> (Vec<u8>, u64, f64) {
    let random = bytes(MIB);
    let values: Vec<Vec<u8>> = (0..50_000).map(|number| value(number, &random)).collect();
    let mut writer = DumpWriter::new(Vec::with_capacity(600 << 20), "speed.kvd", header(codec)).unwrap();
    let began = on_core();
    let mut number = 0_u64;
    while writer.raw_bytes() < RAW_BYTES {
        let key = format!("user/{number:016}");
        let value = &values[number as usize % values.len()];
        let row =
            RowRef { kind: RowKind::Data, key: key.as_bytes(), version: number, expires_at_ms: 0, value };
        writer.push(row).unwrap();
        number += 1;
    }
    let (file, summary) = writer.finish().unwrap();
    (file, summary.raw_bytes, on_core() - began)
}

#[test]
#[ignore = "measures; run it alone, in release"]
fn dump_and_read_per_core() {
    for codec in [Codec::Zstd, Codec::None] {
        let (file, raw, wrote) = write(codec);
        let began = on_core();
        let summary = DumpReader::new(&file[..], "speed.kvd").unwrap().verify().unwrap();
        let read = on_core() - began;
        assert_eq!(summary.raw_bytes, raw);
        let (raw, stored) = (raw as f64 / MIB as f64, file.len() as f64 / MIB as f64);
        eprintln!(
            "{codec:?}: {raw:.0} MiB of rows in {stored:.0} MiB; write {:.0} MiB/s a core, read and verify {:.0} MiB/s a core",
            raw / wrote,
            raw / read
        );
    }
}

/// A plain client: parts from memory to presigned URLs, four at a time, nothing checked.
async fn plain(target: &Target, client: &reqwest::Client, content: &bytes::Bytes, part: usize) -> Duration {
    use futures::{StreamExt, TryStreamExt};
    let began = Instant::now();
    let parts = content.len().div_ceil(part);
    let upload = target.create_upload("plain", parts as u32).await.unwrap();
    let sends = (0..parts).map(|index| {
        let body = content.slice(index * part..content.len().min((index + 1) * part));
        let (client, upload) = (client.clone(), upload.clone());
        async move {
            let url = target.presigned_part("plain", &upload, index as u32 + 1).await.unwrap();
            client.put(url).body(body).send().await?.error_for_status().map(drop)
        }
    });
    futures::stream::iter(sends).buffer_unordered(4).try_collect::<Vec<()>>().await.unwrap();
    let took = began.elapsed();
    target.abort_upload("plain", &upload).await.unwrap();
    took
}

/// The uploader: the same bytes as several files at once, read from the disk, digested, checked and completed.
async fn ours(target: &Target, jobs: &[UploadJob], part: usize) -> Duration {
    let limits = Limits { part_bytes: part as u64, multipart_bytes: part as u64, ..Limits::default() };
    let uploader = Uploader::new(target.clone(), limits);
    let began = Instant::now();
    let cancel = CancellationToken::new();
    let sends = jobs.iter().map(|job| uploader.upload(job, record(), &cancel));
    futures::future::try_join_all(sends).await.unwrap();
    let took = began.elapsed();
    for job in jobs {
        target.delete(&job.key).await.unwrap();
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; run it alone, in release"]
async fn upload_against_a_plain_client() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    let (part, mib) = (16 * MIB, 512);
    let dir = tempfile::tempdir().unwrap();
    let content = bytes::Bytes::from(bytes(mib * MIB));
    let jobs: Vec<UploadJob> = content
        .chunks(64 * MIB)
        .enumerate()
        .map(|(index, content)| {
            let path = dir.path().join(index.to_string());
            std::fs::write(&path, content).unwrap();
            let (length, blake3) = (content.len() as u64, Digest::of(content));
            UploadJob { key: format!("ours-{index}"), path, length, blake3, resume: None }
        })
        .collect();
    let target = bucket(&server.endpoint(), "speed", Patience::default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let before = memory_peak_mib();
    for _ in 0..3 {
        let ours = mib as f64 / ours(&target, &jobs, part).await.as_secs_f64();
        let peak = memory_peak_mib() - before;
        let theirs = mib as f64 / plain(&target, &client, &content, part).await.as_secs_f64();
        let ratio = ours / theirs;
        eprintln!(
            "upload {ours:.0} MiB/s, plain client {theirs:.0} MiB/s, ratio {ratio:.2}; memory peak grew by {peak} MiB"
        );
    }
}
