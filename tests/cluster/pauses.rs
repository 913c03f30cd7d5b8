//! A node whose process stands still, as of a machine that is moved: when it goes on, it does not know how much time has passed.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::load::Load;

/// How long it stands still: longer than elections, leases and horizons last.
const PAUSE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_leader_that_stood_still_spends_nothing_twice() {
    let mut cluster = Cluster::of_three().await;
    let load = Load::start(&cluster).await;
    let paused = cluster.busiest().await;
    cluster.pause(paused);
    let others: Vec<_> = cluster.numbers().filter(|node| *node != paused).collect();
    eprintln!("while {paused} stands still, answers resume after {:?}", load.answers_resume(&others).await);
    tokio::time::sleep(PAUSE).await;
    cluster.resume(paused);
    eprintln!("exact {:?} after it goes on", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}

#[tokio::test]
async fn a_whole_cluster_that_stood_still_refills_nobody_beyond_the_time() {
    let mut cluster = Cluster::of_three().await;
    let load = Load::start(&cluster).await;
    cluster.numbers().for_each(|node| cluster.pause(node));
    tokio::time::sleep(PAUSE).await;
    cluster.numbers().for_each(|node| cluster.resume(node));
    eprintln!("exact {:?} after all go on", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}
