//! One shape of load.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use flotilla_bench::{
    Contender, Disk, Distribution, Machine, Matrix, Op, Pace, Plan, Processes, Report, Row, Target,
    measure_disk, row,
};
use serde_json::{Value, json};

use super::live::LiveLine;
use super::{failed, show};
use crate::args::Common;
use crate::endpoints::{self, Endpoints};
use crate::{duration, exit, output};

/// How long the disk is measured.
const DISK_LENGTH: Duration = Duration::from_millis(300);

/// What `bench` takes without a further command.
#[derive(Args, Debug)]
pub struct LoadArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// What clients do: put, get, append, mixed or scan
    #[arg(long, default_value = "put")]
    op: Op,
    /// How many clients work at the same time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: usize,
    /// How many connections they share [default: one for each 16 clients]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Send so many operations a second, on a schedule, however long answers take [default: each client sends when it has its answer]
    #[arg(long, value_name = "OPS/S", allow_negative_numbers = true)]
    rate: Option<f64>,
}

/// Whom to measure.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// Whom to measure, in turn: flotilla, etcd, redis, separated by commas. The cluster is the one that --endpoints names
    #[arg(long = "target", value_delimiter = ',', default_value = "flotilla")]
    targets: Vec<Target>,
    /// Where etcd's members are
    #[arg(long, value_name = "ENDPOINTS", default_value = "127.0.0.1:2379", value_parser = endpoints::parse)]
    etcd: Endpoints,
    /// Where the Redis server is
    #[arg(long, value_name = "ENDPOINT", default_value = "127.0.0.1:6379", value_parser = endpoints::parse)]
    redis: Endpoints,
    /// The servers' process ids, for their processor time and memory [default: who listens at the endpoints, if on this machine]
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    server_pids: Vec<u32>,
    /// The folder whose disk's sync time is measured: the servers' data folder, or one on the same disk
    #[arg(long, value_name = "DIR", default_value = ".")]
    disk: PathBuf,
}

/// What all shapes have.
#[derive(Args, Debug)]
pub struct ShapeArgs {
    /// On how many keys
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    keys: u32,
    /// How keys are chosen: uniform or zipfian (a few often)
    #[arg(long, default_value = "uniform")]
    distribution: Distribution,
    /// Length of values, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    value_size: usize,
    /// How many of a hundred operations of a mixed load read
    #[arg(long, value_name = "PERCENT", default_value_t = 50)]
    reads: u32,
    /// How many rows a scan reads
    #[arg(long, value_name = "N", default_value_t = 100)]
    scan_rows: usize,
    /// For how long to measure
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    duration: Duration,
    /// For how long to work before measuring; 0 for not at all
    #[arg(long, default_value = "2s", value_parser = warm_up)]
    warm_up: Duration,
    /// How often to measure each target; of several rounds the middle one counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// On how many keys it is checked that what was acknowledged is there; 0: on none
    #[arg(long, value_name = "N", default_value_t = 500)]
    watch_keys: u32,
    /// The keys that reads need are there from an earlier run with the same --keys, --prefix and --value-size
    #[arg(long)]
    filled: bool,
    /// What keys begin with
    #[arg(long, default_value = "bench:")]
    prefix: String,
    /// What keys and operations are drawn from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

fn warm_up(text: &str) -> Result<Duration, String> {
    if text.trim_start_matches('0').trim_end_matches('s').is_empty() {
        Ok(Duration::ZERO)
    } else {
        duration::parse(text)
    }
}

impl ShapeArgs {
    /// A plan of this shape, for one client that puts.
    pub fn plan(&self) -> Plan {
        Plan {
            op: Op::Put,
            clients: 1,
            connections: 1,
            keys: self.keys,
            distribution: self.distribution,
            value_bytes: self.value_size,
            reads_percent: self.reads,
            scan_rows: self.scan_rows,
            pace: Pace::Closed,
            duration: self.duration,
            warm_up: self.warm_up,
            prefix: self.prefix.clone(),
            watched: self.watch_keys,
            filled: self.filled,
            seed: self.seed,
        }
    }

    /// How often to measure.
    pub fn rounds(&self) -> usize {
        self.rounds.into()
    }
}

impl TargetArgs {
    /// Everybody who is to be measured, once.
    pub fn contenders(&self, common: &Common, plan: &Plan) -> Result<Vec<Contender>> {
        let mut found: Vec<Contender> = Vec::new();
        for &target in &self.targets {
            if found.iter().any(|one| one.target() == target) {
                return Err(exit::misuse(format!(
                    "--target names {target} twice: once is enough, see --rounds"
                )));
            }
            plan.check(target).map_err(failed)?;
            let endpoints = match target {
                Target::Flotilla => &common.endpoints,
                Target::Etcd => &self.etcd,
                Target::Redis => &self.redis,
            };
            let pids = Processes::new(self.server_pids.iter().copied());
            found.push(
                Contender::new(target, endpoints.0.clone(), pids, rand::random(), plan)
                    .within(common.timeout),
            );
        }
        if found.len() > 1 && !self.server_pids.is_empty() {
            return Err(exit::misuse(
                "--server-pids is for one target: leave it out, they are found by their ports",
            ));
        }
        Ok(found)
    }

    /// The sync time of the servers' disk.
    pub fn measure_disk(&self) -> Result<Disk> {
        measure_disk(&self.disk, DISK_LENGTH).map_err(failed)
    }
}

impl LoadArgs {
    fn plan(&self) -> Plan {
        Plan {
            op: self.op,
            clients: self.clients,
            connections: self.connections.unwrap_or_else(|| Matrix::connections(self.clients)),
            pace: self.rate.map_or(Pace::Closed, Pace::Open),
            ..self.shape.plan()
        }
    }
}

/// `flotilla bench` without a further command.
pub async fn run(common: &Common, args: LoadArgs) -> Result<()> {
    let plan = args.plan();
    let mut contenders = args.targets.contenders(common, &plan)?;
    let machine = Machine::here();
    let disk = args.targets.measure_disk()?;
    let line = LiveLine::new();
    let what = format!("{}, {} clients", plan.op, plan.clients);
    let voice = |live: &_| line.show(&what, live);
    let measuring = Box::pin(row(&mut contenders, &plan, args.shape.rounds(), &voice));
    let done = tokio::select! {
        done = measuring => done.map_err(failed)?,
        _ = tokio::signal::ctrl_c() => return Err(exit::no("stopped before the end: there is no figure")),
    };
    drop(line);
    if common.json {
        output::json(&as_json(&done, &disk, &machine))?;
    } else {
        show::row(&done)?;
        show::surroundings(&disk, &machine)?;
    }
    verdict(&done.runs)
}

/// One target: its report, with what is around it. Several: a list, and the ratios.
fn as_json(row: &Row, disk: &Disk, machine: &Machine) -> Value {
    let around = json!({ "disk": disk, "machine": machine });
    let mut value = match (&row.results[..], row.runs.len()) {
        ([only], 1) => json!(only),
        _ => json!({ "results": row.results, "ratios": row.ratios, "runs": row.runs }),
    };
    if let (Some(value), Some(around)) = (value.as_object_mut(), around.as_object()) {
        value.extend(around.clone());
    }
    value
}

/// Something that was acknowledged and is not there, and a run without any success, are failures.
pub fn verdict(runs: &[Report]) -> Result<()> {
    if let Some(wrong) = runs.iter().find(|run| run.violations > 0) {
        let first = wrong.complaints.join("; ");
        return Err(exit::no(format!(
            "{} of {} checks failed for {}: what it acknowledged or answered is wrong, so its figures mean nothing: {first}",
            wrong.violations, wrong.checks, wrong.target
        )));
    }
    if let Some(idle) = runs.iter().find(|run| run.ops == 0) {
        let first = idle.first_error.as_deref().unwrap_or("it did not even fail");
        return Err(exit::no(format!("{} acknowledged nothing: {first}", idle.target)));
    }
    Ok(())
}
