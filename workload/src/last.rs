//! The last reads: every key once more, when all is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_checker::record::{Action, Line, Outcome};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::operate::operate;
use crate::site::Site;

/// How many keys are read at a time.
const READERS: usize = 8;
/// Between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Keys that could not be read in time: a healed cluster must answer for every key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} keys could not be read within {:.1} s, among them {}: {why}", keys.len(), within.as_secs_f64(), keys[0])]
pub struct Unread {
    /// Which; at least one.
    pub keys: Vec<String>,
    /// How long it was tried.
    pub within: Duration,
    /// What was heard last.
    pub why: String,
}

/// Reads each key until it answers; `first` is the number of the first client to connect.
pub async fn last_reads(
    site: &Site,
    first: u64,
    keys: Vec<String>,
    within: Duration,
) -> Result<(), Box<Unread>> {
    let until = Instant::now() + within;
    let left = Arc::new(Mutex::new(keys));
    let mut readers = JoinSet::new();
    for number in 0..READERS as u64 {
        readers.spawn(read_all(site.clone(), first + number, left.clone(), until));
    }
    let failed: Vec<(String, String)> = readers.join_all().await.into_iter().flatten().collect();
    let mut unread: Vec<String> = failed.iter().map(|(key, _)| key.clone()).collect();
    unread.append(&mut left.lock().unwrap_or_else(PoisonError::into_inner));
    if unread.is_empty() {
        return Ok(());
    }
    let why = failed.into_iter().next().map_or_else(|| "nobody could connect".to_owned(), |(_, why)| why);
    Err(Box::new(Unread { keys: unread, within, why }))
}

async fn read_all(
    site: Site,
    number: u64,
    left: Arc<Mutex<Vec<String>>>,
    until: Instant,
) -> Option<(String, String)> {
    let client = loop {
        match timeout_at(until, Box::pin(site.connect(number))).await {
            Ok(Ok(client)) => break client,
            Ok(Err(_)) => sleep(RETRY_INTERVAL).await,
            Err(_) => return None,
        }
    };
    let who = site.new_client();
    loop {
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let key = next?;
        loop {
            let operation = operate(&client, site.stopwatch(), who, &key, Action::Get).await;
            let outcome = operation.outcome.clone();
            site.sink().put(Line::Op(operation));
            match outcome {
                Outcome::Ok(_) => break,
                Outcome::Fail { why } | Outcome::Unknown { why } if Instant::now() >= until => {
                    return Some((key, why));
                }
                _ => sleep(RETRY_INTERVAL).await,
            }
        }
    }
}
