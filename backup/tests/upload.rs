//! Uploads against a small S3 in memory, through a proxy that hurts: every class of failure, in both modes.

#![allow(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::proxy::Fault;
use common::{MODES, Mode, Record, bytes, impatient, job, limits, open, open_with, record, send};
use flotilla_backup::{Class, Limits, Patience, Uploader};
use tokio_util::sync::CancellationToken;

const PART: usize = 100_000;

#[tokio::test]
async fn a_small_file_goes_in_one_piece_and_only_once() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, Limits::default());
        for content in [&bytes(0)[..], &bytes(1), &bytes(300_000)] {
            let job = job(dir.path(), &format!("m1-a1/g1/{}.kvd", content.len()), content);
            assert_eq!(send(&uploader, &job, &record()).await.kept_bytes, 0);
            let again = record();
            assert_eq!(send(&uploader, &job, &again).await.kept_bytes, job.length, "{mode:?}");
            assert_eq!(again.sent.load(Ordering::SeqCst), 0, "{mode:?}: sent again");
        }
    }
}

#[tokio::test]
async fn parts_may_end_in_any_order() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let delay = |part: u32| Duration::from_millis(20 * u64::from(13_u32.saturating_sub(part)));
        let plan = move |seen: &common::proxy::Seen| {
            seen.part().map_or(Fault::Pass, |part| Fault::Delay(delay(part)))
        };
        let proxy = common::proxy::start(&fake.endpoint, plan).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(PART as u64, 13));
        let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 12 + 7));
        let record = record();
        let done = send(&uploader, &job, &record).await;
        assert!(done.etag.trim_matches('"').ends_with("-13"), "{mode:?}: {}", done.etag);
        let order = record.order.lock().clone();
        assert!(order.len() == 13 && !order.is_sorted(), "{mode:?}: {order:?}");
        assert_eq!(record.most_in_flight.load(Ordering::SeqCst), 13);
        assert_eq!(record.sent.load(Ordering::SeqCst), job.length);
    }
}

#[tokio::test]
async fn more_than_a_thousand_parts_sent_and_resumed() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(300, 8));
        let mut job = job(dir.path(), "m1-a1/f.kvd", &bytes(300 * 1_204 + 1));
        // The store dies at part 1100; everything before is kept.
        proxy.plan(|seen| {
            if seen.part().is_some_and(|part| part > 1_100) {
                Fault::Status(500, "InternalError")
            } else {
                Fault::Pass
            }
        });
        let record = record();
        uploader.upload(&job, record.clone(), &CancellationToken::new()).await.unwrap_err();
        proxy.plan(|_| Fault::Pass);
        proxy.forget();
        job.resume = Some(record.resume());
        let done = send(&uploader, &job, &record).await;
        assert!(done.etag.contains("-1205"), "{mode:?}: {}", done.etag);
        assert!(done.kept_bytes >= 300 * 1_085, "{mode:?}: kept only {}", done.kept_bytes);
        assert_eq!(proxy.part_bytes(), job.length - done.kept_bytes, "{mode:?}: parts were sent again");
    }
}

/// Each fault hits a part twice; the file arrives whole, and the class is the right one.
#[tokio::test]
async fn every_fault_of_a_part_is_survived() {
    let faults = [
        (Fault::Status(503, "SlowDown"), Class::Busy),
        (Fault::Status(500, "InternalError"), Class::Busy),
        (Fault::Status(429, "TooManyRequests"), Class::Busy),
        (Fault::Reset(PART / 2), Class::Busy),
        (Fault::LoseReply, Class::Busy),
        (Fault::Hang, Class::Busy),
        (Fault::WrongEtag, Class::BadBytes),
        (Fault::FlipByte, Class::BadBytes),
        (Fault::Status(400, "BadDigest"), Class::BadBytes),
        (Fault::Status(412, "PreconditionFailed"), Class::BadBytes),
        (Fault::OkError("InternalError"), Class::Busy),
    ];
    let all = faults.into_iter().flat_map(|fault| MODES.map(|mode| (mode, fault.clone())));
    futures::future::join_all(all.map(|(mode, (fault, class))| async move {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        // Silence must be told from a busy machine: where it is not the fault, nobody waits for it.
        let idle = Duration::from_secs(if matches!(fault, Fault::Hang) { 4 } else { 60 });
        let target = open_with(mode, &proxy.endpoint, Patience { idle, ..impatient() }).await;
        let uploader = Uploader::new(target, limits(PART as u64, 3));
        let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 5 + 7));
        let (hit, hurt) = (std::sync::atomic::AtomicUsize::new(0), fault.clone());
        proxy.plan(move |seen| {
            let again = seen.part() == Some(3) && hit.fetch_add(1, Ordering::SeqCst) < 2;
            if again { hurt.clone() } else { Fault::Pass }
        });
        let record = record();
        send(&uploader, &job, &record).await;
        assert_eq!(proxy.fired(), 2, "{mode:?} {fault:?}");
        assert_eq!(*record.retries.lock(), [class, class], "{mode:?} {fault:?}");
    }))
    .await;
}

#[tokio::test]
async fn an_expired_url_is_made_anew_once() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(PART as u64, 3));
        let expired = std::sync::Mutex::new(std::collections::BTreeSet::new());
        // The first URL of each part is refused, whenever it comes; a second one is taken only if it is another one.
        proxy.plan(move |seen| {
            let first = seen.part().is_some_and(|part| expired.lock().unwrap().insert(part));
            if first { Fault::Status(403, "AccessDenied") } else { Fault::Pass }
        });
        let whole = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 4 + 7));
        let heard = record();
        send(&uploader, &whole, &heard).await;
        assert_eq!((proxy.fired(), heard.retries.lock().len()), (5, 5), "{mode:?}");
        proxy.plan(
            |seen| if seen.part().is_some() { Fault::Status(403, "AccessDenied") } else { Fault::Pass },
        );
        let denied = job(dir.path(), "m1-a1/g.kvd", &bytes(PART * 4));
        let error = uploader.upload(&denied, record(), &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("target_denied", false), "{mode:?}: {error}");
        assert!(!error.to_string().contains("X-Amz"), "{error}");
    }
}

#[tokio::test]
async fn a_completion_may_fail_be_lost_or_lie() {
    let faults = [
        (Fault::LoseReply, 1),
        (Fault::ShortReply, 1),
        (Fault::Reset(0), 2),
        (Fault::Status(503, "SlowDown"), 2),
        (Fault::OkError("InternalError"), 2),
        (Fault::OkError("NoSuchUpload"), 1),
    ];
    for mode in MODES {
        for (fault, times) in faults.clone() {
            let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
            let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
            let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(PART as u64, 3));
            let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 5 + 7));
            let (hit, hurt) = (std::sync::atomic::AtomicUsize::new(0), fault.clone());
            proxy.plan(move |seen| {
                let again = seen.is_complete() && hit.fetch_add(1, Ordering::SeqCst) < times;
                if again { hurt.clone() } else { Fault::Pass }
            });
            send(&uploader, &job, &record()).await;
            assert_eq!(proxy.fired(), times, "{mode:?} {fault:?}");
            assert_eq!(proxy.part_bytes(), job.length, "{mode:?} {fault:?}: parts were sent again");
            assert!(fake.store.lock().uploads.is_empty(), "{mode:?} {fault:?}: an upload is left");
        }
    }
}

#[tokio::test]
async fn a_lost_upload_is_begun_again() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(PART as u64, 2));
        let store = fake.store.clone();
        let once = std::sync::Once::new();
        proxy.plan(move |seen| {
            if seen.part() == Some(4) {
                once.call_once(|| store.lock().uploads.clear());
            }
            Fault::Pass
        });
        let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 5 + 7));
        let record = record();
        send(&uploader, &job, &record).await;
        assert!(record.retries.lock().contains(&Class::NoUpload), "{mode:?}");
        assert!(fake.store.lock().uploads.is_empty());
    }
}

#[tokio::test]
async fn what_was_sent_is_kept_and_what_is_wrong_at_the_store_is_not() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
        let uploader = Uploader::new(open(mode, &proxy.endpoint).await, limits(PART as u64, 2));
        let mut job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 9 + 7));
        let record = record();
        let cancel = CancellationToken::new();
        proxy.plan(|seen| if seen.part().is_some_and(|part| part > 5) { Fault::Hang } else { Fault::Pass });
        let sending = uploader.upload(&job, record.clone(), &cancel);
        let watching = async {
            // Not before two more hang at the proxy: one that is still on its way there would be counted later.
            while record.order.lock().len() < 5 || proxy.fired() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let (ended, ()) = futures::join!(sending, watching);
        assert_eq!(ended.unwrap_err().code(), "cancelled");
        // Part 2 rots at the store: same ETag listed would be a lie, so the fake lists what it has.
        let rotten = fake.store.lock().uploads.values_mut().next().map(|(_, parts)| {
            parts.insert(2, (b"other".to_vec(), "\"00\"".to_owned()));
        });
        assert!(rotten.is_some(), "{mode:?}: no upload at the store");
        proxy.plan(|_| Fault::Pass);
        proxy.forget();
        job.resume = Some(record.resume());
        let done = send(&uploader, &job, &record).await;
        assert_eq!(done.kept_bytes, 4 * PART as u64, "{mode:?}");
        assert_eq!(proxy.part_bytes(), job.length - done.kept_bytes, "{mode:?}");
    }
}

#[tokio::test]
async fn cancelling_stops_at_once_even_in_mid_part() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let proxy = common::proxy::start(&fake.endpoint, |seen| {
            if seen.part().is_some() { Fault::Hang } else { Fault::Pass }
        })
        .await;
        let patience = Patience { idle: Duration::from_secs(60), ..impatient() };
        let target = open_with(mode, &proxy.endpoint, patience).await;
        let uploader = Uploader::new(target.clone(), limits(PART as u64, 3));
        let job = job(dir.path(), "m1-a1/g1/f.kvd", &bytes(PART * 5));
        let cancel = CancellationToken::new();
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cancel.cancel();
            Instant::now()
        };
        let (ended, cancelled) = futures::join!(uploader.upload(&job, record(), &cancel), stopping);
        assert_eq!(ended.unwrap_err().code(), "cancelled", "{mode:?}");
        assert!(cancelled.elapsed() < Duration::from_millis(500), "{mode:?}: {:?}", cancelled.elapsed());
        assert!(proxy.fired() > 0, "{mode:?}: no part was under way");
        assert_eq!(target.abort_uploads("m1-a1").await.unwrap(), 1, "{mode:?}");
        assert!(fake.store.lock().uploads.is_empty(), "{mode:?}");
        assert_eq!(target.abort_uploads("m1-a1").await.unwrap(), 0, "{mode:?}");
    }
}

#[tokio::test]
async fn a_busy_store_gets_fewer_requests_at_a_time() {
    let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
    let proxy = common::proxy::start(&fake.endpoint, |_| Fault::Pass).await;
    let uploader = Uploader::new(open(Mode::Bucket, &proxy.endpoint).await, limits(PART as u64, 8));
    let busy = |seen: &common::proxy::Seen| match seen.part() {
        Some(_) => Fault::Status(503, "SlowDown"),
        None => Fault::Pass,
    };
    let slow = |seen: &common::proxy::Seen| match seen.part() {
        Some(_) => Fault::Delay(Duration::from_millis(50)),
        None => Fault::Pass,
    };
    proxy.plan(busy);
    let refused = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 8));
    let error = uploader.upload(&refused, record(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("target_busy", true), "{error}");
    // From one at a time it grows by one after as many successes: no more than four within eight parts.
    proxy.plan(slow);
    let calm = record();
    send(&uploader, &job(dir.path(), "m1-a1/g.kvd", &bytes(PART * 8)), &calm).await;
    let most = calm.most_in_flight.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at a time after the store was busy");
    let later = record();
    send(&uploader, &job(dir.path(), "m1-a1/h.kvd", &bytes(PART * 40)), &later).await;
    assert_eq!(later.most_in_flight.load(Ordering::SeqCst), 8, "it never grew back");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_aborted() {
    for mode in MODES {
        let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
        let uploader = Uploader::new(open(mode, &fake.endpoint).await, limits(PART as u64, 3));
        let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 3));
        let refusing = Arc::new(Record { refuses: true, ..Record::default() });
        let error = uploader.upload(&job, refusing, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.code(), "unrecorded", "{mode:?}");
        assert!(fake.store.lock().uploads.is_empty(), "{mode:?}");
    }
}

#[tokio::test]
async fn a_local_file_that_is_not_what_was_dumped_is_not_sent() {
    let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
    let uploader = Uploader::new(open(Mode::Bucket, &fake.endpoint).await, limits(PART as u64, 3));
    let job = job(dir.path(), "m1-a1/f.kvd", &bytes(PART * 3));
    for content in [bytes(PART * 3 - 1), {
        let mut other = bytes(PART * 3);
        other[PART] ^= 1;
        other
    }] {
        std::fs::write(&job.path, content).unwrap();
        let error = uploader.upload(&job, record(), &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("local_damaged", true), "{error}");
    }
    std::fs::remove_file(&job.path).unwrap();
    let error = uploader.upload(&job, record(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "local_io", "{error}");
    assert!(fake.store.lock().uploads.is_empty());
}

#[tokio::test]
async fn the_rate_is_never_passed() {
    let (fake, dir) = (common::fake::start().await, tempfile::tempdir().unwrap());
    let rate = 2_000_000;
    let limits = Limits { bytes_per_second: rate, ..limits(PART as u64, 4) };
    let uploader = Uploader::new(open(Mode::Bucket, &fake.endpoint).await, limits);
    let job = job(dir.path(), "m1-a1/f.kvd", &bytes(4_000_000));
    let began = Instant::now();
    uploader.upload(&job, record(), &CancellationToken::new()).await.unwrap();
    let measured = 4_000_000.0 / began.elapsed().as_secs_f64();
    // Never faster. That it is not slower either is the limiter's own test, in a time that no busy machine stretches.
    assert!(measured < 1.1 * rate as f64, "{measured} bytes per second");
}
