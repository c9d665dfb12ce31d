//! What must be remembered of a target from one run to the next: what was written there.

use std::sync::Arc;
use std::time::Instant;

use crate::keys::Keys;
use crate::plan::Plan;
use crate::target::Target;
use crate::value::Values;
use crate::witness::Registers;

/// A target over several runs on the same keys.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Who is measured.
    pub target: Target,
    /// Tells what this process wrote from what others did.
    pub run: u32,
    /// When time began for the witness.
    pub epoch: Instant,
    /// Makes and reads values.
    pub values: Arc<Values>,
    /// What was promised.
    pub registers: Arc<Registers>,
    /// Whether every key was written.
    pub filled: bool,
    next_client: u32,
}

impl Subject {
    /// A target of which nothing is known. `run` is any number that no earlier process has used.
    pub fn new(target: Target, run: u32, plan: &Plan) -> Self {
        Self {
            target,
            run,
            epoch: Instant::now(),
            values: Arc::new(Values::new(run, plan.value_bytes)),
            registers: Arc::new(Registers::new(plan.keys, plan.watched)),
            filled: plan.filled,
            next_client: 0,
        }
    }

    /// A number that no client has had before.
    pub fn client(&mut self) -> u32 {
        self.next_client += 1;
        self.next_client
    }

    /// The keys that are put and read.
    pub fn keys(plan: &Plan) -> Keys {
        Keys::new(&plan.prefix, plan.keys, plan.distribution)
    }

    /// The keys that one run appends to: nobody else does.
    pub fn lists(&mut self, plan: &Plan) -> Keys {
        let own = self.client();
        let prefix = format!("{}a{:08x}-{own}:", plan.prefix, self.run);
        Keys::new(&prefix, plan.keys, plan.distribution)
    }
}
