//! Makes a failure smaller: without this class of faults, with fewer clients, for a shorter time, as long as the same kind of
//! violation shows.

use std::path::Path;

use crate::farm::{Child, Summary};
use crate::plan::{Overrides, Plan};

/// Tries to make the failure of a seed smaller; gives the smallest run that still fails the same way.
pub fn shrink(child: &Child, seed: u64, overrides: &Overrides, failures: &Path) -> Option<Summary> {
    let run = |overrides: &Overrides| child.run(seed, overrides, failures);
    let mut best = run(overrides);
    let wanted = best.kinds().into_iter().next()?;
    println!("{} fails by {wanted}: {}", best.again, first(&best, &wanted));
    let mut smallest = overrides.clone();
    loop {
        let before = smallest.clone();
        for candidate in smaller(seed, &smallest) {
            let summary = run(&candidate);
            if summary.kinds().contains(&wanted) {
                println!("still fails: {}", summary.again);
                (smallest, best) = (candidate, summary);
                break;
            }
        }
        if smallest == before {
            return Some(best);
        }
    }
}

fn first<'a>(summary: &'a Summary, kind: &str) -> &'a str {
    let found = summary.violations.iter().find(|(by, _)| by == kind);
    found.map_or("", |(_, what)| what)
}

/// Runs that are a little smaller than this one, the largest steps first.
fn smaller(seed: u64, now: &Overrides) -> Vec<Overrides> {
    let plan = Plan::draw(seed, now);
    let mut found = Vec::new();
    let mut half = |faults_ms: u64| {
        if faults_ms >= 1_000 {
            found.push(Overrides { faults_ms: Some(faults_ms), ..now.clone() });
        }
    };
    let faults_ms = u64::try_from(plan.faults_for.as_millis()).unwrap_or(0);
    half(faults_ms / 2);
    half(faults_ms * 3 / 4);
    for class in &plan.classes {
        let mut without = now.without.clone();
        without.push(*class);
        found.push(Overrides { without, ..now.clone() });
    }
    if plan.admins > 0 {
        found.push(Overrides { admins: Some(plan.admins - 1), ..now.clone() });
    }
    if plan.clients > 1 {
        found.push(Overrides { clients: Some(plan.clients / 2), ..now.clone() });
        found.push(Overrides { clients: Some(plan.clients - 1), ..now.clone() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_smaller_run() {
        let overrides = Overrides::default();
        let plan = Plan::draw(5, &overrides);
        for step in smaller(5, &overrides) {
            let less = Plan::draw(5, &step);
            let size = |plan: &Plan| {
                (plan.faults_for.as_millis() as usize) + plan.classes.len() + plan.admins + plan.clients
            };
            assert!(size(&less) < size(&plan), "{}", step.words());
        }
    }
}
