//! Disks that are not ours, in use, damaged or incomplete; replicas that die.

mod common;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use common::machine::{APPEND, Answer, FAIL, Kv, PANIC, PUT, Query, command};
use common::{CLUSTER, Node, PATIENCE, crash_image, eventually, replica, single};
use flotilla_proto::env::Environment;
use flotilla_raft_store::{
    DataEngine, Disk, Group, GroupLimits, GroupOptions, LogEngine, Peer, ProposeError, ReadError, ReplicaId,
    RocksDisk, RocksOptions, Role, Store, StoreError, StoreOptions, Visit,
};
use flotilla_types::{ClusterId, EngineError, GroupId, MemberId, NodeId, WriteBatch};

fn open(dir: &Path) -> Result<Arc<Store>, StoreError> {
    Store::open(StoreOptions::new(dir, CLUSTER, NodeId(1)), &Environment::real())
}

/// A stopped node's directory with some commands in its log.
async fn used() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    for _ in 0..100 {
        node.group.propose(command(APPEND, "a", vec![b'x'; 100])).await.expect("a write");
    }
    node.stop().await;
    dir
}

/// The newest file of the log's WAL that holds anything.
fn wal(dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(dir.join("log")).expect("list").map(|entry| entry.expect("entry").path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let filled = logs.filter(|path| path.metadata().expect("metadata").len() > 0);
    filled.max().expect("a WAL")
}

/// How far the file is filled: recycled files end in old bytes, new ones do not.
fn filled(path: &Path) -> u64 {
    path.metadata().expect("metadata").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_refused_to_others() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path()).expect("a new directory");
    let identity = *store.identity();
    let error = open(dir.path()).expect_err("in use");
    assert!(matches!(error, StoreError::Locked { .. }) && error.to_string().contains("LOCK"), "{error}");
    drop(store);
    let other = StoreOptions::new(dir.path(), CLUSTER, NodeId(2));
    let error = Store::open(other, &Environment::real()).expect_err("another node");
    assert!(error.to_string().contains("node 1") && error.to_string().contains("node 2"), "{error}");
    let other = StoreOptions::new(dir.path(), ClusterId(1), NodeId(1));
    assert!(matches!(Store::open(other, &Environment::real()), Err(StoreError::Foreign { .. })));
    assert_eq!(open(dir.path()).expect("its own").identity(), &identity);
    std::fs::remove_file(dir.path().join("identity")).expect("remove");
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("write");
    assert!(matches!(open(&file), Err(StoreError::Io { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flip_in_the_middle_of_the_log_is_noticed() {
    let dir = used().await;
    let wal = wal(dir.path());
    let size = filled(&wal);
    for eighth in 1..8 {
        let image = crash_image(dir.path());
        let copy = image.path().join("log").join(wal.file_name().expect("a name"));
        let file = std::fs::File::options().read(true).write(true).open(copy).expect("open");
        let mut byte = [0];
        file.read_exact_at(&mut byte, size * eighth / 8).expect("read");
        file.write_all_at(&[byte[0] ^ 0x10], size * eighth / 8).expect("write");
        let error = open(image.path()).expect_err("rot");
        assert!(matches!(error, StoreError::Rot { .. } | StoreError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_opens_and_a_lost_synced_one_does_not() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    for _ in 0..20 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
    }
    // The mark may lag after a power cut, and the log may then end in the middle of a record.
    let mark = std::fs::read(dir.path().join("mark")).expect("the mark");
    for _ in 0..20 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
    }
    let image = crash_image(dir.path());
    node.stop().await;
    let log = std::fs::File::options().write(true).open(wal(image.path())).expect("open");
    let size = filled(&wal(image.path()));
    log.set_len(size - 7).expect("truncate");
    assert!(matches!(open(image.path()), Err(StoreError::Rot { .. })), "the mark says it was synced");
    std::fs::write(image.path().join("mark"), &mark).expect("write");
    let again = Node::start(1, image.path(), None, &GroupLimits::default()).await;
    eventually("it leads", || again.group.is_leader()).await;
    let Ok(Answer::Value(Some(value))) = again.group.read(Query::Get("a")).await else { panic!("no value") };
    assert!((20..=40).contains(&value.len()), "{}", value.len());
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_survives_a_crash() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    for _ in 0..100 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
    }
    let image = crash_image(dir.path());
    let again = Node::start(1, image.path(), None, &GroupLimits::default()).await;
    eventually("it leads", || again.group.is_leader()).await;
    let answer = again.group.read(Query::Get("a")).await;
    assert_eq!(answer, Ok(Answer::Value(Some(vec![b'x'; 100].into()))));
    again.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_its_data_or_its_log_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let limits = GroupLimits { snapshot_entries: 10, keep_entries: 1, ..GroupLimits::default() };
    let node = single(dir.path(), &limits).await;
    for _ in 0..50 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
    }
    eventually("the log is purged", || node.group.status().purged > Some(10)).await;
    node.stop().await;
    let image = crash_image(dir.path());
    std::fs::remove_dir_all(image.path().join("data").join(replica(1).to_string())).expect("remove");
    let store = open(image.path()).expect("the store");
    let options = || GroupOptions::<Kv>::new(replica(1), ());
    let env = Environment::real();
    let error = Group::open(options(), &store, &env).await.expect_err("no data");
    assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("g1-i1-m1"), "{error}");
    store.destroy_replica(replica(1)).await.expect("destroy");
    drop(store);
    let store = open(image.path()).expect("the store");
    assert_eq!(store.replicas().expect("list"), []);
    let error = Group::open(options(), &store, &env).await.expect_err("it would have forgotten its vote");
    assert!(matches!(error, StoreError::Destroyed(id) if id == replica(1)), "{error}");
    let data = image.path().join("data").join(replica(2).to_string());
    std::fs::create_dir_all(&data).expect("create");
    let current = dir.path().join("data").join(replica(1).to_string()).join("CURRENT");
    std::fs::copy(current, data.join("CURRENT")).expect("copy");
    let options = GroupOptions::<Kv>::new(replica(2), ());
    let error = Group::open(options, &store, &env).await.expect_err("no log");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_share_a_log_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    let env = Environment::real();
    let other = ReplicaId { gid: GroupId(2), ..replica(7) };
    let options = || GroupOptions::<Kv>::new(other, ());
    let group = Group::open(options(), &node.store, &env).await.expect("another group");
    assert!(
        matches!(Group::open(options(), &node.store, &env).await, Err(StoreError::Open(id)) if id == other)
    );
    group.initialize([(MemberId(7), node.peer())].into()).await.expect("initialize");
    eventually("it leads", || group.is_leader()).await;
    for _ in 0..30 {
        let (one, two) = (node.group.clone(), group.clone());
        let (one, two) =
            tokio::join!(one.propose(command(APPEND, "a", "1")), two.propose(command(APPEND, "a", "2")));
        one.and(two).expect("both writes");
    }
    assert_eq!(node.store.replicas().expect("list"), [replica(1), other]);
    group.shutdown().await;
    drop(group);
    node.store.destroy_replica(other).await.expect("destroy");
    assert_eq!(node.store.replicas().expect("list"), [replica(1)]);
    let answer = node.group.read(Query::Get("a")).await;
    assert_eq!(answer, Ok(Answer::Value(Some(vec![b'1'; 30].into()))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_or_a_failure_in_apply_stops_the_replica_and_says_so() {
    for (what, expected) in [(PANIC, "told to panic"), (FAIL, "told to fail")] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let node = single(dir.path(), &GroupLimits::default()).await;
        node.group.propose(command(APPEND, "a", "1")).await.expect("a write");
        let answer = node.group.propose(command(what, "a", "")).await;
        assert!(matches!(answer, Err(ProposeError::Unknown(_))), "{answer:?}");
        let reason = node.group.stopped().await;
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(node.group.watch().borrow().role, Role::Stopped);
        assert_eq!(node.group.propose(command(APPEND, "a", "2")).await, Err(ProposeError::Stopped));
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_clusters_and_for_other_members_are_refused() {
    use flotilla_proto::raft_v1 as pb;
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", node.address)).expect("address");
    let channel = channel.connect().await.expect("connect");
    let mut client = pb::raft_service_client::RaftServiceClient::new(channel);
    let route = pb::Route {
        cluster_low: 42,
        gid: 1,
        incarnation: 1,
        from_member: 9,
        to_member: 1,
        ..Default::default()
    };
    let vote = |route: pb::Route, member| pb::VoteRequest {
        route: Some(route),
        vote: Some(pb::Vote { term: 1000, member, committed: false }),
        pre_vote: true,
        ..Default::default()
    };
    client.vote(vote(route, 9)).await.expect("a proper request");
    let wrong = [
        pb::Route { cluster_low: 43, ..route },
        pb::Route { gid: 2, ..route },
        pb::Route { incarnation: 2, ..route },
        pb::Route { to_member: 2, ..route },
    ];
    for wrong in wrong {
        let refused = client.vote(vote(wrong, 9)).await.expect_err("another address");
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    }
    let refused = client.vote(vote(route, 8)).await.expect_err("for somebody else");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    assert_eq!(node.group.watch().borrow().role, Role::Leader);
    drop(client);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_meets_rotten_rows_in_a_read_stops() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    node.group.propose(command(PUT, "a", "x")).await.expect("a write");
    assert!(!node.group.is_corrupt());
    let failed = node.group.read(Query::Fail).await.expect_err("rows that contradict themselves");
    assert!(failed.to_string().contains("told to fail"), "{failed}");
    let reason = tokio::time::timeout(PATIENCE, node.group.stopped()).await.expect("it stops");
    assert!(reason.contains("told to fail"), "{reason}");
    assert!(node.group.is_corrupt());
    assert_eq!(node.group.read(Query::Get("a")).await, Err(ReadError::Stopped));
    node.stop().await;
}

/// A disk whose log starts to fail when told to.
struct FailingDisk {
    disk: RocksDisk,
    fails: Arc<AtomicBool>,
}

struct FailingLog {
    log: Arc<dyn LogEngine>,
    fails: Arc<AtomicBool>,
}

impl LogEngine for FailingLog {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.log.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> io::Result<()> {
        self.log.scan(start, end, visit)
    }

    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::StorageFull, "no space left, says the test")),
            false => self.log.write(batch),
        }
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

impl Disk for FailingDisk {
    fn open_log(&self, dir: &Path) -> io::Result<Arc<dyn LogEngine>> {
        Ok(Arc::new(FailingLog { log: self.disk.open_log(dir)?, fails: self.fails.clone() }))
    }

    fn open_data(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        self.disk.open_data(dir)
    }

    fn open_data_read_only(&self, dir: &Path) -> Result<Arc<dyn DataEngine>, EngineError> {
        self.disk.open_data_read_only(dir)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_its_replicas_even_if_the_disk_recovers() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let fails = Arc::new(AtomicBool::new(false));
    let disk = FailingDisk { disk: RocksDisk::new(&RocksOptions::default()), fails: fails.clone() };
    let mut options = StoreOptions::new(dir.path(), CLUSTER, NodeId(1));
    options.disk = Arc::new(disk);
    let env = Environment::real();
    let store = Store::open(options, &env).expect("store");
    let group = Group::<Kv>::open(GroupOptions::new(replica(1), ()), &store, &env).await.expect("group");
    let peer = Peer { node: NodeId(1), address: "127.0.0.1:1".to_owned() };
    group.initialize([(MemberId(1), peer)].into()).await.expect("initialize");
    eventually("it leads", || group.is_leader()).await;
    group.propose(command(APPEND, "a", "1")).await.expect("a write");
    fails.store(true, Ordering::Relaxed);
    let answer = group.propose(command(APPEND, "a", "2")).await;
    assert!(matches!(answer, Err(ProposeError::Unknown(_))), "{answer:?}");
    fails.store(false, Ordering::Relaxed);
    // The node learns it from the store: a replica that writes nothing would not.
    let reason = tokio::time::timeout(PATIENCE, store.poisoned()).await.expect("the store says so");
    assert!(reason.contains("no space left"), "{reason}");
    let reason = group.stopped().await;
    assert!(reason.contains("no space left"), "{reason}");
    assert_eq!(group.propose(command(APPEND, "a", "3")).await, Err(ProposeError::Stopped));
    group.shutdown().await;
    drop(group);
    let error =
        Group::<Kv>::open(GroupOptions::new(replica(2), ()), &store, &env).await.expect_err("poisoned");
    assert!(error.to_string().contains("register replica"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_opens_again_in_the_same_process() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let node = single(dir.path(), &GroupLimits::default()).await;
    node.group.propose(command(APPEND, "a", "1")).await.expect("a write");
    let old = node.group.clone();
    old.shutdown().await;
    assert!(matches!(old.read_local(Query::Get("a")), Err(ReadError::Failed(_))));
    let options = GroupOptions::<Kv>::new(replica(1), ());
    let again = Group::open(options, &node.store, &Environment::real()).await.expect("open again");
    eventually("it leads", || again.is_leader()).await;
    assert_eq!(again.read(Query::Get("a")).await, Ok(Answer::Value(Some("1".into()))));
    again.shutdown().await;
    drop((again, old));
    node.stop().await;
}
