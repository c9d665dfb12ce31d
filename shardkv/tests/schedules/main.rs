//! Random schedules: three groups, two shards, clients that retry anywhere, messages lost, late and twice, replicas that
//! lag or die, configurations at any moment. At every step the groups together must answer as the plain model does: that
//! is exactly-once, no loss, and versions that only grow, across any number of moves.
//!
//! Does not check concurrency (commands are atomic here) nor that sessions expire (stories do).

mod draw;
mod run;
mod steps;
#[path = "../world/mod.rs"]
mod world;

use std::cell::Cell;

use draw::{op, step};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use run::Run;
use steps::{Step, key_of, shard_of};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn moving_shards_answer_as_the_model_does() {
    let steps = prop::collection::vec(step(), 1..350);
    let chunk_bytes = prop_oneof![Just(1usize), Just(80), Just(1 << 20)];
    let seal_when_bytes = prop_oneof![Just(0u64), Just(100), Just(1 << 16)];
    let arrivals = Cell::new(0);
    let result =
        TestRunner::new(config(64)).run(&(steps, chunk_bytes, seal_when_bytes), |(steps, chunk, seal)| {
            let mut run = Run::new(chunk, seal);
            run.step(Step::Adopt { gid: 0 });
            steps.into_iter().for_each(|step| run.step(step));
            arrivals.set(arrivals.get() + run.arrivals);
            run.heal();
            Ok(())
        });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    assert!(arrivals.get() >= 64, "only {} moves ended: the schedules show nothing", arrivals.get());
}

proptest! {
    #![proptest_config(config(64))]

    // The same with nothing moving: a differential test of the operations.
    #[test]
    fn a_resting_shard_answers_as_the_model_does(
        writes in prop::collection::vec((0u64..3, op(), 0u64..10), 1..200),
    ) {
        let mut run = Run::new(1 << 20, 0);
        run.step(Step::Adopt { gid: 0 });
        for (client, op, ms) in writes {
            let gid = u64::from(shard_of(&op).get()) + 1;
            run.step(Step::Pass { ms });
            run.step(Step::Write { client, gid, op: op.clone() });
            run.step(Step::Retry { client, gid, back: 0 });
            run.read(gid, &key_of(&op));
        }
        run.heal();
    }
}
