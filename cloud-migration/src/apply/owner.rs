//! Who drives a migration: claims, and the leases on them.

use crate::apply::event;
use crate::record::{Owner, Record};
use crate::refusal::{Refusal, Why, ensure};

/// The next epoch, if there is something to do and nobody's lease stands. A migration that is over can be claimed too: its
/// compensations are driven by an owner like everything else.
pub(super) fn claim(record: &mut Record, node: u64, now_ms: u64) -> Result<u64, Refusal> {
    ensure(node >= 1, || "node: 0 is no node; ids start at 1".to_owned())?;
    if !record.is_owed() {
        let message = format!("migration {} is over and tidied up; there is nothing to own", record.id);
        return Err(Refusal::new(Why::Terminal(record.state()), message));
    }
    let before = record.owner.unwrap_or_default();
    if before.leased {
        let message = format!(
            "migration {} is driven by node {}; claim when its lease is over",
            record.id, before.node
        );
        return Err(Refusal::refused(message));
    }
    let epoch = before.epoch + 1;
    record.owner = Some(Owner { node, epoch, leased: true, renewals: before.renewals });
    event(record, now_ms, format!("node {node} drives it (epoch {epoch})"));
    Ok(epoch)
}

/// The owner is alive.
pub(super) fn renew(record: &mut Record, epoch: u64) -> Result<u64, Refusal> {
    let owner = current(record, epoch)?;
    owner.renewals += 1;
    Ok(epoch)
}

/// The lease ends: given back, or found to have stood still for too long. That is a command, and never a clock in here.
pub(super) fn release(record: &mut Record, epoch: u64) -> Result<u64, Refusal> {
    current(record, epoch)?.leased = false;
    Ok(epoch)
}

fn current(record: &mut Record, epoch: u64) -> Result<&mut Owner, Refusal> {
    let (id, now) = (record.id, record.epoch());
    let owner = record.owner.as_mut().filter(|owner| owner.epoch == epoch && owner.leased);
    let fenced =
        || Refusal::new(Why::Fenced, format!("epoch: {epoch} is over; migration {id} is at epoch {now}"));
    owner.ok_or_else(fenced)
}
