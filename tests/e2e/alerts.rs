//! The calls about alerts and silences: their fields, and what they say to bad input.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Home, Node};

/// A node that could tell somebody, who is not there.
const CONFIG: &str = "alerts: {receivers: {webhook: {url: 'http://127.0.0.1:9/hook'}},
  routes: [{match: {severity: critical, node: ['2', '3']}, to: [webhook]}]}";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_state_of_the_alerts_has_the_fields_of_the_contract() {
    let node = Home::with_config(CONFIG).start();
    let alerts = node.get("/v1/alerts").await;
    assert_eq!(alerts.status, 200);
    let expected = json!({"evaluator": 1, "receivers": ["webhook"], "firing": [], "more_firing": 0, "recent": [],
        "waiting": [], "more_waiting": 0, "undelivered": []});
    assert_eq!(alerts.body, expected);
}

#[tokio::test]
async fn a_silence_can_be_put_seen_and_ended_and_survives_a_restart() {
    let node = Node::start();
    let silence = json!({"matchers": {"rule": "disk_*", "node": ["1", "2"]}, "duration_ms": 3_600_000, "author": "eve",
        "comment": "noon"});
    let response = node.send(Method::POST, "/v1/silences", silence.to_string()).await;
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    let put: Value = response.json().await.expect("JSON");
    assert_eq!(location, format!("/v1/silences/{}", put["id"]));
    assert_eq!(keys(&put), ["active", "author", "comment", "from_ms", "id", "matchers", "until_ms"]);
    assert_eq!((&put["matchers"], &put["active"]), (&silence["matchers"], &json!(true)));
    let lasts_ms = put["until_ms"].as_i64().zip(put["from_ms"].as_i64()).map(|(until, from)| until - from);
    assert_eq!(lasts_ms, Some(3_600_000));
    let node = node.kill_and_restart();
    assert_eq!(node.get("/v1/silences").await.body, json!({"silences": [put]}));
    assert_eq!(node.get(&location).await.body, put);
    assert_eq!(node.call(Method::DELETE, &location, Value::Null).await.status, 204);
    assert_eq!(node.call(Method::DELETE, &location, Value::Null).await.status, 404);
    assert_eq!(node.get(&location).await.status, 404);
    assert_eq!(node.get("/v1/silences").await.body, json!({"silences": []}));
}

#[tokio::test]
async fn a_silence_that_makes_no_sense_is_refused_with_the_field() {
    let node = Node::start();
    let year_ms = 367_u64 * 86_400_000;
    for (change, field) in [
        (json!({"matchers": {}}), "matchers"),
        (json!({"duration_ms": 0}), "duration_ms"),
        (json!({"duration_ms": year_ms}), "duration_ms"),
        (json!({"duration_ms": u64::MAX}), "duration_ms"),
        (json!({"from_ms": 5, "duration_ms": 5}), "duration_ms"),
        (json!({"from_ms": u64::MAX}), "duration_ms"),
        (json!({"author": ""}), "author"),
        (json!({"ends": 1}), "ends"),
    ] {
        let mut silence = json!({"matchers": {"rule": "a"}, "duration_ms": 1_000, "author": "e"});
        let fields = silence.as_object_mut().expect("an object");
        fields.extend(change.as_object().expect("an object").clone());
        let answer = node.call(Method::POST, "/v1/silences", silence.clone()).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)), "{silence}: {}", answer.body);
    }
    let past = json!({"matchers": {"rule": "a"}, "until_ms": 5, "author": "e"});
    let answer = node.call(Method::POST, "/v1/silences", past).await;
    assert_eq!((answer.status, &answer.body["field"]), (400, &json!("until_ms")), "{}", answer.body);
    for (path, status) in [("/v1/silences/x", 400), ("/v1/silences/-1", 400), ("/v1/silences/99", 404)] {
        assert_eq!(node.get(path).await.status, status, "{path}");
        assert_eq!(node.call(Method::DELETE, path, Value::Null).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_test_goes_to_a_receiver_that_there_is_and_says_why_it_was_not_taken() {
    let node = Home::with_config(CONFIG).start();
    let test = |receiver: &str| node.call(Method::POST, "/v1/alerts/test", json!({"receiver": receiver}));
    let unknown = test("slack").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body["detail"].as_str().is_some_and(|detail| detail.contains("webhook")), "{}", unknown.body);
    let refused = test("webhook").await;
    assert_eq!(refused.status, 502);
    let detail = refused.body["detail"].as_str().expect("text");
    assert!(detail.starts_with("webhook: ") && !detail.contains("/hook"), "the URL is a secret: {detail}");
    let none = node.call(Method::POST, "/v1/alerts/test", json!({})).await;
    assert_eq!((none.status, &none.body["field"]), (400, &json!("receiver")));
}

#[tokio::test]
async fn an_alert_is_explained_by_its_rule_its_route_and_what_hides_it() {
    let node = Home::with_config(CONFIG).start();
    let explained = node.get("/v1/alerts/explain?rule=redis_latency").await;
    let expected = json!({"rule": "redis_latency", "labels": {}, "metrics": [{"metric": "redis_latency", "fire": 100.0,
        "clear": 100.0, "for_ms": 30_000, "keep_firing_for_ms": 60_000, "severity": "warning", "route": null,
        "receivers": ["webhook"], "silenced_by": [], "inhibited_by": null}]});
    assert_eq!(explained.body, expected);
    let silence = json!({"matchers": {"signal": "disk_full"}, "duration_ms": 60_000, "author": "e"});
    let id = node.call(Method::POST, "/v1/silences", silence).await.body["id"].clone();
    for (node_label, route) in [("2", json!(0)), ("4", Value::Null)] {
        let explained = node.get(&format!("/v1/alerts/explain?rule=limiter_failing&node={node_label}")).await;
        let metrics = explained.body["metrics"].as_array().expect("a list");
        assert_eq!(metrics.len(), 4);
        for metric in metrics {
            let silenced_by = if metric["metric"] == "disk_full" { json!([id]) } else { json!([]) };
            assert_eq!((&metric["route"], &metric["silenced_by"]), (&route, &silenced_by), "{metric}");
        }
    }
    for (query, status, field) in [
        ("", 400, json!("rule")),
        ("?rule=a&rule=b", 400, json!("rule")),
        ("?rule=mode_change&node=1&node=2", 400, json!("node")),
        ("?rule=mode_chnage", 404, Value::Null),
    ] {
        let answer = node.get(&format!("/v1/alerts/explain{query}")).await;
        assert_eq!((answer.status, &answer.body["field"]), (status, &field), "{query}: {}", answer.body);
    }
}
