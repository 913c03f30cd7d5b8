//! Disks that are full or read-only.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Answer, Home, Node};
use crate::small_disk::SmallDisk;

/// Room for a node's files, and a little more.
const ENOUGH_BYTES: u64 = 64 << 20;

#[tokio::test]
async fn a_disk_without_room_for_a_node_is_refused_by_name() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    disk.fill();
    let home = Home::with_data(disk.path().join("data"));
    let errors = home.refused();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&home.data().display().to_string()) && errors.contains("space"), "{errors}");
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_refused_by_name() {
    let Some(disk) = SmallDisk::mount(ENOUGH_BYTES) else { return };
    let home = Home::with_data(disk.path().join("data")).start().kill();
    disk.make_read_only();
    let errors = home.refused();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&home.data().display().to_string()), "{errors}");
}

/// Changes the limit to one with so much text that a few dozen of them fill a log.
async fn put_large(node: &Node, rate: u64) -> Answer {
    let values: Vec<String> = (0..1_500).map(|number| format!("{number:0>250}")).collect();
    let limit = json!({"match": {"other": values}, "rate": rate, "per": "1h"});
    node.call(Method::PUT, "/v1/limits/large", limit).await
}

async fn store(node: &Node) -> Value {
    node.get("/health").await.body["components"]["store"]["status"].clone()
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing_and_is_used_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(ENOUGH_BYTES) else { return };
    let node = Home::with_data(disk.path().join("data")).start();
    node.put_limit("open", json!({"by": ["user"], "rate": 5, "per": "1h"})).await;
    node.put_limit(
        "strict",
        json!({"match": {"endpoint": "strict"}, "rate": 5, "per": "1h", "on_unavailable": "deny"}),
    )
    .await;
    assert_eq!(node.admitted("a").await, 5);
    disk.fill();
    let mut acknowledged = 0;
    for rate in 1..200 {
        let answer = put_large(&node, rate).await;
        if answer.status == 503 {
            break;
        }
        acknowledged = rate;
    }
    assert!((1..199).contains(&acknowledged), "{acknowledged} changes went to a full disk");
    assert_eq!(store(&node).await, json!("unavailable"));
    assert_eq!(node.acquire("a").await.status, 429, "what is spent is known from memory");
    let degraded = node.acquire("b").await;
    assert_eq!((degraded.status, &degraded.body["degraded"]), (200, &json!(true)), "{degraded:?}");
    let strict = node.post("/v1/acquire", json!({"endpoint": "strict"})).await;
    assert_eq!(strict.status, 429, "{strict:?}");
    disk.free();
    while store(&node).await != json!("ok") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    node.put_limit("after", json!({"match": {"endpoint": "after"}, "rate": 1, "per": "1h"})).await;
    let (code, log, home) = node.stop();
    assert_eq!(code, Some(0), "{log}");
    let node = home.start();
    assert_eq!(node.get("/v1/limits/after").await.status, 200);
    let rate = node.get("/v1/limits/large").await.body["rate"].as_u64();
    assert!(rate >= Some(acknowledged), "{rate:?}, and {acknowledged} was acknowledged");
    assert_eq!(node.acquire("a").await.status, 429);
}
