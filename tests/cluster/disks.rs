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

/// The values of a limit whose document takes some 400 kB, so that some dozens of changes use up what a log has left.
const VALUES: usize = 1_500;
const VALUE_CHARACTERS: usize = 250;

/// More changes than any log has room for beyond its disk.
const MOST_CHANGES: u64 = 200;

async fn store(cluster: &Cluster, node: usize) -> Value {
    cluster.get(node, "/health").await.body["components"]["store"]["status"].clone()
}

/// Fills the disk of a node, and then what its log still has room for, by large changes of a limit.
pub(crate) async fn fill(cluster: &Cluster, node: usize, disk: &SmallDisk) {
    disk.fill();
    let values: Vec<String> = (0..VALUES).map(|number| format!("{number:0>VALUE_CHARACTERS$}")).collect();
    for rate in 1..MOST_CHANGES {
        let limit = json!({"match": {"other": values}, "rate": rate, "per": "1h"});
        let answer = cluster.call(node % 3 + 1, Method::PUT, "/v1/limits/large", limit).await;
        assert!(matches!(answer.status, 200 | 201), "two of three have space: {answer:?}");
        if store(cluster, node).await != json!("ok") {
            return;
        }
    }
    panic!("the disk does not fill up");
}

/// Waits until the disk of a node takes writes again.
pub(crate) async fn freed(cluster: &Cluster, node: usize, disk: &SmallDisk) {
    disk.free();
    until("the node stores again", HEALED, async || store(cluster, node).await == json!("ok")).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_at_one_node_stops_nobody_and_admits_nothing_twice() {
    let Some(disk) = SmallDisk::mount(ENOUGH_BYTES) else { return };
    let mut places = places(3);
    places[0].data = Some(disk.path().join("data"));
    let mut cluster = Cluster::at(&places).await;
    cluster.start_all().await;
    let load = Load::start(&cluster).await;
    fill(&cluster, 1, &disk).await;
    eprintln!("with a full disk, answers resume after {:?}", load.answers_resume(&[2, 3]).await);
    tokio::time::sleep(FULL).await;
    cluster.exact().await;
    freed(&cluster, 1, &disk).await;
    eprintln!("exact {:?} after there is space", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}
