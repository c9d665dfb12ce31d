//! What a node does that believes it owns the job. Nothing is kept in memory but the epoch of its claim and the state
//! last seen, so whatever it does may be done again by the next owner.

use flotilla_cloud_migration::State;

use super::omission::Omission;
use super::record::Command;
use super::world::{Message, Owner, World};
use super::{GROUPS, Migration};

impl Migration {
    /// Everything that an owner may send now. (What it may send it has sent: a message that must not arrive yet is one
    /// that is late.)
    pub(super) fn offers(&self, world: &World, owner: Owner) -> Vec<Message> {
        if owner.crashed {
            return Vec::new();
        }
        let mut commands = Vec::new();
        let mut messages = Vec::new();
        match owner.seen {
            State::Init => commands.push(Command::Advance { to: State::Setup }),
            State::Setup => self.set_up(world, &mut commands, &mut messages),
            State::Dump => self.dump(world, &mut commands),
            State::Upload => upload(world, &mut commands, &mut messages),
            State::Done | State::Error | State::Cancelled => {}
        }
        if !owner.seen.is_terminal() {
            commands.push(Command::Advance { to: State::Error });
        }
        if owner.seen >= State::Upload {
            compensate(world, &mut commands, &mut messages);
        }
        messages.extend(commands.into_iter().map(|command| Message::Command(owner.epoch, command)));
        messages
    }

    fn set_up(&self, world: &World, commands: &mut Vec<Command>, messages: &mut Vec<Message>) {
        for (group, at) in world.groups.iter().enumerate() {
            messages.push(Message::Freeze(group));
            if at.frozen {
                commands.push(Command::Frozen { group, counter: at.counter });
            }
        }
        if !world.record.acks.contains(&None) || self.omits(Omission::DumpBeforeAcks) {
            commands.push(Command::Advance { to: State::Dump });
        }
    }

    /// A group is read while it is frozen. It cannot be frozen twice by one job, so that it is frozen now proves that
    /// it has been since its acknowledgement.
    fn dump(&self, world: &World, commands: &mut Vec<Command>) {
        for (group, at) in world.groups.iter().enumerate() {
            if at.frozen || self.omits(Omission::DumpUnfrozen) {
                commands.push(Command::Dumped { group, counter: at.counter });
            }
        }
        if !world.record.files.contains(&None) {
            commands.push(Command::Advance { to: State::Upload });
        }
    }
}

fn upload(world: &World, commands: &mut Vec<Command>, messages: &mut Vec<Message>) {
    commands.extend((0..GROUPS).map(|group| Command::Uploaded { group }));
    let is_uploaded = !world.record.uploaded.contains(&false);
    if let [Some(first), Some(second)] = world.record.files
        && is_uploaded
    {
        messages.push(Message::Manifest([first, second]));
    }
    if world.manifest.is_some() {
        commands.push(Command::Advance { to: State::Done });
    }
}

fn compensate(world: &World, commands: &mut Vec<Command>, messages: &mut Vec<Message>) {
    for group in (0..GROUPS).filter(|group| world.record.thaws[*group]) {
        messages.push(Message::Thaw(group));
        if world.groups[group].thawed {
            commands.push(Command::Thawed { group });
        }
    }
}
