//! Raft-store's own store and groups of one on this disk: crashed at every operation, damaged everywhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::env::Environment;
use flotilla_raft_store::{
    Disk, Group, GroupLimits, GroupOptions, LogEngine, Peer, ReplicaId, Store, StoreError, StoreOptions,
    Writer,
};
use flotilla_types::engine::Reader;
use flotilla_types::{
    ClusterId, ConfigNum, EngineError, GroupId, Machine, MemberId, NodeId, Txn, Wire, WireError, WriteBatch,
};

use super::{DiskFaults, SimDisk, Target};
use crate::dice::Dice;

/// A list of words, each a row.
#[derive(Clone, Debug, PartialEq)]
struct Words(u64);

#[derive(Clone, Debug, PartialEq)]
struct Word(Bytes);

impl Wire for Word {
    fn encode_to(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.0);
    }

    fn decode_from(bytes: Bytes) -> Result<Self, WireError> {
        Ok(Self(bytes))
    }
}

impl Machine for Words {
    type Options = ();
    type Command = Word;
    type Response = Word;
    type Query = ();
    type Answer = Vec<Bytes>;
    type Action = ();
    type Outcome = ();

    fn open((): &(), rows: &dyn Reader) -> Result<Self, EngineError> {
        let mut count = 0;
        for row in rows.scan(&[], &[]) {
            row?;
            count += 1;
        }
        Ok(Self(count))
    }

    fn apply(&mut self, rows: &mut Txn<'_>, command: Word) -> Result<Word, EngineError> {
        rows.put(self.0.to_be_bytes().to_vec(), command.0.clone());
        self.0 += 1;
        Ok(command)
    }

    fn query(&self, rows: &dyn Reader, (): ()) -> Result<Vec<Bytes>, EngineError> {
        rows.scan(&[], &[]).map(|row| row.map(|(_, value)| value)).collect()
    }

    fn actions(&self) -> Vec<()> {
        Vec::new()
    }

    fn resolve(&self, (): &(), (): ()) -> Option<Word> {
        None
    }
}

fn environment() -> Environment {
    Environment { random: Arc::new(Dice::new(9)), ..Environment::real() }
}

fn options(disk: Arc<dyn Disk>) -> StoreOptions {
    StoreOptions { dir: "/node".into(), cluster: ClusterId(1), node: NodeId(1), disk, writer: Writer::Task }
}

const REPLICA: ReplicaId = ReplicaId { gid: GroupId(1), incarnation: ConfigNum(1), member: MemberId(1) };

/// One start of the only node.
struct Running {
    env: Environment,
    store: Arc<Store>,
    group: Group<Words>,
}

impl Running {
    async fn start(disk: &SimDisk) -> Result<Self, StoreError> {
        let env = environment();
        let opened = Self::open(disk, &env).await;
        match opened {
            Ok((store, group)) => Ok(Self { env, store, group }),
            Err(error) => {
                env.spawner.stop().await;
                Err(error)
            }
        }
    }

    async fn open(disk: &SimDisk, env: &Environment) -> Result<(Arc<Store>, Group<Words>), StoreError> {
        let store = Store::open(options(disk.open()), env)?;
        let limits = GroupLimits {
            snapshot_entries: 12,
            keep_entries: 3,
            tail_bytes_max: 256,
            ..GroupLimits::default()
        };
        let group =
            Group::open(GroupOptions { limits, ..GroupOptions::new(REPLICA, ()) }, &store, env).await?;
        let peer = Peer { node: NodeId(1), address: "nowhere:1".to_owned() };
        // It was initialised before, or the disk is failing: the next proposal will tell.
        drop(group.initialize([(MemberId(1), peer)].into()).await);
        Ok((store, group))
    }

    async fn leads(&self) -> bool {
        let mut progress = self.group.watch();
        let role = flotilla_raft_store::Role::Leader;
        let led = progress.wait_for(|progress| {
            progress.role == role || progress.role == flotilla_raft_store::Role::Stopped
        });
        tokio::time::timeout(Duration::from_secs(60), led).await.is_ok() && self.group.is_leader()
    }

    async fn crash(self) {
        self.env.spawner.token().cancel();
        self.group.crash().await;
        self.env.spawner.stop().await;
        self.store.close();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

/// What a client was promised.
#[derive(Default)]
struct Promised {
    next: u64,
    acknowledged: Vec<Bytes>,
    unknown: BTreeSet<Bytes>,
}

impl Promised {
    /// Proposes words until something fails.
    async fn write(&mut self, running: &Running, count: usize) {
        for _ in 0..count {
            let word = Bytes::from(format!("word-{}", self.next));
            self.next += 1;
            match running.group.propose(Word(word.clone())).await {
                Ok(_) => self.acknowledged.push(word),
                Err(_) => {
                    self.unknown.insert(word);
                    return;
                }
            }
        }
    }

    /// Everything acknowledged is there in order, and nothing but that and what is unknown; once each.
    fn check(&self, found: &[Bytes]) -> Result<(), String> {
        let surely: Vec<_> = found.iter().filter(|word| !self.unknown.contains(*word)).cloned().collect();
        if surely != self.acknowledged {
            return Err(format!("{} words acknowledged, {} found", self.acknowledged.len(), surely.len()));
        }
        let distinct: BTreeSet<_> = found.iter().collect();
        (distinct.len() == found.len()).then_some(()).ok_or_else(|| "a word is there twice".to_owned())
    }
}

/// Writes, crashes in the middle of something, starts again: so many times. The first broken promise, if any.
async fn crash_often(seed: u64, lying: bool, times: usize) -> Result<(), String> {
    let dice = Dice::new(seed);
    let disk = SimDisk::new(dice.fork("disk", 1));
    disk.set_faults(DiskFaults { sync_ms: (0, 3), lying, ..DiskFaults::default() });
    let mut promised = Promised::default();
    for _ in 0..times {
        disk.fence_after(dice.range(5, 900));
        if let Ok(running) = Running::start(&disk).await {
            disk.fence_after(dice.range(1, 300));
            if running.leads().await {
                let found = running.group.read(()).await;
                found.map_or(Ok(()), |found| promised.check(&found))?;
                promised.write(&running, 60).await;
            }
            disk.fence();
            running.crash().await;
        }
        match dice.permille(700) {
            true => disk.power_cut(),
            false => disk.kill(),
        }
    }
    let running = Running::start(&disk).await.map_err(|error| error.to_string())?;
    let leads = running.leads().await;
    let found = if leads {
        running.group.read(()).await.map_err(|error| error.to_string())
    } else {
        Err("no leader".to_owned())
    };
    running.crash().await;
    if promised.acknowledged.is_empty() {
        return Err("nothing was ever acknowledged".to_owned());
    }
    promised.check(&found?)
}

/// The seeds to try; more of them, or one, with `FLOTILLA_DISK_SEEDS=first..last`.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("FLOTILLA_DISK_SEEDS").ok();
    let range = given.as_deref().and_then(|text| text.split_once(".."));
    let range = range.and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    range.unwrap_or(0..16)
}

#[test]
fn crashes_at_any_operation_lose_nothing_that_was_promised() {
    // 1036: an old snapshot came back, empty, after the one that replaced it had been forgotten.
    for seed in seeds().chain([1036]) {
        let outcome = runtime().block_on(crash_often(seed, false, 12));
        assert_eq!(outcome, Ok(()), "seed {seed}");
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let caught = seeds().filter(|seed| runtime().block_on(crash_often(*seed, true, 12)).is_err());
    let caught = caught.count() as u64;
    let count = seeds().end - seeds().start;
    assert!(caught > count / 2, "{caught} of {count} seeds");
}

/// A disk with some hundred words, its node stopped by a kill.
async fn filled(seed: u64) -> (SimDisk, Promised) {
    let disk = SimDisk::new(Dice::new(seed));
    let running = Running::start(&disk).await.expect("a new disk");
    assert!(running.leads().await);
    let mut promised = Promised::default();
    promised.write(&running, 150).await;
    assert_eq!(promised.acknowledged.len(), 150);
    disk.fence();
    running.crash().await;
    disk.kill();
    (disk, promised)
}

/// Whether the damage was noticed: at the start, or by a replica that stops. What is answered must be right.
async fn noticed(disk: &SimDisk, promised: &Promised) -> Result<bool, String> {
    let Ok(running) = Running::start(disk).await else { return Ok(true) };
    let mut noticed = !running.leads().await;
    if !noticed {
        match running.group.read(()).await {
            Ok(found) => promised.check(&found)?,
            Err(_) => {
                noticed = true;
                let stopped = tokio::time::timeout(Duration::from_secs(60), running.group.stopped()).await;
                stopped.map_err(|_| "a replica with rows that cannot be read goes on".to_owned())?;
            }
        }
    }
    running.crash().await;
    Ok(noticed)
}

/// Damages a file of the kind once for each seed; how many seeds noticed. Panics if wrong answers were given.
fn rotten(target: Target) -> u64 {
    let rot = |seed: &u64| {
        let (disk, promised) = runtime().block_on(filled(*seed));
        let what = match seed % 2 {
            0 => disk.rot(target),
            _ => disk.truncate(target),
        };
        let what = what.expect("there is such a file");
        let noticed = runtime().block_on(noticed(&disk, &promised));
        noticed.unwrap_or_else(|error| panic!("{target:?}, seed {seed}, {what}: {error}"))
    };
    seeds().filter(rot).count() as u64
}

#[test]
fn rot_is_noticed_or_harmless_and_never_believed() {
    let all = seeds().end - seeds().start;
    assert_eq!(rotten(Target::Identity), all);
    assert!(rotten(Target::Log) > all / 3);
    assert!(rotten(Target::Data) > all / 3);
    assert!(rotten(Target::Snapshot) > all / 4);
    // One of two slots may go, and most of its bytes mean nothing.
    rotten(Target::Mark);
}

#[test]
fn an_older_image_is_believed_by_the_disk_alone_and_an_empty_one_is_a_new_disk() {
    runtime().block_on(async {
        let (disk, promised) = filled(1).await;
        let old = disk.image();
        let running = Running::start(&disk).await.expect("starts");
        assert!(running.leads().await);
        running.group.propose(Word("later".into())).await.expect("a write");
        running.crash().await;
        disk.set_image(old);
        // No checksum can tell: only the cluster can, by its directory and by the other replicas.
        assert_eq!(noticed(&disk, &promised).await, Ok(false));
        let before = *Store::open(options(disk.open()), &environment()).expect("opens").identity();
        disk.set_image(super::Image::default());
        let env = Environment::real();
        let after = *Store::open(options(disk.open()), &env).expect("opens").identity();
        assert_ne!(before.disk, after.disk);
    });
}

#[test]
fn a_destroyed_replica_stays_destroyed() {
    for seed in 0..30 {
        runtime().block_on(async {
            let (disk, _) = filled(seed).await;
            let env = environment();
            let store = Store::open(options(disk.open()), &env).expect("opens");
            assert_eq!(store.replicas().expect("a list"), [REPLICA]);
            store.destroy_replica(REPLICA).await.expect("destroyed");
            drop(store);
            disk.power_cut();
            let again = Store::open(options(disk.open()), &env).expect("opens");
            assert!(again.replicas().expect("a list").is_empty());
            assert!(again.is_destroyed(REPLICA).expect("a note"), "seed {seed}");
            drop(again);
            let made =
                Running::start(&disk).await.err().expect("an empty replica would have forgotten its vote");
            assert!(matches!(made, StoreError::Destroyed(REPLICA)), "{made}");
            let there = disk.image().all_files().into_iter().any(|(path, _)| path.starts_with("/node/data"));
            assert!(!there, "seed {seed}: rows that nobody will ever remove");
        });
    }
}

#[test]
fn a_full_or_failing_disk_stops_the_replica_and_promises_nothing() {
    let failing = [
        DiskFaults { full: true, ..DiskFaults::default() },
        DiskFaults { write_errors_permille: 1000, ..DiskFaults::default() },
        DiskFaults { sync_errors_permille: 1000, ..DiskFaults::default() },
    ];
    for faults in failing {
        runtime().block_on(async {
            let (disk, mut promised) = filled(2).await;
            let running = Running::start(&disk).await.expect("starts");
            assert!(running.leads().await);
            disk.set_faults(faults.clone());
            promised.write(&running, 1).await;
            assert_eq!(promised.unknown.len(), 1, "{faults:?}");
            disk.set_faults(DiskFaults::default());
            running.group.stopped().await;
            running.crash().await;
            disk.power_cut();
            assert_eq!(noticed(&disk, &promised).await, Ok(false), "{faults:?}");
        });
    }
}

#[test]
fn a_stall_holds_acknowledgements_back_and_nothing_else() {
    runtime().block_on(async {
        let (disk, _) = filled(3).await;
        let running = Running::start(&disk).await.expect("starts");
        assert!(running.leads().await);
        disk.set_faults(DiskFaults { stalled: true, ..DiskFaults::default() });
        let write = running.group.propose(Word("slow".into()));
        assert!(tokio::time::timeout(Duration::from_secs(2), write).await.is_err());
        disk.set_faults(DiskFaults::default());
        running.group.propose(Word("quick".into())).await.expect("it goes on");
        running.crash().await;
    });
}

#[test]
fn the_log_recovers_up_to_the_first_bad_record_and_a_zombie_touches_nothing() {
    let disk = SimDisk::new(Dice::new(4));
    let batch = |n: u8| {
        let mut batch = WriteBatch::default();
        batch.put(vec![n], vec![n; 10]);
        batch
    };
    let write = |log: &Arc<dyn LogEngine>, n: u8| log.write(batch(n));
    let old = disk.open();
    let zombie = old.open_log("/log".as_ref()).expect("open");
    (0..5).for_each(|n| write(&zombie, n).expect("write"));
    let new = disk.open();
    assert_eq!(write(&zombie, 9).expect_err("fenced").kind(), std::io::ErrorKind::BrokenPipe);
    assert!(
        old.files().create_dir("/x".as_ref()).is_err() && old.files().read("/log/MANIFEST".as_ref()).is_err()
    );
    let image = disk.image();
    let wal = image.all_files().into_iter().find(|(path, _)| path.to_string_lossy().ends_with(".wal"));
    let (_, wal) = wal.expect("a wal");
    let mut image = image;
    // In the third of five records.
    image.flip(wal, 8 * (image.bytes(wal).len() as u64 / 2));
    drop(new);
    disk.set_image(image);
    let log = disk.open().open_log("/log".as_ref()).expect("opens");
    let mut found = Vec::new();
    log.scan(&[], &[255], &mut |key, _| {
        found.extend_from_slice(key);
        Ok(true)
    })
    .expect("scan");
    assert_eq!(found, [0, 1]);
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        runtime().block_on(async {
            let disk = filled(seed).await.0;
            disk.counts()
        })
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).hash, run(6).hash);
}
