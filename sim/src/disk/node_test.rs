//! A whole node on this disk: it can be crashed at any moment, and then nothing of it is left.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_node::{Node, NodeOptions, Settings};
use flotilla_proto::env::Environment;
use flotilla_proto::faults::{Faults, mark};
use flotilla_proto::net::{CallError, GrpcService, Lane, Listener, Network, NetworkError};
use flotilla_raft_store::Writer;
use flotilla_types::{ClusterId, GroupId, NodeId};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::util::BoxCloneSyncService;

use super::{DiskFaults, SimDisk, Target};
use crate::dice::Dice;

/// Nobody else is there.
struct Nobody;

struct Deaf(SocketAddr);

#[async_trait]
impl Listener for Deaf {
    fn address(&self) -> SocketAddr {
        self.0
    }

    async fn serve(self: Box<Self>, routes: Routes, stop: CancellationToken) -> Result<(), NetworkError> {
        stop.cancelled().await;
        drop(routes);
        Ok(())
    }
}

#[async_trait]
impl Network for Nobody {
    fn connect(&self, _: &str, _: Lane) -> Result<GrpcService, NetworkError> {
        let refuse = |_| async { Err(CallError("nobody is there".into())) };
        Ok(BoxCloneSyncService::new(tower::service_fn(refuse)))
    }

    async fn listen(&self, address: SocketAddr) -> Result<Box<dyn Listener>, NetworkError> {
        Ok(Box::new(Deaf(address)))
    }
}

fn options() -> NodeOptions {
    let listen: SocketAddr = ([10, 0, 0, 1], 1).into();
    NodeOptions {
        node: NodeId(1),
        cluster: ClusterId(5),
        dir: "/node".into(),
        listen,
        advertise: None,
        http: None,
        controllers: vec![(NodeId(1), listen.to_string())],
        bootstrap: true,
        shards: 8,
        zone: String::new(),
        settings: Settings { snapshot_log_entries: 5, ..Settings::default() },
    }
}

fn environment(seed: u64) -> Environment {
    Environment {
        random: Arc::new(Dice::new(seed)),
        network: Arc::new(Nobody),
        faults: Faults::counting(),
        ..Environment::real()
    }
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn crash_once(seed: u64) {
    let dice = Dice::new(seed);
    let disk = SimDisk::new(dice.fork("disk", 1));
    disk.set_faults(DiskFaults { sync_ms: (0, 4), ..DiskFaults::default() });
    for _ in 0..4 {
        let env = environment(dice.range(1, u64::MAX - 1));
        let (spawner, life) = (env.spawner.clone(), dice.millis(0, 3000));
        disk.set_faults(DiskFaults { stalled: dice.permille(300), ..disk.faults() });
        let starting = Node::start_on(options(), env, disk.open(), Writer::Task);
        // The crash may fall into the start, or the disk may stall for ever.
        let started = tokio::time::timeout(life, starting).await;
        if let Ok(Ok(node)) = started {
            tokio::time::sleep(life).await;
            let report = node.report();
            assert_eq!((report.node, report.storage_bytes), (1, 0));
            disk.fence();
            let crash = tokio::time::timeout(Duration::from_secs(60), node.crash()).await;
            crash.unwrap_or_else(|_| panic!("seed {seed}: a crash waits for something"));
        } else {
            disk.fence();
            spawner.stop().await;
        }
        match dice.permille(500) {
            true => disk.power_cut(),
            false => disk.kill(),
        }
        disk.set_faults(DiskFaults { stalled: false, ..disk.faults() });
        // openraft's tasks end on their own, once nobody holds their handles.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(tasks(), 0, "seed {seed}: tasks of a crashed node live on");
    }
    let env = environment(seed);
    let faults = env.faults.clone();
    let node = Node::start_on(options(), env, disk.open(), Writer::Task).await.expect("it starts");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (applied, digest) = node.digest(GroupId::CONTROLLER).expect("a controller");
    assert!(applied > 0 && digest != 0 && node.digest(GroupId(7)).is_none());
    assert!(faults.marks().contains_key(mark::ELECTION_WON), "{:?}", faults.marks());
    node.stop().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(tasks(), 0, "seed {seed}: tasks of a stopped node live on");
}

/// Runs a test in simulated time.
fn simulate(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().expect("a runtime").block_on(test);
}

#[test]
fn a_crashed_node_leaves_nothing_behind_and_starts_again() {
    (0..20).for_each(|seed| simulate(crash_once(seed)));
}

/// What the controller's replica is, and its problem.
fn controller(node: &Node) -> (String, String) {
    let replica = node.report().replicas.into_iter().find(|replica| replica.gid == 0);
    replica.map_or_else(Default::default, |replica| (replica.role, replica.problem))
}

#[test]
fn a_replica_whose_rows_could_not_be_written_for_a_while_comes_back() {
    simulate(async {
        let disk = SimDisk::new(Dice::new(3));
        let env = environment(3);
        let (failing, once) = (disk.clone(), std::sync::Once::new());
        // As soon as it leads: its first snapshot fails. The log is sound all the while.
        env.faults.on_mark(move |name| {
            if name == mark::ELECTION_WON {
                once.call_once(|| {
                    let only = Some(Target::Data);
                    failing.set_faults(DiskFaults {
                        write_errors_permille: 1000,
                        only,
                        ..DiskFaults::default()
                    });
                });
            }
        });
        let settings = Settings { snapshot_log_entries: 1, ..Settings::default() };
        let options = NodeOptions { settings, ..options() };
        let node = Node::start_on(options, env, disk.open(), Writer::Task).await.expect("it starts");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (role, problem) = controller(&node);
        assert!(role == "stopped" && problem.contains("injected"), "{role}: {problem}");
        disk.set_faults(DiskFaults::default());
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(controller(&node), ("leader".to_owned(), String::new()));
        node.stop().await;
    });
}
