//! A group as a migration sees it: it counts writes, and can be read-only.

use super::Migration;
use super::omission::Omission;

/// One group's log, applied. There is one migration, so one freeze id.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Group {
    /// Writes applied.
    pub counter: u8,
    /// Writes that entered and are not applied yet.
    pub entered: u8,
    /// Writes refused.
    pub refused: u8,
    /// Whether it is read-only.
    pub frozen: bool,
    /// The mark of a thaw: the freeze of this job is over here for ever.
    pub thawed: bool,
}

impl Migration {
    /// A client's write enters at some node. What that node knows of a freeze may be old.
    pub(super) fn enter_write(&self, group: &Group) -> Option<Group> {
        let sent = group.counter + group.entered + group.refused;
        let stopped = group.frozen && self.omits(Omission::FreezeAtTheEdge);
        (sent < self.writes && !stopped).then(|| Group { entered: group.entered + 1, ..*group })
    }

    /// A write is applied: the freeze is checked here, where every replica sees the same.
    pub(super) fn apply_write(&self, group: &Group) -> Option<Group> {
        let entered = group.entered.checked_sub(1)?;
        if group.frozen && !self.omits(Omission::FreezeAtTheEdge) {
            return Some(Group { entered, refused: group.refused + 1, ..*group });
        }
        Some(Group { entered, counter: group.counter + 1, ..*group })
    }

    /// Freeze: refused once it was thawed.
    pub(super) fn freeze(&self, group: &Group) -> Option<Group> {
        let over = group.thawed && !self.omits(Omission::FreezeWithoutMark);
        (!group.frozen && !over).then_some(Group { frozen: true, ..*group })
    }

    /// Thaw, of the job or because the freeze lapsed. It leaves its mark also where nothing was frozen yet.
    pub(super) fn thaw(&self, group: &Group) -> Option<Group> {
        let next = Group { frozen: false, thawed: true, ..*group };
        (next != *group).then_some(next)
    }
}
