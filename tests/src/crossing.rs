//! One shard full of rows that goes from group 1 to group 2, slowly enough to be caught at each step.
//!
//! Group 1, the source, is on nodes 4 to 6; group 2, the target, is on nodes 1 to 3, with the controller. An appender
//! writes to the shard all the while. Rewriting some rows during the copy leaves a delta that takes its time, too: so
//! the seal, and what comes after it, can be seen.

use std::time::Duration;

use flotilla_client::Client;
use flotilla_proto::kv_v1::{MoveStatus, ShardPhase};
use flotilla_types::ShardId;
use flotilla_types::slot::shard_of_key;

use crate::cluster::{Builder, Cluster, View, shards_of};
use crate::load::Appenders;
use crate::rows::{assert_scan, put_all};
use crate::words::Rows;

/// The group that has the shard at first, and its nodes.
pub const SOURCE: u64 = 1;
/// See [`SOURCE`].
pub const SOURCE_NODES: &[u64] = &[4, 5, 6];
/// The group that gets it.
pub const TARGET: u64 = 2;
/// See [`TARGET`].
pub const TARGET_NODES: &[u64] = &[1, 2, 3];

const SHARDS: u32 = 4;
const ROWS: usize = 60;
const ROW_BYTES: usize = 1000;
/// The copy takes [`ROWS`] times [`ROW_BYTES`] divided by this: three seconds, and the delta two.
const BYTES_PER_SECOND: u64 = 20_000;
/// A new leader may not have applied the last pieces yet when it says how far it is.
const LAG_BYTES: u64 = 4 * 1024;
/// Each append makes the value longer that has to travel, so they are few.
const APPEND_PAUSE: Duration = Duration::from_millis(20);
/// How many rows are written again during the copy.
const REWRITTEN: usize = 40;

/// A shard about to cross, or crossing.
pub struct Crossing {
    /// The cluster that it crosses in.
    pub cluster: Cluster,
    /// A client.
    pub client: Client,
    /// The shard.
    pub shard: u32,
    /// The configuration of the move, once it was ordered.
    pub config: u64,
    tag: String,
    rows: Rows,
    appenders: Appenders,
}

impl Crossing {
    /// The usual cluster for it.
    pub fn builder() -> Builder {
        Cluster::builder().nodes(6).shards(SHARDS).slow_moves(BYTES_PER_SECOND)
    }

    /// Everything is ready, nothing moves yet.
    pub async fn prepare() -> Self {
        let cluster = Self::builder().start().await;
        let client = cluster.client().await;
        cluster.join(&client, &[(SOURCE, SOURCE_NODES), (TARGET, TARGET_NODES)]).await;
        let shard = shards_of(&cluster.config(&client).await, SOURCE)[0];
        let tag = tag_of(shard, SHARDS);
        let rows = Self::make_rows(&tag, ROWS, "first");
        put_all(&client, &rows).await;
        let appenders = Appenders::start_on(&cluster, [format!("{tag}appended")], APPEND_PAUSE).await;
        appenders.more(10).await;
        Self { cluster, client, shard, config: 0, tag, rows, appenders }
    }

    fn make_rows(tag: &str, count: usize, word: &str) -> Rows {
        let value = |at: usize| {
            let mut value = format!("{word} {at} ").into_bytes();
            value.resize(ROW_BYTES, b'.');
            value
        };
        (0..count).map(|at| (format!("{tag}row-{at:04}").into_bytes(), value(at))).collect()
    }

    /// A key of the shard, in front of all rows: it is copied first.
    pub fn early_key(&self, name: &str) -> String {
        format!("{}a-{name}", self.tag)
    }

    /// Orders the move.
    pub async fn order(&mut self) {
        self.config = self.cluster.move_only(&self.client, self.shard, TARGET).await;
    }

    /// Waits until a good part of the rows has arrived, and a good part has not. Gives the bytes that have.
    pub async fn mid_copy(&self) -> u64 {
        let shard = self.shard;
        self.cluster
            .wait_view("the copy is under way", |view| {
                let moving = Self::progress(view, shard).ok_or("it does not move")?;
                let wanted = (ROWS * ROW_BYTES / 6) as u64;
                if moving.bytes_done >= wanted { Ok(moving.bytes_done) } else { Err(format!("{moving:?}")) }
            })
            .await
    }

    /// Orders the move and waits until it is in the middle of its copy; gives the bytes that have arrived.
    pub async fn to_mid_copy(&mut self) -> u64 {
        self.order().await;
        let done = self.mid_copy().await;
        let view = self.cluster.view().await;
        assert_eq!(view.phase(TARGET, self.shard), ShardPhase::Pulling, "{}", view.words());
        done
    }

    /// Writes many rows again, so that they travel a second time.
    pub async fn rewrite(&mut self) {
        let again = Self::make_rows(&self.tag, REWRITTEN, "second");
        put_all(&self.client, &again).await;
        self.rows.extend(again);
    }

    /// Waits until the source has stopped serving the shard.
    pub async fn sealed(&self) {
        self.cluster.wait_phase(SOURCE, self.shard, ShardPhase::Sealed).await;
    }

    /// Waits until the target has all rows and takes what changed meanwhile.
    pub async fn at_delta(&self) {
        let shard = self.shard;
        self.cluster
            .wait_view("the delta is under way", |view| {
                let moving = Self::progress(view, shard).ok_or("it does not move")?;
                if moving.step == "delta" { Ok(()) } else { Err(format!("{moving:?}")) }
            })
            .await;
    }

    /// How far the move is, as the target's leader says.
    pub fn progress(view: &View, shard: u32) -> Option<&MoveStatus> {
        view.shard(TARGET, shard).filter(|status| status.phase() == ShardPhase::Pulling)?.moving.as_ref()
    }

    /// The move goes on from where it was, not from the beginning.
    pub async fn resumes_after(&self, bytes: u64) {
        let shard = self.shard;
        self.cluster
            .wait_view("the move goes on", |view| {
                let phase = view.phase(TARGET, shard);
                if phase == ShardPhase::Absent {
                    return Err("no leader says anything".to_owned());
                }
                if let Some(moving) = Self::progress(view, shard) {
                    assert!(
                        moving.bytes_done + LAG_BYTES >= bytes,
                        "it began again: {bytes} bytes were there, now {moving:?}"
                    );
                }
                Ok(())
            })
            .await;
    }

    /// Waits until the shard is served by the target and the source owes nothing.
    pub async fn arrive(&self) {
        self.cluster.wait_settled(&self.client).await;
    }

    /// The shard has arrived: judges rows, appends and replicas. Every node must run again.
    pub async fn finish(self) {
        let config = self.config;
        self.finish_at(TARGET, config).await;
    }

    /// The same where the shard ends at this group, by this configuration.
    pub async fn finish_at(self, gid: u64, config: u64) {
        self.arrive().await;
        self.appenders.more(10).await;
        self.appenders.stop_and_judge(&self.client).await;
        assert_scan(&self.client, &format!("{}row-", self.tag), &self.rows).await;
        let found = self.client.get(format!("{}row-0000", self.tag)).await.expect("a read").expect("a row");
        assert_eq!((found.gid, found.config), (gid, config), "who answers, and for which configuration");
        let view = self.cluster.view().await;
        let other = SOURCE + TARGET - gid;
        assert_eq!(view.phase(other, self.shard), ShardPhase::Absent, "{}", view.words());
        self.cluster.finish().await;
    }

    /// So many more appends to the shard get through.
    pub async fn traffic(&self, appends: u64) {
        self.appenders.more(appends).await;
    }
}

/// A hashtag whose keys are all in this shard.
pub fn tag_of(shard: u32, shards: u32) -> String {
    let tags = (0..).map(|at| format!("{{tag-{at}}}"));
    tags.into_iter()
        .find(|tag| shard_of_key(tag.as_bytes(), shards) == ShardId(shard))
        .expect("there is no end of tags")
}
