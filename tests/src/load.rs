//! Traffic: appenders that note what they were promised, and clients that read and write shared keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flotilla_checker::record::{Action, Answer, Expected, Operation, Outcome as Heard, Text};
use flotilla_client::{Cas, Client, ClientError, Written};
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::oracle::{History, Outcome, sent};

/// Between two appends of one appender: ten of them still make thousands, and leave the machine to the cluster.
const PAUSE: Duration = Duration::from_millis(3);

/// Appenders at work, each with a client and a key of its own.
pub struct Appenders {
    stop: CancellationToken,
    acked: Arc<AtomicU64>,
    tasks: JoinSet<(String, History)>,
}

/// What the appenders were promised, by key.
pub type Histories = Vec<(String, History)>;

impl Appenders {
    /// Starts so many; they go on until they are stopped.
    pub async fn start(cluster: &Cluster, count: usize) -> Self {
        let keys = (0..count).map(|at| format!("appender-{at}"));
        Self::start_on(cluster, keys, PAUSE).await
    }

    /// Starts one for each key, with this pause between two of its appends.
    pub async fn start_on(
        cluster: &Cluster,
        keys: impl IntoIterator<Item = String>,
        pause: Duration,
    ) -> Self {
        let stop = CancellationToken::new();
        let acked = Arc::<AtomicU64>::default();
        let mut tasks = JoinSet::new();
        for key in keys {
            let appender = Appender { client: cluster.client().await, key, pause };
            tasks.spawn(appender.run(stop.clone(), acked.clone()));
        }
        Self { stop, acked, tasks }
    }

    /// How many appends have been acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Waits until so many more appends have been acknowledged: there is traffic, and it gets through.
    pub async fn more(&self, count: u64) {
        let wanted = self.acked() + count;
        let until = Instant::now() + Duration::from_secs(60);
        while self.acked() < wanted {
            let (acked, count) = (self.acked(), count);
            assert!(
                Instant::now() < until,
                "{acked} appends acknowledged, {count} more were expected within 60 s"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops them and gives what they noted.
    pub async fn stop(self) -> Histories {
        self.stop.cancel();
        self.tasks.join_all().await
    }

    /// Stops them, reads their keys and judges: every acknowledged append is there once and in order.
    pub async fn stop_and_judge(self, client: &Client) {
        let histories = self.stop().await;
        let acked: usize = histories.iter().map(|(_, history)| history.count(Outcome::Acked)).sum();
        let unknown: usize = histories.iter().map(|(_, history)| history.count(Outcome::Unknown)).sum();
        println!("{} appenders: {acked} appends acknowledged, {unknown} of unknown outcome", histories.len());
        judge(client, &histories).await;
    }
}

/// Reads the appenders' keys and judges them.
pub async fn judge(client: &Client, histories: &Histories) {
    for (key, history) in histories {
        assert!(history.count(Outcome::Acked) > 0, "{key}: nothing was acknowledged, so this proves nothing");
        let found = client.get(key.clone()).await.unwrap_or_else(|error| panic!("get {key}: {error}"));
        let value = found.map(|found| found.value).unwrap_or_default();
        history.verdict(&value).unwrap_or_else(|why| panic!("{key}: {why}"));
    }
}

struct Appender {
    client: Client,
    key: String,
    pause: Duration,
}

impl Appender {
    async fn run(self, stop: CancellationToken, acked: Arc<AtomicU64>) -> (String, History) {
        let Self { client, key, pause } = self;
        let mut history = History::default();
        for at in 0.. {
            if stop.is_cancelled() {
                break;
            }
            let token = format!("{key}.{at}");
            let outcome = match client.append(key.clone(), sent(&token)).await {
                Ok(_) => Outcome::Acked,
                Err(error) if error.is_indeterminate() => Outcome::Unknown,
                Err(_) => Outcome::Refused,
            };
            if outcome == Outcome::Acked {
                acked.fetch_add(1, Ordering::Relaxed);
            }
            history.note(token, outcome);
            sleep(pause).await;
        }
        (key, history)
    }
}

/// Clients that read and write a few shared keys at random, until stopped; gives everything they did and heard.
pub struct Sharers {
    stop: CancellationToken,
    tasks: JoinSet<Vec<Operation>>,
}

impl Sharers {
    /// Starts so many clients on these keys. Each does at most `each` operations: the judge's work grows with them.
    pub async fn start(cluster: &Cluster, clients: usize, keys: &[String], each: usize) -> Self {
        let stop = CancellationToken::new();
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for id in 0..clients {
            let sharer = Sharer { client: cluster.client().await, id, began, keys: keys.to_vec() };
            tasks.spawn(sharer.run(each, stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Waits until every client has done its share.
    pub async fn done(self) -> Vec<Operation> {
        self.tasks.join_all().await.concat()
    }

    /// Stops them early.
    pub async fn stop(self) -> Vec<Operation> {
        self.stop.cancel();
        self.done().await
    }
}

struct Sharer {
    client: Client,
    id: usize,
    began: Instant,
    keys: Vec<String>,
}

impl Sharer {
    async fn run(self, each: usize, stop: CancellationToken) -> Vec<Operation> {
        let mut history = Vec::new();
        // What this client saw last, so that some of its swaps fit.
        let mut seen: Option<Text> = None;
        for at in 0..each {
            if stop.is_cancelled() {
                break;
            }
            let (key, dice) = {
                let mut rng = rand::rng();
                (self.keys[rng.random_range(0..self.keys.len())].clone(), rng.random_range(0..100))
            };
            let action = action(dice, format!("{}.{at};", self.id), &seen);
            let operation = self.one(key, action).await;
            if let (Action::Get, Heard::Ok(answer)) = (&operation.action, &operation.outcome) {
                seen.clone_from(&answer.value);
            }
            history.push(operation);
            sleep(PAUSE).await;
        }
        history
    }

    /// Does one operation and writes down what was heard.
    async fn one(&self, key: String, action: Action) -> Operation {
        let called_ns = self.now();
        let answer = self.ask(key.clone(), &action).await;
        let returned_ns = Some(self.now());
        let (returned_ns, outcome) = match answer {
            Ok(answer) => (returned_ns, Heard::Ok(answer)),
            Err(error) if error.is_indeterminate() => (None, Heard::Unknown { why: error.to_string() }),
            Err(error) => (returned_ns, Heard::Fail { why: error.to_string() }),
        };
        Operation { client: self.id as u64, key: key.into(), action, called_ns, returned_ns, outcome }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a test ends within centuries")
    }

    async fn ask(&self, key: String, action: &Action) -> Result<Answer, ClientError> {
        match action {
            Action::Get => {
                let read = self.client.read(key).await?;
                let (value, version) = (read.value.map(Text), Some(read.version));
                Ok(Answer { value, done: true, version, config: Some(read.config), gid: Some(read.gid) })
            }
            Action::Put { value } => Ok(written(self.client.put(key, value.0.clone()).await?)),
            Action::Append { value } => Ok(written(self.client.append(key, value.0.clone()).await?)),
            Action::Delete => Ok(self.client.delete(key).await?.map(written).unwrap_or_default()),
            Action::Swap { expected, new } => {
                let (expected, new) = (wanted(expected), new.as_ref().map(|text| text.0.clone()));
                Ok(match self.client.compare_and_set(key, expected, new).await? {
                    Cas::Done(done) => written(done),
                    Cas::Failed { version } => Answer { version: Some(version), ..Answer::default() },
                })
            }
        }
    }
}

fn action(dice: u32, word: String, seen: &Option<Text>) -> Action {
    let value = Text::from(word);
    match dice {
        0..40 => Action::Get,
        40..70 => Action::Append { value },
        70..85 => Action::Put { value },
        85..90 => Action::Delete,
        _ => {
            let expected = seen.clone().map_or(Expected::Absent, Expected::Value);
            Action::Swap { expected, new: Some(value) }
        }
    }
}

fn wanted(expected: &Expected) -> flotilla_client::Expected {
    match expected {
        Expected::Absent => flotilla_client::Expected::Absent,
        Expected::Value(text) => flotilla_client::Expected::Value(text.0.clone()),
        Expected::Version(version) => flotilla_client::Expected::Version(*version),
    }
}

fn written(written: Written) -> Answer {
    let Written { version, config, gid } = written;
    Answer { value: None, done: true, version: Some(version), config: Some(config), gid: Some(gid) }
}
