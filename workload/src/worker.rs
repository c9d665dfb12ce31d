//! One worker: a client that does one operation after the other.

use std::sync::Arc;

use flotilla_checker::record::{Line, Operation, Outcome};
use flotilla_client::Client;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::choose::{Seen, action};
use crate::dice::Dice;
use crate::keys::Keys;
use crate::load::Done;
use crate::operate::operate;
use crate::plan::Plan;
use crate::site::Site;

/// Between two attempts to connect.
const CONNECT_INTERVAL: Duration = Duration::from_millis(100);

/// A worker at its start.
pub(crate) struct Worker {
    pub number: u64,
    pub plan: Arc<Plan>,
    pub site: Site,
    pub keys: Arc<Keys>,
    pub stop: CancellationToken,
    pub acks: watch::Sender<u64>,
}

impl Worker {
    /// Works until it is told to stop; the operation in flight is waited for, so that the record holds it.
    pub async fn run(self) -> Done {
        let mut dice = Dice::fork(self.plan.seed, self.number);
        let (mut who, mut seen, mut done) = (self.site.new_client(), Seen::default(), Done::default());
        let mut client = self.connect().await;
        for at in 0..self.plan.ops_per_client.unwrap_or(u64::MAX) {
            let Some(connected) = &client else { break };
            let due = self.due(&mut dice);
            let operation = self.one(connected, who, at, &seen, &mut dice).await;
            if matches!(operation.outcome, Outcome::Unknown { .. }) {
                who = self.site.new_client();
            }
            seen.note(&operation);
            self.count(&operation, &mut done);
            self.site.sink().put(Line::Op(operation));
            if dice.per_mille(self.plan.reconnect_per_mille) {
                client = self.connect().await;
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = sleep_until(due) => {}
            }
        }
        done
    }

    async fn one(&self, client: &Client, who: u64, at: u64, seen: &Seen, dice: &mut Dice) -> Operation {
        let key = self.keys.draw(dice);
        // The worker's number, since the ids of logical clients depend on the order of events.
        let token = format!("{}{}.{at}", self.plan.prefix, self.number);
        let action = action(&self.plan, &key, &token, seen, dice);
        let hasty = dice.per_mille(self.plan.hasty_per_mille).then(|| dice.duration(self.plan.hasty.clone()));
        match hasty {
            Some(timeout) => {
                let client = client.with_timeout(timeout.max(Duration::from_micros(100)));
                operate(&client, self.site.stopwatch(), who, &key.name, action).await
            }
            None => operate(client, self.site.stopwatch(), who, &key.name, action).await,
        }
    }

    /// When the operation after this one may begin.
    fn due(&self, dice: &mut Dice) -> Instant {
        let think = dice.duration(self.plan.think.clone());
        Instant::now() + think.max(self.plan.interval())
    }

    /// Tries until it is told to stop.
    async fn connect(&self) -> Option<Client> {
        loop {
            let connecting = Box::pin(self.site.connect(self.plan.first + self.number));
            let connected = tokio::select! {
                () = self.stop.cancelled() => return None,
                connected = connecting => connected,
            };
            if let Ok(client) = connected {
                return Some(client);
            }
            tokio::time::sleep(CONNECT_INTERVAL).await;
        }
    }

    fn count(&self, operation: &Operation, done: &mut Done) {
        match operation.outcome {
            Outcome::Ok(_) => {
                done.ok += 1;
                self.acks.send_modify(|acks| *acks += 1);
            }
            Outcome::Fail { .. } => done.failed += 1,
            Outcome::Unknown { .. } => done.unknown += 1,
        }
    }
}
