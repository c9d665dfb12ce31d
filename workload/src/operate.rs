//! One operation through the client library, and how its answer is written down.

use flotilla_checker::record::{Action, Answer, Expected, Operation, Outcome, Text};
use flotilla_client::{Cas, Client, ClientError, Expected as Want, Read, Written};

use crate::stopwatch::Stopwatch;

/// Does it, with the stamps taken right before and right after.
pub(crate) async fn operate(
    client: &Client,
    stopwatch: &Stopwatch,
    who: u64,
    key: &str,
    action: Action,
) -> Operation {
    let called_ns = stopwatch.now_ns();
    let answer = act(client, key, &action).await;
    let returned_ns = stopwatch.now_ns();
    let (outcome, returned_ns) = match answer {
        Ok(answer) => (Outcome::Ok(answer), Some(returned_ns)),
        Err(error) if error.is_indeterminate() => (Outcome::Unknown { why: error.to_string() }, None),
        Err(error) => (Outcome::Fail { why: error.to_string() }, Some(returned_ns)),
    };
    Operation { client: who, key: key.to_owned().into(), action, called_ns, returned_ns, outcome }
}

async fn act(client: &Client, key: &str, action: &Action) -> Result<Answer, ClientError> {
    let key = key.to_owned();
    Ok(match action {
        Action::Get => read(client.read(key).await?),
        Action::Put { value } => written(client.put(key, value.0.clone()).await?),
        Action::Append { value } => written(client.append(key, value.0.clone()).await?),
        Action::Delete => client.delete(key).await?.map(written).unwrap_or_default(),
        Action::Swap { expected, new } => {
            let new = new.as_ref().map(|new| new.0.clone());
            match client.compare_and_set(key, want(expected), new).await? {
                Cas::Done(done) => written(done),
                Cas::Failed { version } => Answer { version: Some(version), ..Answer::default() },
            }
        }
    })
}

fn want(expected: &Expected) -> Want {
    match expected {
        Expected::Absent => Want::Absent,
        Expected::Value(value) => Want::Value(value.0.clone()),
        Expected::Version(version) => Want::Version(*version),
    }
}

fn read(read: Read) -> Answer {
    let Read { value, version, config, gid } = read;
    Answer {
        value: value.map(Text),
        done: true,
        version: Some(version),
        config: Some(config),
        gid: Some(gid),
    }
}

fn written(written: Written) -> Answer {
    let Written { version, config, gid } = written;
    Answer { value: None, done: true, version: Some(version), config: Some(config), gid: Some(gid) }
}
