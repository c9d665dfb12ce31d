//! The same against a real S3 server: SeaweedFS checks signatures, ETags, sizes and orders. Skipped, with a word, where it
//! cannot be had.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::time::{Duration, Instant};

use common::proxy::Fault;
use common::seaweed::Seaweed;
use common::{BUCKET, MIB, MODES, Mode, bytes, credentials, impatient, job, open, open_with, record, send};
use flotilla_backup::{Limits, Location, Patience, Retries, Target, Uploader};
use tokio_util::sync::CancellationToken;

fn in_parts(parallel_parts: usize) -> Limits {
    Limits {
        multipart_bytes: 5 * MIB as u64,
        part_bytes: 5 * MIB as u64,
        parallel_parts,
        ..Limits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_whole_whatever_is_in_the_way() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let hits = std::sync::atomic::AtomicUsize::new(0);
        let proxy = common::proxy::start(&server.endpoint(), |_| Fault::Pass).await;
        let target = open(mode, &proxy.endpoint).await;
        target.check_writable().await.unwrap();
        // Every third part meets something else.
        proxy.plan(move |seen| {
            if seen.is_complete() && hits.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return Fault::LoseReply;
            }
            match seen.part() {
                Some(_) if seen.nth % 3 == 0 => match seen.nth / 3 % 4 {
                    0 => Fault::Status(503, "SlowDown"),
                    1 => Fault::Reset(MIB),
                    2 => Fault::FlipByte,
                    _ => Fault::LoseReply,
                },
                _ => Fault::Pass,
            }
        });
        let uploader = Uploader::new(target, in_parts(4));
        let heard = record();
        let done =
            send(&uploader, &job(dir.path(), "m1-a1/g1/large.kvd", &bytes(62 * MIB + 1)), &heard).await;
        assert!(done.etag.contains("-13"), "{mode:?} {}", done.etag);
        assert!(proxy.fired() >= 4, "{mode:?}: only {} faults", proxy.fired());
        send(&uploader, &job(dir.path(), "m1-a1/g1/small.kvd", &bytes(MIB)), &record()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_killed_and_comes_back_in_mid_upload() {
    let Some(mut server) = Seaweed::start(BUCKET) else { return };
    let dir = tempfile::tempdir().unwrap();
    for mode in MODES {
        let proxy = common::proxy::start(&server.endpoint(), |_| Fault::Pass).await;
        // After a kill this store takes 13 to 25 s to take writes again; the retries must outlast that.
        let retries =
            Retries { most: 30, first: Duration::from_millis(300), longest: Duration::from_secs(3) };
        let patience = Patience { idle: Duration::from_secs(20), retries };
        let uploader = Uploader::new(open_with(mode, &proxy.endpoint, patience).await, in_parts(2));
        proxy.plan(
            |seen| if seen.part().is_some() { Fault::Delay(Duration::from_millis(60)) } else { Fault::Pass },
        );
        let job = job(dir.path(), &format!("m1-a1/{mode:?}.kvd"), &bytes(62 * MIB));
        let record = record();
        let cancel = CancellationToken::new();
        let sending = tokio::spawn({
            let (uploader, job, record) = (uploader.clone(), job.clone(), record.clone());
            async move { uploader.upload(&job, record, &cancel).await }
        });
        while record.order.lock().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let killed = Instant::now();
        server.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.restart(BUCKET);
        eprintln!("{mode:?}: the store takes writes again {:?} after the kill", killed.elapsed());
        let done = sending.await.unwrap().unwrap();
        eprintln!(
            "{mode:?}: all is there {:?} after the kill, {} retries",
            killed.elapsed(),
            record.retries.lock().len()
        );
        assert!(!record.retries.lock().is_empty(), "{mode:?}: nobody noticed the kill");
        let stored = uploader.target().get(&job.key).await.unwrap();
        assert!(stored[..] == bytes(62 * MIB)[..] && done.length == job.length, "{mode:?}");
        let resent = proxy.part_bytes() - job.length;
        // What was under way may have to go again, each part once for every time that the store was not there.
        eprintln!("{mode:?}: {resent} bytes of parts met the dead store or were sent again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_where_the_first_one_died() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    for mode in MODES {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&server.endpoint(), |_| Fault::Pass).await;
        let target = open(mode, &proxy.endpoint).await;
        proxy.plan(|seen| if seen.part().is_some_and(|part| part > 6) { Fault::Hang } else { Fault::Pass });
        let content = bytes(62 * MIB);
        let first = job(here.path(), "m1-a1/f.kvd", &content);
        let heard = record();
        let sending = tokio::spawn({
            let (uploader, first, heard) =
                (Uploader::new(target.clone(), in_parts(2)), first.clone(), heard.clone());
            async move { uploader.upload(&first, heard, &CancellationToken::new()).await }
        });
        while heard.order.lock().len() < 6 || proxy.fired() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sending.abort();
        assert!(sending.await.unwrap_err().is_cancelled());
        proxy.plan(|_| Fault::Pass);
        proxy.forget();
        let mut second = job(there.path(), "m1-a1/f.kvd", &content);
        second.resume = Some(heard.resume());
        let done = send(&Uploader::new(target, in_parts(4)), &second, &record()).await;
        assert_eq!(done.kept_bytes, 6 * 5 * MIB as u64, "{mode:?}");
        assert_eq!(
            proxy.part_bytes(),
            second.length - done.kept_bytes,
            "{mode:?}: more was sent than was missing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_leaves_nothing_at_the_store() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let proxy = common::proxy::start(&server.endpoint(), |_| Fault::Pass).await;
        let target = open(mode, &proxy.endpoint).await;
        proxy.plan(|seen| if seen.part().is_some_and(|part| part > 2) { Fault::Hang } else { Fault::Pass });
        let uploader = Uploader::new(target.clone(), in_parts(4));
        send(&uploader, &job(dir.path(), "m1-a1/done.kvd", &bytes(MIB)), &record()).await;
        let cancel = CancellationToken::new();
        let unfinished = job(dir.path(), "m1-a1/f.kvd", &bytes(40 * MIB));
        let stopping = async {
            while proxy.fired() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
            Instant::now()
        };
        let (ended, cancelled) = futures::join!(uploader.upload(&unfinished, record(), &cancel), stopping);
        assert_eq!(ended.unwrap_err().code(), "cancelled");
        assert!(cancelled.elapsed() < Duration::from_secs(1), "{mode:?}: {:?}", cancelled.elapsed());
        proxy.plan(|_| Fault::Pass);
        assert_eq!(target.uploads("").await.unwrap().len(), 1, "{mode:?}");
        assert_eq!(target.abort_uploads("m1-a1").await.unwrap(), 1, "{mode:?}");
        assert_eq!(target.uploads("").await.unwrap(), [], "{mode:?}");
        assert_eq!(target.delete_objects("m1-a1").await.unwrap(), 1, "{mode:?}");
        let left = target.objects("").await.unwrap();
        assert!(left.iter().all(|object| object.key == "MIGRATION.json"), "{mode:?}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_targets_are_told_apart() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    let open = |bucket: &str, credentials: &flotilla_backup::Credentials| {
        let location = Location { url: format!("s3://{bucket}/p"), ..Location::default() };
        Target::with(&location, credentials, impatient()).unwrap()
    };
    let good = credentials(&server.endpoint());
    let wrong = good.clone().with("AWS_SECRET_ACCESS_KEY", "hush-hush");
    let stranger = good.clone().with("AWS_ACCESS_KEY_ID", "stranger");
    let nowhere = good.clone().with("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let cases = [
        (open("bucket", &wrong), "target_denied", false),
        (open("bucket", &stranger), "target_denied", false),
        (open("missing-bucket", &good), "target_no_bucket", false),
        (open("bucket", &nowhere), "target_unreachable", true),
    ];
    for (target, code, retryable) in cases {
        let error = target.check_writable().await.expect_err(code);
        assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{error}");
        let shown = format!("{error} {error:?} {target:?}");
        let secret = ["hush", common::seaweed::SECRET_KEY, "X-Amz", "Signature="];
        assert!(secret.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_written_once() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    for mode in MODES {
        let target = open(mode, &server.endpoint()).await;
        target.put_plan("m1-a1", b"{}").await.unwrap();
        assert!(!target.has_manifest().await.unwrap());
        target.put_manifest(b"{\"one\":1}").await.unwrap();
        target.put_manifest(b"{\"one\":1}").await.unwrap();
        let error = target.put_manifest(b"{\"two\":2}").await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("target_exists", false), "{mode:?}: {error}");
        assert_eq!(target.check_writable().await.unwrap_err().code(), "target_exists", "{mode:?}");
        // Without the look before it, too.
        let error = target.put("MANIFEST.json", "{}".into(), true).await.unwrap_err();
        assert_eq!(error.code(), "target_exists", "{mode:?}: {error}");
        target.acknowledge().await.unwrap();
        target.acknowledge().await.unwrap();
        if mode == Mode::Store {
            let sealed = target.put("m1-a1/more.kvd", "x".into(), false).await.unwrap_err();
            assert!(sealed.to_string().contains("sealed"), "{sealed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_gives_out_urls_that_expire_and_only_to_whom_it_may() {
    let Some(server) = Seaweed::start(BUCKET) else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = common::migration_store(&server.endpoint(), Duration::from_secs(1), Some("open sesame")).await;
    let mut location = Location { url: url.clone(), ..Location::default() };
    let with = |token: &str, location: &Location| {
        let credentials = flotilla_backup::Credentials::default().with(flotilla_backup::STORE_TOKEN, token);
        Target::with(location, &credentials, impatient()).unwrap()
    };
    let error = with("wrong", &location).register().await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("target_denied", false), "{error}");
    location.external_id = with("open sesame", &location).register().await.unwrap();
    let target = with("open sesame", &location);
    // At 8 MB/s each part's URL but the first ones expires while it waits; those refused are asked for again.
    let limits = Limits { bytes_per_second: 8 << 20, ..in_parts(1) };
    let heard = record();
    send(&Uploader::new(target, limits), &job(dir.path(), "m1-a1/f.kvd", &bytes(25 * MIB)), &heard).await;
    assert!(heard.retries.lock().contains(&flotilla_backup::Class::Denied), "no URL expired");
    let other = Location { external_id: Some("0".repeat(32)), ..location };
    let error = with("open sesame", &other).has_manifest().await.unwrap_or(false);
    assert!(!error);
    assert!(with("open sesame", &other).put("x", "x".into(), false).await.is_err());
}
