//! Pins: one moment of a replica, readable while it goes on, gone with its last user or with a crash.

mod common;

use std::path::{Path, PathBuf};

use common::machine::{APPEND, Answer, Query, command};
use common::{Node, PATIENCE, crash_image, eventually, single};
use flotilla_raft_store::GroupLimits;
use flotilla_types::{Machine, Reader};

fn temporary(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(dir).expect("lists").flatten().filter(|entry| entry.path().is_dir()) {
            let is_temporary = entry.file_name().to_string_lossy().starts_with("tmp-");
            if is_temporary { found.push(entry.path()) } else { stack.push(entry.path()) }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_keeps_its_moment_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let limits = GroupLimits { snapshot_entries: 20, keep_entries: 5, ..GroupLimits::default() };
    let node = single(dir.path(), &limits).await;
    for _ in 0..30 {
        node.group.propose(command(APPEND, "a", "x")).await.expect("a write");
    }
    let (pin, second) = (node.group.pin().expect("pins"), node.group.pin().expect("pins again"));
    for _ in 0..100 {
        node.group.propose(command(APPEND, "a", "y")).await.expect("a write");
    }
    let value =
        |machine: &_, rows: &dyn Reader| Machine::query(machine, rows, Query::Get("a")).expect("reads");
    assert_eq!(pin.read(value), Answer::Value(Some(vec![b'x'; 30].into())));
    assert!(pin.index() >= 30 && pin.index() == second.index());

    // A crash with pins open: the next start removes them.
    let image = crash_image(dir.path());
    assert_eq!(temporary(image.path()).len(), 2);
    let again = Node::start(1, image.path(), None, &limits).await;
    again.group.wait_for_leader(PATIENCE).await.expect("a leader");
    assert_eq!(temporary(image.path()), Vec::<PathBuf>::new());
    again.stop().await;

    drop(pin);
    assert_eq!(second.read(value), Answer::Value(Some(vec![b'x'; 30].into())), "pins are independent");
    drop(second);
    eventually("the pins' files are gone", || temporary(dir.path()).is_empty()).await;
    node.stop().await;
}
