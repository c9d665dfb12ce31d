//! Noise, other protocols, and HTTP/2 that breaks its own rules.

use std::time::Duration;

use flotilla_tests::hostile::h2::{
    self, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE,
    frame,
};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::siege::Siege;

/// How long to listen for an answer that may not come.
const QUIET: Duration = Duration::from_millis(50);
const STATUS: &str = "/flotilla.kv.v1.ShardKvService/GetStatus";

#[tokio::test(flavor = "multi_thread")]
async fn noise_and_broken_http2() {
    let siege = Siege::begin().await;
    let at = &siege.target;
    siege.attack("noise", noise(at)).await;
    siege.attack("other protocols", other_protocols(at)).await;
    siege.attack("cut prefaces", cut_prefaces(at)).await;
    siege.attack("random frames", random_frames(at)).await;
    siege.attack("lying frames", lying_frames(at)).await;
    siege.attack("endless headers", endless_headers(at)).await;
    siege.attack("huge headers", huge_headers(at)).await;
    siege.attack("floods", floods(at)).await;
    siege.attack("rapid reset", rapid_reset(at)).await;
    siege.end().await;
}

async fn noise(at: &str) {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..2000 {
        let mut bytes = vec![0; rng.random_range(1..4096)];
        rng.fill_bytes(&mut bytes);
        let mut raw = Raw::connect(at).await;
        raw.say(&bytes).await;
    }
}

async fn other_protocols(at: &str) {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for text in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /flotilla.kv.v1.ShardKvService/Command HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAA\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
        long.as_str(),
    ] {
        let mut raw = Raw::connect(at).await;
        raw.say(text.as_bytes()).await;
        let (_, hung_up) = raw.drain(Duration::from_secs(1)).await;
        assert!(hung_up, "a stranger is kept on the line: {:.40}", text.escape_debug());
    }
}

async fn cut_prefaces(at: &str) {
    let whole = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, 1, 0, &[])].concat();
    for end in 0..whole.len() {
        Raw::connect(at).await.say(&whole[..end]).await;
    }
}

async fn random_frames(at: &str) {
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..1500 {
        let mut raw = Raw::greet(at, &[]).await;
        for _ in 0..rng.random_range(1..20) {
            let mut payload = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut payload);
            let stream = if rng.random() { rng.random_range(0..8) } else { rng.random() };
            raw.say(&frame(rng.random_range(0..12), rng.random(), stream, &payload)).await;
        }
        raw.drain(Duration::from_millis(2)).await;
    }
}

// Lengths that are not so, windows that overflow, streams that cannot be.
async fn lying_frames(at: &str) {
    let headers = h2::call(STATUS, &[]);
    let frames: Vec<Vec<u8>> = vec![
        [&[255, 255, 255, DATA, 0, 0, 0, 0, 1][..], &[0; 100]].concat(),
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255]),
        frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 0]),
        frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 9]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        [
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
        ]
        .concat(),
        frame(DATA, 0, 1, b"before its headers"),
        frame(HEADERS, END_HEADERS, 0, &headers),
        frame(HEADERS, END_HEADERS, 2, &headers),
        frame(HEADERS, END_HEADERS | 8, 1, &[255, 0]),
        frame(HEADERS, END_HEADERS | 32, 1, &[&[0, 0, 0, 1, 9][..], &headers].concat()),
        [frame(HEADERS, END_HEADERS, 5, &headers), frame(HEADERS, END_HEADERS, 3, &headers)].concat(),
        frame(HEADERS, END_HEADERS, 1, &h2::block(&[(":path", "/"), ("Upper", "x"), ("", "y")])),
        frame(HEADERS, END_HEADERS, 1, &[0x7f, 255, 255, 255, 255, 255, 255]),
        frame(CONTINUATION, END_HEADERS, 1, &headers),
    ];
    for bytes in frames {
        let mut raw = Raw::greet(at, &[]).await;
        raw.say(&bytes).await;
        raw.drain(QUIET).await;
    }
}

// CONTINUATION for ever: the block never ends.
async fn endless_headers(at: &str) {
    let mut raw = Raw::greet(at, &[]).await;
    raw.say(&frame(HEADERS, 0, 1, &h2::call(STATUS, &[]))).await;
    let more = h2::block(&[("x-more", &"x".repeat(15_000))]);
    for _ in 0..20_000 {
        if !raw.say(&frame(CONTINUATION, 0, 1, &more)).await {
            return;
        }
    }
    panic!("300 MB of headers were taken without a word");
}

async fn huge_headers(at: &str) {
    let mut raw = Raw::greet(at, &[]).await;
    let huge = "x".repeat(15_000);
    for nth in 0..200u32 {
        let fields = [("x-huge", &huge[..])];
        if !raw.send(1 + 2 * nth, &h2::call(STATUS, &fields), &h2::honest(&[]), true).await {
            return;
        }
    }
    let path = format!("/{huge}");
    raw.send(9999, &h2::call(&path, &[]), &[], true).await;
    raw.drain(QUIET).await;
}

async fn floods(at: &str) {
    for (kind, payload) in
        [(PING, &[7; 8][..]), (SETTINGS, &[][..]), (SETTINGS, &[0, 3, 0, 0, 0, 9][..]), (2, &[0; 5][..])]
    {
        let mut raw = Raw::greet(at, &[]).await;
        let stream = if kind == 2 { 1 } else { 0 };
        let many = frame(kind, 0, stream, payload).repeat(1000);
        // Nothing is read: the answers pile up in the node, or the node hangs up.
        for _ in 0..50 {
            if !raw.say(&many).await {
                break;
            }
        }
    }
}

// CVE-2023-44487: requests that are taken back at once.
async fn rapid_reset(at: &str) {
    let headers = h2::call(STATUS, &[]);
    let mut raw = Raw::greet(at, &[]).await;
    for nth in 0..20_000u32 {
        let stream = 1 + 2 * nth;
        let bytes = [
            frame(HEADERS, END_HEADERS, stream, &headers),
            frame(DATA, 0, stream, &h2::honest(&[])),
            frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        ];
        if !raw.say(&bytes.concat()).await {
            return;
        }
    }
}
