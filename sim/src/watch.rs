//! Looks at all nodes every little while: the invariants judge each look, the record keeps some.

use std::sync::Arc;
use std::time::Duration;

use flotilla_checker::record::Line;
use flotilla_workload::Sink as _;
use tokio::time::sleep;

use crate::observe;
use crate::world::World;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// Every so many looks, digests are taken and the record keeps the look.
const KEPT: u64 = 5;

/// Whoever looks.
pub struct Watch {
    world: Arc<World>,
    looks: u64,
}

impl Watch {
    /// Has not looked yet.
    pub fn new(world: Arc<World>) -> Self {
        Self { world, looks: 0 }
    }

    /// Looks for ever.
    pub async fn run(mut self) {
        loop {
            sleep(INTERVAL).await;
            self.look();
        }
    }

    fn look(&mut self) {
        self.looks += 1;
        let kept = self.looks.is_multiple_of(KEPT);
        for (id, machine) in self.world.machines() {
            let counts = machine.drive.counts();
            self.world
                .trace
                .note(format_args!("disk {id} {} {} {:x}", counts.syncs, counts.errors, counts.hash));
        }
        for view in observe::look(&self.world, kept) {
            self.world.trace.note(format_args!("view {view:?}"));
            self.world.judge_view(&view);
            if kept {
                self.world.record.put(Line::View(view));
            }
        }
    }
}
