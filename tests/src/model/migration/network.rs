//! Which steps are possible, and the model's face to stateright.

use flotilla_cloud_migration::State;
use stateright::{Model, Property};

use super::properties;
use super::record::Command;
use super::world::{Message, Owner, World};
use super::{GROUPS, Migration, NODES};

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A client's write enters at a group.
    EnterWrite(usize),
    /// A write is applied, or refused, by a group.
    ApplyWrite(usize),
    /// A group's freeze lapses by itself.
    Lapse(usize),
    /// Somebody cancels.
    Cancel,
    /// A node claims the job.
    Claim(usize),
    /// The owner's lease expires.
    Expire,
    /// A node looks at the record.
    Look(usize),
    /// A node crashes.
    Crash(usize),
    /// A message arrives.
    Deliver(Message),
}

impl Model for Migration {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::first()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for group in 0..GROUPS {
            steps.extend([Step::EnterWrite(group), Step::ApplyWrite(group)]);
            if self.lapses {
                steps.push(Step::Lapse(group));
            }
        }
        for node in 0..NODES {
            steps.extend([Step::Claim(node), Step::Look(node), Step::Crash(node)]);
        }
        steps.push(Step::Expire);
        if self.cancels {
            steps.push(Step::Cancel);
        }
        steps.extend(world.sent.iter().copied().map(Step::Deliver));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut next = self.take(last, &step)?;
        next.witness(last);
        let offers = next.owners.iter().flatten().flat_map(|owner| self.offers(&next, *owner));
        let offers: Vec<Message> = offers.collect();
        next.sent.extend(offers);
        if self.omission.is_none() {
            let World { record, groups, manifest, .. } = next.clone();
            next.sent.retain(|message| match *message {
                Message::Command(epoch, command) => {
                    epoch >= record.epoch && can_still_act(record.state, command)
                }
                Message::Freeze(group) | Message::Thaw(group) => !groups[group].thawed,
                Message::Manifest(_) => manifest.is_none(),
            });
            assert!(next.progress() > last.progress(), "a cycle: {step:?}\n{last:#?}\n{next:#?}");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

/// Whether a command may have an effect now or later. (What can have none is refused for ever, and forgetting it changes
/// nothing.)
fn can_still_act(state: State, command: Command) -> bool {
    match command {
        Command::Advance { to } => state < to && !state.is_terminal(),
        Command::Frozen { .. } => state <= State::Setup,
        Command::Dumped { .. } => state <= State::Dump,
        Command::Uploaded { .. } => state <= State::Upload,
        Command::Thawed { .. } => true,
    }
}

impl Migration {
    /// The step's effect on what it touches; `None` if it has none.
    fn take(&self, last: &World, step: &Step) -> Option<World> {
        let mut next = last.clone();
        match *step {
            Step::EnterWrite(group) => next.groups[group] = self.enter_write(&last.groups[group])?,
            Step::ApplyWrite(group) => next.groups[group] = self.apply_write(&last.groups[group])?,
            Step::Lapse(group) if last.groups[group].frozen => {
                next.groups[group] = self.thaw(&last.groups[group])?;
            }
            Step::Lapse(_) => return None,
            Step::Cancel => next.record = self.cancel(&last.record)?,
            Step::Claim(node) => {
                next.record = self.claim(&last.record)?;
                let (epoch, seen) = (next.record.epoch, next.record.state);
                next.owners[node] = Some(Owner { epoch, seen, crashed: false });
            }
            Step::Expire => {
                // The last owner of the bounds holds on, so that somebody finishes.
                (last.record.leased && last.record.epoch < self.epochs).then_some(())?;
                next.record.leased = false;
            }
            Step::Look(node) => {
                let owner = next.owners[node].as_mut()?;
                let news =
                    owner.epoch == last.record.epoch && owner.seen != last.record.state && !owner.crashed;
                news.then_some(())?;
                owner.seen = last.record.state;
            }
            Step::Crash(node) => {
                let owner = next.owners[node].as_mut()?;
                (owner.epoch < self.epochs && !owner.crashed).then_some(())?;
                owner.crashed = true;
            }
            Step::Deliver(message) => return self.deliver(last, message),
        }
        Some(next)
    }

    fn deliver(&self, last: &World, message: Message) -> Option<World> {
        let mut next = last.clone();
        match message {
            Message::Command(epoch, command) => {
                next.record = self.apply(&last.record, epoch, command)?;
                next.witness.stale_write |= epoch != last.record.epoch;
            }
            Message::Freeze(group) => next.groups[group] = self.freeze(&last.groups[group])?,
            Message::Thaw(group) => next.groups[group] = self.thaw(&last.groups[group])?,
            Message::Manifest(counters) => {
                last.manifest.is_none().then_some(())?;
                next.manifest = Some(counters);
            }
        }
        Some(next)
    }

    /// Whether the step is taken, in the end, by somebody who goes on trying: a message that an owner would send again,
    /// a look at the record, a claim of what nobody owns, the expiry of a lease whose holder is dead.
    pub(super) fn is_retried(&self, world: &World, step: &Step) -> bool {
        match *step {
            Step::Claim(_) | Step::Look(_) => true,
            Step::Expire => {
                let holder = world.owners.iter().flatten().find(|owner| owner.epoch == world.record.epoch);
                holder.is_none_or(|owner| owner.crashed)
            }
            Step::Deliver(message) => world.owners.iter().flatten().any(|owner| {
                owner.epoch == world.record.epoch && self.offers(world, *owner).contains(&message)
            }),
            _ => false,
        }
    }

    /// Whether the job goes on.
    pub(super) fn can_go_on(&self, world: &World) -> bool {
        let mut steps = Vec::new();
        self.actions(world, &mut steps);
        let mut retried = steps.into_iter().filter(|step| self.is_retried(world, step));
        retried.any(|step| self.take(world, &step).is_some())
    }
}
