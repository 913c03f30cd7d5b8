//! SIGHUP.

use rustix::process::Signal;
use serde_json::json;

use crate::node::{Home, Node};

const BEFORE: &str = "
limits:
  - {name: only, by: [user], rate: 3, per: 1h}
";

const AFTER: &str = "
limits:
  - {name: only, by: [user], rate: 5, per: 1h}
  - {name: more, by: [user], rate: 100, per: 1h}
";

/// Waits until the node's limits are `names`.
async fn until_limits_are(node: &Node, names: &[&str]) {
    loop {
        let limits = node.get("/v1/limits").await.body;
        let found: Vec<_> =
            limits["limits"].as_array().into_iter().flatten().filter_map(|limit| limit["name"].as_str()).collect();
        if found == names {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_changed_file_takes_effect_from_the_next_decision() {
    let node = Home::with_config(BEFORE).start();
    assert_eq!(node.admitted("a").await, 3);
    node.home.write_config(AFTER);
    node.signal(Signal::HUP);
    until_limits_are(&node, &["basic", "enterprise", "more", "only", "pro"]).await;
    assert_eq!(node.admitted("a").await, 2, "five in all");
    node.home.write_config(BEFORE);
    node.signal(Signal::HUP);
    until_limits_are(&node, &["basic", "enterprise", "only", "pro"]).await;
    assert_eq!(node.admitted("a").await, 0);
}

#[tokio::test]
async fn a_file_with_a_mistake_keeps_what_was_and_says_so() {
    let mut node = Home::with_config(BEFORE).start();
    node.home.write_config("");
    node.signal(Signal::HUP);
    node.until_logged("tollgate.yaml: is empty");
    node.put_limit("first", json!({"rate": 1, "per": "1h"})).await;
    node.home.write_config("limits:\n  - {name: only, by: [user], rate: none, per: 1h}\n");
    node.signal(Signal::HUP);
    node.until_logged("tollgate.yaml:2");
    node.put_limit("after", json!({"rate": 1, "per": "1h"})).await;
    until_limits_are(&node, &["after", "basic", "enterprise", "first", "only", "pro"]).await;
    assert_eq!(node.get("/v1/limits/only").await.body["rate"], json!(3));
    let (_, log, _) = node.stop();
    let line = log.lines().find(|line| line.contains("tollgate.yaml:2")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("rate") && line.contains("the old one stays"), "{line}");
}

#[tokio::test]
async fn a_limit_that_a_call_changed_stays_until_the_file_says_otherwise() {
    let node = Home::with_config(BEFORE).start();
    node.put_limit("only", json!({"by": ["user"], "rate": 9, "per": "1h"})).await;
    let node = node.kill_and_restart();
    assert_eq!(node.get("/v1/limits/only").await.body["rate"], json!(9), "the file is as it was");
    node.home.write_config(AFTER);
    node.signal(Signal::HUP);
    until_limits_are(&node, &["basic", "enterprise", "more", "only", "pro"]).await;
    assert_eq!(node.get("/v1/limits/only").await.body["rate"], json!(5));
}
