//! The disk of one node fills up: the others go on, nothing is admitted twice, and all is well when there is space again.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, HEALED, places};
use crate::load::Load;
use crate::small_disk::SmallDisk;
use crate::wait::until;

/// Room for a node's files, and a little more.
const ENOUGH_BYTES: u64 = 64 << 20;

/// How long the disk stays full: longer than elections, leases and horizons last.
const FULL: Duration = Duration::from_secs(5);

async fn store(cluster: &Cluster, node: usize) -> Value {
    cluster.get(node, "/health").await.body["components"]["store"]["status"].clone()
}

/// Changes a limit to one with so much text that some dozens of changes use up what a log has left.
async fn put_large(cluster: &Cluster, node: usize, rate: u64) -> u16 {
    let values: Vec<String> = (0..1_500).map(|number| format!("{number:0>250}")).collect();
    let limit = json!({"match": {"other": values}, "rate": rate, "per": "1h"});
    cluster.call(node, Method::PUT, "/v1/limits/large", limit).await.status
}

#[tokio::test]
async fn a_disk_that_fills_up_at_one_node_stops_nobody_and_admits_nothing_twice() {
    let Some(disk) = SmallDisk::mount(ENOUGH_BYTES) else { return };
    let mut places = places(3);
    places[0].data = Some(disk.path().join("data"));
    let mut cluster = Cluster::at(&places).await;
    cluster.start_all().await;
    let load = Load::start(&cluster).await;
    disk.fill();
    for rate in 1..200 {
        assert!(matches!(put_large(&cluster, 2, rate).await, 200 | 201), "two of three have space");
        if store(&cluster, 1).await != json!("ok") {
            break;
        }
    }
    assert_ne!(store(&cluster, 1).await, json!("ok"), "the disk is full");
    eprintln!("with a full disk, answers resume after {:?}", load.answers_resume(&[2, 3]).await);
    tokio::time::sleep(FULL).await;
    cluster.exact().await;
    disk.free();
    until("the node stores again", HEALED, async || store(&cluster, 1).await == json!("ok")).await;
    eprintln!("exact {:?} after there is space", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}
