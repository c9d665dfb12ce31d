//! Several targets in turn under the same plan, and what one reached by the other.

use std::time::Duration;

use serde::Serialize;

use crate::error::BenchError;
use crate::op::Op;
use crate::plan::Plan;
use crate::report::Report;
use crate::run::{Voice, run};
use crate::servers::Processes;
use crate::store::AnyStore;
use crate::subject::Subject;
use crate::target::Target;

/// Connecting and one operation may take so long, if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A target with everything that is needed to measure it again and again.
#[derive(Clone, Debug)]
pub struct Contender {
    endpoints: Vec<String>,
    servers: Processes,
    subject: Subject,
    timeout: Duration,
}

impl Contender {
    /// The target at these endpoints. `run` is any number that no earlier process has used; `servers` are its processes, or
    /// none: then those that listen at the endpoints.
    pub fn new(target: Target, endpoints: Vec<String>, servers: Processes, run: u32, plan: &Plan) -> Self {
        let servers = if servers.is_empty() { Processes::listening(&endpoints) } else { servers };
        Self { endpoints, servers, subject: Subject::new(target, run, plan), timeout: TIMEOUT }
    }

    /// The same with another limit for how long connecting, and one operation, may take.
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Who it is.
    pub fn target(&self) -> Target {
        self.subject.target
    }

    /// One run of a plan. Plans may differ in all but keys, prefix, value length and what is watched.
    pub async fn run(&mut self, plan: &Plan, voice: Voice<'_>) -> Result<Report, BenchError> {
        plan.check(self.target())?;
        let clients = plan.clients.div_ceil(plan.connections);
        let mut stores = Vec::with_capacity(plan.connections);
        for at in 0..plan.connections {
            stores.push(
                Box::pin(AnyStore::open(self.target(), &self.endpoints, at, clients, self.timeout)).await?,
            );
        }
        Box::pin(run(&mut self.subject, &stores, plan, &self.servers, voice)).await
    }
}

/// The same plan for several targets.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// What clients did.
    pub op: Op,
    /// How many.
    pub clients: usize,
    /// How many connections they shared.
    pub connections: usize,
    /// For each target the run in the middle by throughput.
    pub results: Vec<Report>,
    /// The first target by each other one.
    pub ratios: Vec<Ratio>,
    /// Every run, in the order in which they were made.
    pub runs: Vec<Report>,
}

/// One target by another: the middle of what each round gave.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ratio {
    /// Who.
    pub of: Target,
    /// By whom.
    pub to: Target,
    /// Operations a second.
    pub ops_per_s: f64,
    /// The latency that half of the operations did not exceed: below 1 is faster.
    pub p50: f64,
    /// The latency that 99 of a hundred did not exceed.
    pub p99: f64,
}

/// Measures every contender that can do the plan's operation, in turn, so often.
pub async fn row(
    contenders: &mut [Contender],
    plan: &Plan,
    rounds: usize,
    voice: Voice<'_>,
) -> Result<Row, BenchError> {
    let mut rounds_done: Vec<Vec<Report>> = Vec::new();
    for _ in 0..rounds.max(1) {
        let mut round = Vec::new();
        for contender in contenders.iter_mut().filter(|one| one.target().why_not(plan.op).is_none()) {
            round.push(contender.run(plan, voice).await?);
        }
        rounds_done.push(round);
    }
    Ok(summary(plan, rounds_done))
}

fn summary(plan: &Plan, rounds: Vec<Vec<Report>>) -> Row {
    let count = rounds.first().map_or(0, Vec::len);
    let results = (0..count).map(|at| middle_report(&rounds, at)).collect();
    let ratios = (1..count).map(|at| ratio(&rounds, at)).collect();
    let runs = rounds.into_iter().flatten().collect();
    Row { op: plan.op, clients: plan.clients, connections: plan.connections, results, ratios, runs }
}

/// The run in the middle; of an even number the slower one.
fn middle_report(rounds: &[Vec<Report>], at: usize) -> Report {
    let mut runs: Vec<&Report> = rounds.iter().map(|round| &round[at]).collect();
    runs.sort_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s));
    runs[(runs.len() - 1) / 2].clone()
}

fn ratio(rounds: &[Vec<Report>], at: usize) -> Ratio {
    let of_rounds = |figure: fn(&Report) -> f64| {
        let ratios = rounds.iter().map(|round| figure(&round[0]) / figure(&round[at]).max(f64::MIN_POSITIVE));
        middle(ratios.collect())
    };
    Ratio {
        of: rounds[0][0].target,
        to: rounds[0][at].target,
        ops_per_s: of_rounds(|report| report.ops_per_s),
        p50: of_rounds(|report| report.p50_us as f64),
        p99: of_rounds(|report| report.p99_us as f64),
    }
}

/// The middle of some numbers, at least one.
pub fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) { (numbers[half - 1] + numbers[half]) / 2.0 } else { numbers[half] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was slow in the second round, for both.
        let rounds = [(200.0, 100.0), (100.0, 50.0), (220.0, 100.0)];
        let rounds =
            rounds.map(|(ours, theirs)| vec![report(Target::Flotilla, ours), report(Target::Etcd, theirs)]);
        let row = summary(&Plan::default(), rounds.to_vec());
        assert_eq!(row.results.iter().map(|report| report.ops_per_s).collect::<Vec<_>>(), [200.0, 100.0]);
        assert_eq!((row.ratios.len(), row.ratios[0].to, row.ratios[0].ops_per_s), (1, Target::Etcd, 2.0));
        assert_eq!(row.runs.len(), 6);
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(middle(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(middle(vec![7.0]), 7.0);
    }
}
