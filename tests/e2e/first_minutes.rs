//! What a newcomer sees.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::Node;

#[tokio::test]
async fn a_node_without_configuration_says_where_it_listens_and_how_to_try_it() {
    let node = Node::start();
    let lines: Vec<_> = node.greeting.lines().collect();
    assert_eq!(lines[0], format!("tollgate listens on {}", node.url));
    assert!(lines[2].contains("curl -d") && lines[2].ends_with("/v1/acquire"), "{}", lines[2]);
    assert!(lines[3].ends_with("/v1/limits/pro"), "{}", lines[3]);
    assert!(lines[4].ends_with("/metrics"), "{}", lines[4]);
}

#[tokio::test]
async fn the_lines_to_paste_work_as_they_are() {
    let node = Node::start();
    let outputs: Vec<String> = node.greeting.lines().skip(2).map(paste).collect();
    let answer: Value = serde_json::from_str(&outputs[0]).expect("the answer is JSON");
    assert_eq!((&answer["allowed"], &answer["remaining"]), (&json!(true), &json!(99)));
    let limit: Value = serde_json::from_str(&outputs[1]).expect("the limit is JSON");
    assert_eq!(limit["requests_per_minute"], json!(500));
    assert!(outputs[2].contains("rate_limiter_tokens_consumed{tier=\"pro\"} 1"), "{}", outputs[2]);
}

/// What a shell prints for a line.
fn paste(line: &str) -> String {
    let output = std::process::Command::new("sh").args(["-c", line]).output().expect("there is a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

#[tokio::test]
async fn the_default_tiers_are_those_of_the_older_systems() {
    let node = Node::start();
    let limits = node.get("/v1/limits").await.body;
    let figures = |limit: &Value| {
        json!([limit["name"], limit["requests_per_minute"], limit["burst_limit"], limit["match"]["tier"], limit["by"]])
    };
    let tiers: Vec<_> = limits["limits"].as_array().expect("a list").iter().map(figures).collect();
    let expected = [
        json!(["basic", 100, 20, "basic", ["user"]]),
        json!(["enterprise", 1000, 200, "enterprise", ["user"]]),
        json!(["pro", 500, 100, "pro", ["user"]]),
    ];
    assert_eq!(tiers, expected);
}

#[tokio::test]
async fn health_readiness_and_the_document_are_there_from_the_start() {
    let node = Node::start();
    let health = node.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.body["components"]["raft"]["status"], json!("ok"));
    assert_eq!(health.body["components"]["store"]["status"], json!("ok"));
    assert_eq!(node.send(Method::GET, "/ready", "").await.status(), 200);
    let document = node.get("/openapi.json").await.body;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths: Vec<_> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    let expected = [
        "/health",
        "/metrics",
        "/ready",
        "/v1/acquire",
        "/v1/acquire_many",
        "/v1/alerts",
        "/v1/alerts/explain",
        "/v1/alerts/test",
        "/v1/buckets/{limit}",
        "/v1/cluster",
        "/v1/cluster/nodes",
        "/v1/cluster/nodes/{id}",
        "/v1/cluster/nodes/{id}/drain",
        "/v1/limits",
        "/v1/limits/{name}",
        "/v1/reserve",
        "/v1/settle",
        "/v1/silences",
        "/v1/silences/{id}",
        "/v1/stats",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_ends_well() {
    let node = Node::start();
    assert_eq!(node.acquire("a").await.status, 200);
    let (code, log, _) = node.stop();
    assert_eq!(code, Some(0), "{log}");
}
