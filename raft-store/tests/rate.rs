//! How fast it is, on this machine, in one process: `cargo test --release -- --ignored --nocapture rate`.

mod common;

use std::time::{Duration, Instant};

use common::Cluster;
use common::machine::{PUT, Query, command};
use flotilla_raft_store::GroupLimits;

const TIME: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn rate() {
    let cluster = Cluster::start(3, GroupLimits::default()).await;
    cluster.propose(command(PUT, "warm", "up")).await;
    for clients in [1, 16, 64, 256] {
        for reads in [false, true] {
            let group = cluster.leader().await.group.clone();
            let started = Instant::now();
            let tasks = (0..clients).map(|client| {
                let group = group.clone();
                tokio::spawn(async move {
                    let mut done = 0u64;
                    while started.elapsed() < TIME {
                        if reads {
                            group.read(Query::Get("warm")).await.expect("a read");
                        } else {
                            let key = format!("{client}-{done}");
                            group.propose(command(PUT, &key, vec![0; 256])).await.expect("a write");
                        }
                        done += 1;
                    }
                    done
                })
            });
            let mut total = 0;
            for task in tasks.collect::<Vec<_>>() {
                total += task.await.expect("a client");
            }
            let rate = total as f64 / started.elapsed().as_secs_f64();
            println!("{clients:4} clients: {rate:8.0} {}/s", if reads { "reads" } else { "writes" });
        }
    }
    cluster.stop().await;
}
