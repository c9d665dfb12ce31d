//! Disks that lose what was synced: files flipped or cut short, and whole disks gone. One at a time, and only while all replicas of
//! all groups are there: what a majority still has must be enough to bring the node back.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_workload::Dice;
use tokio::time::sleep;

use super::{Class, Struck};
use crate::machine::command::run;
use crate::machine::disk::text;
use crate::run::arena::Arena;

/// How long all replicas may take to be there before such a fault, and to be there again after it.
const HEALTHY_BEFORE: Duration = Duration::from_secs(20);
const HEALTHY_AFTER: Duration = Duration::from_secs(90);
/// So long the others go on without a node that is to forget things.
const WITHOUT: Duration = Duration::from_secs(3);
/// How long a rotten node is given to come back as it is.
const ROTTEN: Duration = Duration::from_secs(20);

pub(super) async fn strike(
    class: Class,
    arena: &Arena,
    dice: &mut Dice,
    hold: Duration,
) -> Result<Option<Struck>> {
    if !arena.wait_healthy(HEALTHY_BEFORE).await {
        return Ok(None);
    }
    let node = arena.some_node(dice);
    let Some(_claim) = arena.claim(&[node]) else { return Ok(None) };
    match class {
        Class::Wipe => wipe(arena, node, hold).await,
        Class::OldCopy => old_copy(arena, node, hold).await,
        _ => rot(arena, node, dice, hold).await,
    }
}

async fn wipe(arena: &Arena, node: u64, hold: Duration) -> Result<Option<Struck>> {
    let died = arena.fleet.kill(&[node])?;
    sleep(hold).await;
    let files = remove(arena, node)?;
    arena.start(node)?;
    arena.expect_healthy(HEALTHY_AFTER, &format!("node {node} came back with an empty disk")).await;
    Ok(Struck::new([node], "", format!("{died}, {files} files removed")))
}

async fn rot(arena: &Arena, node: u64, dice: &mut Dice, hold: Duration) -> Result<Option<Struck>> {
    let died = arena.fleet.kill(&[node])?;
    let Some(damage) = damage(&arena.fleet.node(node)?.process.plan().data, dice)? else {
        arena.start(node)?;
        return Ok(None);
    };
    sleep(hold).await;
    // Whether it starts, stops later, or never notices is its business; what it must not do is to answer wrongly.
    arena.start(node)?;
    arena.fleet.may_be_down(node);
    let outcome = if arena.wait_healthy(ROTTEN).await && arena.digests_of(node).await {
        "the node went on"
    } else {
        if arena.runs(node) {
            arena.fleet.kill(&[node])?;
        }
        remove(arena, node)?;
        arena.start(node)?;
        arena.expect_healthy(HEALTHY_AFTER, &format!("node {node}, rotten, was given an empty disk")).await;
        "the node refused and was given an empty disk"
    };
    arena.fleet.must_be_up(node);
    Ok(Struck::new([node], format!("{damage}; {outcome}"), format!("{died}; {damage}")))
}

/// The node runs on for a while after the copy was made. While it is down again the others commit without it, so they have
/// everything that was ever acknowledged when it comes back and has forgotten some.
async fn old_copy(arena: &Arena, node: u64, hold: Duration) -> Result<Option<Struck>> {
    let data = arena.fleet.node(node)?.process.plan().data.clone();
    let copy = data.with_extension("old");
    arena.fleet.kill(&[node])?;
    run(&["cp", "-a", &text(&data), &text(&copy)]).await?;
    arena.start(node)?;
    arena.expect_healthy(HEALTHY_AFTER, &format!("node {node} was restarted")).await;
    sleep(hold).await;
    let died = arena.fleet.kill(&[node])?;
    sleep(WITHOUT).await;
    remove(arena, node)?;
    fs::rename(&copy, &data).with_context(|| format!("cannot rename {}", copy.display()))?;
    arena.start(node)?;
    arena.expect_healthy(HEALTHY_AFTER, &format!("node {node} came back with an old copy of its disk")).await;
    Ok(Struck::new([node], format!("{} ms old", hold.as_millis()), format!("{died}, the copy is back")))
}

/// Removes all that a node has on disk; gives how many files.
fn remove(arena: &Arena, node: u64) -> Result<usize> {
    let data = &arena.fleet.node(node)?.process.plan().data;
    let count = files(data).len();
    fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))?;
    Ok(count)
}

/// Every file below a folder with something in it, in the order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if entry.metadata().is_ok_and(|data| data.len() > 0) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Damages one file; says how. None: there is none.
fn damage(data: &Path, dice: &mut Dice) -> Result<Option<String>> {
    // What only people read is no damage.
    let holds_data =
        |path: &PathBuf| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("LOG"));
    let files: Vec<PathBuf> = files(data).into_iter().filter(holds_data).collect();
    let Some(path) = dice.pick(&files) else { return Ok(None) };
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let name = path.strip_prefix(data).unwrap_or(path).display();
    let at = dice.below(length);
    if dice.per_mille(300) {
        file.set_len(at)?;
        return Ok(Some(format!("{name} was cut from {length} to {at} bytes")));
    }
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1 << dice.below(8);
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte)?;
    Ok(Some(format!("a bit of byte {at} of {name} was flipped")))
}
