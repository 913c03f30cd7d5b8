//! What a node measures, as Prometheus and operators see it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Answer, Home, Node};

const CONFIG: &str = "
limits:
  - {name: search, match: {endpoint: search}, by: [user], rate: 1, per: 1h, burst_limit: 3}
";

/// The names that are kept from older systems to the letter, and so break the rules of names.
const KEPT: [&str; 3] = ["rate_limiter_tokens_consumed", "rate_limiter_breaches", "redis_operation_latency_ms"];

/// What `promtool check metrics` has to say, a line each; `None` where it is not installed.
fn promtool(metrics: &str) -> Option<Vec<String>> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: promtool is not installed (it is in Debian's package prometheus)");
        return None;
    };
    let mut input = child.stdin.take().expect("its input is piped");
    input.write_all(metrics.as_bytes()).expect("it reads all of it");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8(text).expect("it prints text").lines().map(str::to_owned).collect())
}

/// The series that are served, without their values.
fn series(metrics: &str) -> Vec<&str> {
    let values = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = values.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
    series.sort_unstable();
    series
}

/// Asks for units of an endpoint for each of these users, and returns how many were denied.
async fn acquire_many(node: &Node, endpoint: &str, users: impl Iterator<Item = String>) -> usize {
    let request = |user: String| json!({"endpoint": endpoint, "labels": {"user": user, "tier": user}});
    let requests: Vec<_> = users.map(request).collect();
    let Answer { status, body } = node.post("/v1/acquire_many", json!({"requests": requests})).await;
    assert_eq!(status, 200, "{body}");
    let results = body["results"].as_array().expect("results");
    results.iter().filter(|result| result["status"] == json!(429)).count()
}

/// Waits until the statistics are as they should be.
async fn until_stats(node: &Node, path: &str, are_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..100 {
        let stats = node.get(path).await.body;
        if are_so(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the statistics of {path} never were so: {}", node.get(path).await.body);
}

#[tokio::test]
async fn prometheus_finds_nothing_wrong_but_with_the_names_that_are_kept() {
    let node = Home::with_config(CONFIG).start();
    acquire_many(&node, "search", (0..10).map(|number| number.to_string())).await;
    let Some(problems) = promtool(&node.metrics().await) else { return };
    let (of_kept, others): (Vec<_>, Vec<_>) =
        problems.iter().partition(|problem| KEPT.iter().any(|name| problem.starts_with(name)));
    assert!(others.is_empty(), "{others:?}");
    assert!(!of_kept.is_empty(), "promtool reads what it is given");
}

#[tokio::test]
async fn a_hundred_thousand_keys_add_no_series() {
    let node = Home::with_config(CONFIG).start();
    acquire_many(&node, "search", std::iter::repeat_n("one".to_owned(), 10)).await;
    let before = node.metrics().await;
    for thousand in 0..100 {
        acquire_many(&node, "search", (0..1_000).map(|number| format!("user-{thousand}-{number}"))).await;
    }
    let after = node.metrics().await;
    assert_eq!(series(&before), series(&after));
    assert!(
        after.contains(r#"tollgate_endpoint_requests_total{endpoint="search",outcome="allowed"} 100003"#),
        "{after}"
    );
}

#[tokio::test]
async fn series_of_a_limit_are_there_as_soon_as_it_is() {
    let node = Node::start();
    node.put_limit("export", json!({"match": {"endpoint": "export", "tier": "gold"}, "rate": 1, "per": "1h"})).await;
    let metrics = node.metrics().await;
    for line in [
        r#"tollgate_endpoint_requests_total{endpoint="export",outcome="denied"} 0"#,
        r#"rate_limiter_breaches{tier="gold"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in {metrics}");
    }
}

#[tokio::test]
async fn the_state_of_the_node_is_measured_each_second() {
    let node = Node::start();
    let expected =
        ["tollgate_nodes 1", "tollgate_nodes_alive 1", "tollgate_raft_leader 1", "tollgate_shards_leaderless 0"];
    for _ in 0..100 {
        let metrics = node.metrics().await;
        if expected.iter().all(|line| metrics.lines().any(|found| found == *line)) {
            let value =
                |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            assert!(value("tollgate_disk_fill_ratio ").is_some_and(|fill| fill > 0.0 && fill <= 1.0), "{metrics}");
            assert!(value("tollgate_store_write_seconds_count ").is_some_and(|writes| writes > 0.0), "{metrics}");
            assert!(value("process_resident_memory_bytes ").is_some_and(|bytes| bytes > 1e6), "{metrics}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", node.metrics().await);
}

#[tokio::test]
async fn statistics_tell_what_was_asked_and_who_was_denied() {
    let node = Home::with_config(CONFIG).start();
    let denied = acquire_many(&node, "search", std::iter::repeat_n("alice".to_owned(), 10)).await;
    assert_eq!(denied, 7);
    acquire_many(&node, "users", (0..5).map(|number| number.to_string())).await;
    let stats = until_stats(&node, "/v1/stats", |stats| stats["windows"]["1m"]["requests"] == json!(15)).await;
    assert_eq!((&stats["endpoint"], &stats["node"], &stats["mode"]), (&Value::Null, &json!(1), &json!("normal")));
    assert_eq!(stats["limits"], json!([{"name": "search", "denials": 7}]));
    assert_eq!(stats["denied_keys"], json!([{"limit": "search", "key": "alice", "denials": 7}]));
    let minute = &stats["windows"]["1m"];
    assert_eq!((&minute["allowed"], &minute["denied"], &minute["failed"]), (&json!(8), &json!(7), &json!(0)));
    assert!(minute["latency_ms"]["p99"].as_f64().is_some_and(|p99| p99 > 0.0), "{minute}");
    for (endpoint, requests) in [("search", 10), ("other", 5)] {
        let stats = node.get(&format!("/v1/stats?endpoint={endpoint}")).await.body;
        for window in ["1m", "15m", "24h"] {
            assert_eq!(stats["windows"][window]["requests"], json!(requests), "{endpoint}, {window}");
        }
    }
}

#[tokio::test]
async fn statistics_of_an_unknown_endpoint_are_a_404_that_names_the_known_ones() {
    let node = Home::with_config(CONFIG).start();
    let Answer { status, body } = node.get("/v1/stats?endpoint=users").await;
    assert_eq!(status, 404);
    assert!(body["detail"].as_str().is_some_and(|detail| detail.ends_with("search, other")), "{body}");
    let Answer { status, body } = node.call(Method::GET, "/v1/stats?endpont=users", Value::Null).await;
    assert_eq!((status, &body["field"]), (400, &json!("endpont")));
}
