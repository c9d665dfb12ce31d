//! Named locks with fencing tokens.
//!
//! A token is given out once, to one taking of one lock, and tokens only grow. So whoever guards a resource and remembers the
//! greatest token it has seen can refuse a holder whose lock ran out without its noticing. (M. Kleppmann, "How to do distributed
//! locking", 2016.)

use crate::api::command::{Lock, Unlock};
use crate::draft::Draft;
use crate::refusal::{Grant, Refusal, Verdict, ensure};
use crate::rows::LockRecord;

/// The longest name of a lock or a holder, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest time to live: an hour.
const TTL_MS_MAX: u64 = 3_600_000;

/// Takes a lock that is free or has run out, or renews one's own. A renewal keeps the token and never shortens the time.
pub(crate) fn lock(draft: &mut Draft<'_, '_, '_>, wish: &Lock, now_ms: u64) -> Verdict {
    check_name("name", &wish.name)?;
    check_name("holder", &wish.holder)?;
    ensure((1..=TTL_MS_MAX).contains(&wish.ttl_ms), || {
        format!("ttl_ms: {} is not in 1..={TTL_MS_MAX}; choose a time in that range", wish.ttl_ms)
    })?;
    let now_ms = draft.counters.time_ms.max(now_ms);
    let expires_at_ms = now_ms.saturating_add(wish.ttl_ms);
    let held = draft.locks.get(&wish.name).filter(|lock| lock.expires_at_ms > now_ms).cloned();
    let record = match held {
        Some(lock) if lock.holder != wish.holder => return Err(held_by(&wish.name, lock)),
        Some(lock) => LockRecord { expires_at_ms: lock.expires_at_ms.max(expires_at_ms), ..lock },
        None => {
            make_room(draft, &wish.name, now_ms)?;
            draft.counters().token += 1;
            LockRecord { holder: wish.holder.clone(), token: draft.counters.token, expires_at_ms }
        }
    };
    draft.counters().time_ms = now_ms;
    draft.put_lock(&wish.name, record.clone());
    Ok(Grant {
        token: record.token,
        holder: record.holder,
        expires_at_ms: record.expires_at_ms,
        ..Grant::default()
    })
}

/// Gives a lock back, also one that ran out and that nobody took since.
pub(crate) fn unlock(draft: &mut Draft<'_, '_, '_>, wish: &Unlock, now_ms: u64) -> Verdict {
    check_name("name", &wish.name)?;
    let Some(lock) = draft.locks.get(&wish.name).cloned() else {
        return Err(Refusal::not_found(format!("name: nobody holds lock {:?}", wish.name)));
    };
    if lock.token != wish.token {
        let message = format!("token: {} is not the one that holds lock {:?}", wish.token, wish.name);
        return Err(Refusal { held: Some((lock.holder, lock.expires_at_ms)), ..Refusal::refused(message) });
    }
    draft.counters().time_ms = draft.counters.time_ms.max(now_ms);
    draft.remove_lock(&wish.name);
    Ok(Grant::default())
}

fn check_name(field: &str, text: &str) -> Result<(), Refusal> {
    ensure((1..=NAME_BYTES_MAX).contains(&text.len()), || {
        format!("{field}: {} bytes, not 1 to {NAME_BYTES_MAX}; choose another one", text.len())
    })
}

fn held_by(name: &str, lock: LockRecord) -> Refusal {
    let (holder, until) = (lock.holder, lock.expires_at_ms);
    let message = format!("lock {name:?} is held by {holder:?} until {until} ms; retry then");
    Refusal { held: Some((holder, until)), ..Refusal::refused(message) }
}

/// Makes room for one more lock. Those that ran out go only now, when they are in the way.
fn make_room(draft: &mut Draft<'_, '_, '_>, name: &str, now_ms: u64) -> Result<(), Refusal> {
    let limit = draft.options.locks_max;
    if draft.locks.contains_key(name) || draft.locks.len() < limit {
        return Ok(());
    }
    let run_out = draft.locks.iter().filter(|(_, lock)| lock.expires_at_ms <= now_ms);
    let run_out: Vec<_> = run_out.map(|(name, _)| name.clone()).collect();
    if run_out.is_empty() {
        let message =
            format!("name: {limit} locks are held, which is the limit; retry when one is given back");
        return Err(Refusal::too_many(message));
    }
    run_out.iter().for_each(|name| draft.remove_lock(name));
    Ok(())
}
