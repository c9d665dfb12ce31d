//! Scenario B17: a move that is interrupted finishes, and goes on from where it was. Eight representative cases of
//! {source leader, source follower, target leader, target follower, controller leader} x {each step} x {kill, pause}.
//!
//! Each test first sees the step, then strikes, and the harness proves that the process died or stopped.

use flotilla_proto::kv_v1::ShardPhase;
use flotilla_tests::crossing::{Crossing, SOURCE, TARGET};

#[tokio::test(flavor = "multi_thread")]
async fn b17_source_leader_killed_in_mid_copy() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    let leader = crossing.cluster.wait_leader(SOURCE).await;
    crossing.cluster.kill9(&[leader]);
    crossing.resumes_after(done).await;
    // It finishes without the dead one.
    crossing.arrive().await;
    crossing.cluster.restart(&[leader]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_target_leader_killed_in_mid_copy() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    let leader = crossing.cluster.wait_leader(TARGET).await;
    crossing.cluster.kill9(&[leader]);
    crossing.resumes_after(done).await;
    crossing.arrive().await;
    crossing.cluster.restart(&[leader]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_source_leader_killed_after_the_seal() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    crossing.rewrite().await;
    crossing.sealed().await;
    let leader = crossing.cluster.wait_leader(SOURCE).await;
    crossing.cluster.kill9(&[leader]);
    crossing.resumes_after(done).await;
    crossing.arrive().await;
    crossing.cluster.restart(&[leader]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_target_leader_killed_at_the_delta() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    crossing.rewrite().await;
    crossing.at_delta().await;
    let leader = crossing.cluster.wait_leader(TARGET).await;
    crossing.cluster.kill9(&[leader]);
    crossing.resumes_after(done).await;
    crossing.arrive().await;
    crossing.cluster.restart(&[leader]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_controller_leader_killed_during_adoption() {
    let mut crossing = Crossing::prepare().await;
    let leader = crossing.cluster.wait_leader(0).await;
    crossing.order().await;
    crossing.cluster.kill9(&[leader]);
    crossing.mid_copy().await;
    crossing.rewrite().await;
    crossing.arrive().await;
    crossing.cluster.restart(&[leader]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_target_follower_paused_in_mid_copy() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    let follower = crossing.cluster.view().await.followers(TARGET)[0];
    crossing.cluster.node(follower).pause();
    crossing.resumes_after(done).await;
    crossing.rewrite().await;
    crossing.arrive().await;
    crossing.cluster.node(follower).resume();
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_source_follower_killed_in_mid_copy() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    let follower = crossing.cluster.view().await.followers(SOURCE)[0];
    crossing.cluster.kill9(&[follower]);
    crossing.resumes_after(done).await;
    crossing.rewrite().await;
    crossing.cluster.restart(&[follower]);
    crossing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_both_leaders_killed_in_mid_copy() {
    let mut crossing = Crossing::prepare().await;
    let done = crossing.to_mid_copy().await;
    crossing.traffic(5).await;
    let leaders = [crossing.cluster.wait_leader(SOURCE).await, crossing.cluster.wait_leader(TARGET).await];
    crossing.cluster.kill9(&leaders);
    crossing.resumes_after(done).await;
    crossing.arrive().await;
    crossing.cluster.restart(&leaders);
    let view = crossing.cluster.view().await;
    assert_eq!(view.phase(TARGET, crossing.shard), ShardPhase::Serving, "{}", view.words());
    crossing.finish().await;
}
