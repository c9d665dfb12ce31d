//! What one client sees: the latency of puts and gets, and the longest gap while a shard moves.
//!
//! ```text
//! cargo run --release -p flotilla-client --example measure -- 127.0.0.1:7101 latency [OPERATIONS]
//! cargo run --release -p flotilla-client --example measure -- 127.0.0.1:7101 move MEGABYTES GID
//! ```
//!
//! `move` fills one shard (keys with one hashtag) with 8 KiB values, then writes one small key of it, one write after
//! the other, while the shard moves to group GID; and prints the longest time between two acknowledgements.

use std::error::Error;
use std::time::{Duration, Instant};

use flotilla_client::{Client, ClientOptions};
use flotilla_proto::env::Environment;
use flotilla_types::{GroupId, ShardId, shard_of_key};
use futures::stream::{self, StreamExt, TryStreamExt};

const VALUE_BYTES: usize = 256;
const FILL_BYTES: usize = 8 * 1024;
/// All keys of the moving shard carry this hashtag.
const TAG: &str = "{measured}";

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [endpoint, "latency"] => latency(&connect(endpoint).await?, 2000).await,
        [endpoint, "latency", count] => latency(&connect(endpoint).await?, count.parse()?).await,
        [endpoint, "move", megabytes, gid] => {
            moving(&connect(endpoint).await?, megabytes.parse()?, gid.parse()?).await
        }
        _ => Err("usage: measure ENDPOINT latency [OPERATIONS] | measure ENDPOINT move MEGABYTES GID".into()),
    }
}

async fn connect(endpoint: &str) -> Result<Client, Box<dyn Error>> {
    Ok(Client::connect(ClientOptions::new([endpoint]), &Environment::real()).await?)
}

async fn latency(client: &Client, count: usize) -> Outcome {
    let value = vec![b'v'; VALUE_BYTES];
    let (mut puts, mut gets) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for number in 0..count {
        let key = format!("latency-{number}");
        let start = Instant::now();
        client.put(key, value.clone()).await?;
        puts.push(start.elapsed());
    }
    for number in 0..count {
        let start = Instant::now();
        client.get(format!("latency-{number}")).await?;
        gets.push(start.elapsed());
    }
    report("put", puts);
    report("get", gets);
    Ok(())
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |quantile: f64| times[((times.len() - 1) as f64 * quantile) as usize].as_micros();
    let total: Duration = times.iter().sum();
    let rate = times.len() as f64 / total.as_secs_f64();
    println!("{what}: {rate:.0}/s, p50 {} us, p99 {} us, max {} us", at(0.5), at(0.99), at(1.0));
}

async fn moving(client: &Client, megabytes: usize, gid: u64) -> Outcome {
    let shard = shard_of_key(TAG.as_bytes(), client.directory().shards);
    fill(client, megabytes).await?;
    println!("shard {shard} holds about {megabytes} MB");
    let quiet = longest_gap(client, tokio::time::sleep(Duration::from_secs(2))).await?;
    println!("longest gap without a move: {:.1} ms", quiet.as_secs_f64() * 1e3);
    let start = Instant::now();
    let gap = longest_gap(client, settle(client, shard, gid)).await?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = megabytes as f64 / seconds;
    println!("moved in {seconds:.2} s ({rate:.0} MB/s), longest gap {:.1} ms", gap.as_secs_f64() * 1e3);
    Ok(())
}

async fn fill(client: &Client, megabytes: usize) -> Outcome {
    let value = bytes::Bytes::from(vec![b'f'; FILL_BYTES]);
    let puts = (0..megabytes * 1_000_000 / FILL_BYTES).map(|number| {
        let value = value.clone();
        async move { client.put(format!("{TAG}-{number:08}"), value).await.map(drop) }
    });
    Ok(stream::iter(puts).buffer_unordered(32).try_collect::<()>().await?)
}

// Writes one key over and over until `event` has happened.
async fn longest_gap(client: &Client, event: impl Future<Output = ()>) -> Result<Duration, Box<dyn Error>> {
    let mut event = std::pin::pin!(event);
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    loop {
        tokio::select! {
            biased;
            written = client.put(format!("{TAG}-probe"), "x") => {
                written?;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            () = &mut event => return Ok(longest),
        }
    }
}

// Moves the shard and waits until its new owner serves it and owes nothing.
async fn settle(client: &Client, shard: ShardId, gid: u64) {
    let moved = client.admin().move_shard(shard, GroupId(gid)).await;
    let config = moved.expect("the controller answers").config;
    let settled = |directory: &flotilla_proto::ctrl_v1::Directory| {
        let live = directory.groups.iter().filter(|group| group.gid != 0 && group.left == 0);
        live.map(|group| group.settled).min().is_some_and(|settled| settled >= config)
    };
    while !settled(&client.directory()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
