//! What clients see while a shard moves.
//!
//! ```text
//!   fill a shard; then, over and over:
//!     a while of peace (the baseline)  -->  the shard moves to the other of two groups  -->  until all is settled
//!   meanwhile, on a schedule: writes to the moving shard, and writes to all others
//! ```
//!
//! A pause is the longest time without an acknowledgement while a shard moves. A move's speed counts from the request to the first
//! acknowledgement by the new owner. Every write is noted and read back in the end.

mod fill;
mod prober;
mod report;

use std::time::{Duration, Instant};

use flotilla_client::{Client, ClientOptions};
use flotilla_proto::ctrl_v1::{Directory, GroupRecord};
use flotilla_proto::env::Environment;
use flotilla_types::{GroupId, ShardId, shard_of_key};
use tokio::time::timeout;

pub use report::MoveReport;

use crate::error::BenchError;
use crate::target::Target;
use prober::{Prober, Window};
use report::Moved;

/// All keys of the moving shard carry this hashtag.
const TAG: &str = "{bench-move}";
/// A move that takes longer has failed.
const MOVE_MAX: Duration = Duration::from_secs(600);
/// How often to look whether a move is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// One write may take so long.
const OPERATION_MAX: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Clone, Debug)]
pub struct MovePlan {
    /// Nodes of the cluster.
    pub endpoints: Vec<String>,
    /// How often the shard moves.
    pub moves: u32,
    /// How much it holds.
    pub shard_bytes: u64,
    /// Writes a second to the moving shard.
    pub rate: f64,
    /// Writes a second to the others.
    pub other_rate: f64,
    /// How long each of these is.
    pub value_bytes: usize,
    /// How long it is measured without a move before each move.
    pub peace: Duration,
    /// Whether the shard was filled by an earlier run.
    pub filled: bool,
    /// Any number that no earlier process has used: tells its values from those that are there.
    pub run: u32,
    /// How long connecting may take.
    pub connect_max: Duration,
}

impl MovePlan {
    fn check(&self) -> Result<(), BenchError> {
        let wrong = [
            ((1..=10_000).contains(&self.moves), "--moves must be from 1 to 10000"),
            (self.shard_bytes <= 1 << 40, "--shard-bytes must be up to 1 TiB (1099511627776)"),
            (
                (0.0..=200_000.0).contains(&self.rate) && self.rate > 0.0,
                "--rate must be above 0, up to 200000",
            ),
            (
                (0.0..=200_000.0).contains(&self.other_rate) && self.other_rate > 0.0,
                "--other-rate must be above 0, up to 200000",
            ),
            ((16..=1 << 20).contains(&self.value_bytes), "--value-size must be from 16 to 1048576"),
            (!self.peace.is_zero(), "--peace must be some time: the baseline is measured in it"),
        ];
        match wrong.iter().find(|(good, _)| !good) {
            Some((_, words)) => Err(BenchError::Plan((*words).to_owned())),
            None => Ok(()),
        }
    }
}

/// Moves a shard to and fro and tells what clients saw; `say` is told what happens.
pub async fn measure_moves(plan: &MovePlan, say: &dyn Fn(&str)) -> Result<MoveReport, BenchError> {
    plan.check()?;
    let client = connect(plan).await?;
    let shards = client.directory().shards;
    let shard = shard_of_key(TAG.as_bytes(), shards);
    let groups = groups(&client)?;
    if !plan.filled {
        fill::fill(&client, TAG, plan.shard_bytes, say).await?;
    }
    let moving = Prober::start(&client, plan, plan.rate, TAG, None);
    let others = Prober::start(&client, plan, plan.other_rate, "bench-other:", Some(shard));
    let mut moved = Vec::new();
    for number in 1..=plan.moves {
        let done = one_move(plan, &client, shard, groups, [&moving, &others]).await;
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                moving.end().await;
                others.end().await;
                return Err(error);
            }
        };
        say(&format!("move {number} of {}: {done}", plan.moves));
        moved.push(done);
    }
    let (moving, others) = (moving.end().await, others.end().await);
    Ok(MoveReport::new(plan, &moved, [moving, others]))
}

async fn connect(plan: &MovePlan) -> Result<Client, BenchError> {
    let options = ClientOptions::new(plan.endpoints.iter().cloned()).timeout(OPERATION_MAX).lanes(512);
    let environment = Environment::real();
    let connecting = timeout(plan.connect_max, Box::pin(Client::connect(options, &environment))).await;
    let connected = match connecting {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {:?}", plan.connect_max)),
    };
    let endpoints = plan.endpoints.join(",");
    connected.map_err(|why| BenchError::Connect { target: Target::Flotilla.name(), endpoints, why })
}

/// Two groups between which the shard can move.
fn groups(client: &Client) -> Result<[u64; 2], BenchError> {
    let directory = client.directory();
    let mut gids = live(&directory).map(|group| group.gid);
    match (gids.next(), gids.next()) {
        (Some(one), Some(other)) => Ok([one, other]),
        _ => Err(BenchError::Move(
            "a shard needs two groups to move between: add one with `flotilla ctl join GID=NODE,NODE,NODE`"
                .to_owned(),
        )),
    }
}

fn live(directory: &Directory) -> impl Iterator<Item = &GroupRecord> {
    directory.groups.iter().filter(|group| group.gid != 0 && group.left == 0)
}

async fn one_move(
    plan: &MovePlan,
    client: &Client,
    shard: ShardId,
    groups: [u64; 2],
    probers: [&Prober; 2],
) -> Result<Moved, BenchError> {
    let windows = || probers.map(Prober::open_window);
    let close = |windows: [Window; 2]| windows.map(Window::close);
    let peace = windows();
    tokio::time::sleep(plan.peace).await;
    let peace = close(peace);

    let owner = client.config().shards.get(shard.get() as usize).copied().unwrap_or(0);
    let to = if owner == groups[0] { groups[1] } else { groups[0] };
    let during = windows();
    let start = Instant::now();
    let asked = client.admin().move_shard(shard, GroupId(to)).await;
    let config =
        asked.map_err(|error| BenchError::Move(format!("shard {shard} cannot be moved: {error}")))?.config;
    let late = |what: &str| {
        let seconds = MOVE_MAX.as_secs();
        BenchError::Move(format!(
            "shard {shard} {what} after {seconds} s: see `flotilla status` for what holds it up"
        ))
    };
    let served = timeout(MOVE_MAX, until(|| probers[0].served_by() == to)).await;
    let took = served.map(|()| start.elapsed()).map_err(|_| late("is not served by its new owner"))?;
    let settled = || live(&client.directory()).all(|group| group.settled >= config);
    timeout(MOVE_MAX, until(settled)).await.map_err(|_| late("is moved, but not settled"))?;
    let settled = start.elapsed();
    Ok(Moved { took, settled, peace, during: close(during) })
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
