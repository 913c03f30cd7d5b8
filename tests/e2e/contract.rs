//! The contract of the HTTP API, field by field.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::Node;

fn keys(value: &Value) -> Vec<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn an_allowed_answer_has_the_fields_of_the_contract() {
    let node = Node::start();
    let request = json!({"prefix": "app", "endpoint": "users", "labels": {"user": "42", "tier": "pro"}, "cost": 1,
        "wait_ms": 0});
    let response = node.send(Method::POST, "/v1/acquire", request.to_string()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["ratelimit-policy"], r#""pro";q=100;w=12"#);
    assert_eq!(response.headers()["ratelimit"], r#""pro";r=99;t=1"#);
    assert!(!response.headers().contains_key("retry-after"));
    let body: Value = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
    let expected = json!({"allowed": true, "remaining": 99, "retry_after_ms": 0, "reset_after_ms": 120, "degraded": false,
        "limits": [{"name": "pro", "allowed": true, "limit": 100, "remaining": 99, "retry_after_ms": 0,
                    "reset_after_ms": 120, "shard": body["limits"][0]["shard"]}]});
    assert!(body["limits"][0]["shard"].as_u64().is_some_and(|shard| shard < 16), "{body}");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_denied_answer_is_a_problem_document_with_the_same_fields() {
    let node = Node::start();
    node.put_limit("one", json!({"by": ["user"], "rate": 1, "per": "100s", "burst_limit": 1})).await;
    assert_eq!(node.acquire("a").await.status, 200);
    let request = json!({"endpoint": "e", "labels": {"user": "a"}}).to_string();
    let response = node.send(Method::POST, "/v1/acquire", request).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let retry_after: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("a number");
    let body: Value = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
    assert_eq!(body["allowed"], json!(false));
    assert_eq!(body["status"], json!(429));
    assert_eq!(body["type"], json!("https://iana.org/assignments/http-problem-types#quota-exceeded"));
    assert_eq!(body["violated-policies"], json!(["one"]));
    assert_eq!(body["limits"][0]["allowed"], json!(false));
    assert!(body["title"].is_string() && body["detail"].is_string());
    let retry_after_ms = body["retry_after_ms"].as_u64().expect("a number");
    assert!((99_000..=100_000).contains(&retry_after_ms), "{retry_after_ms}");
    assert!(retry_after * 1_000 >= retry_after_ms, "Retry-After {retry_after} is earlier than {retry_after_ms} ms");
}

#[tokio::test]
async fn a_request_that_meets_no_limit_passes() {
    let answer = Node::start().acquire("a").await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["allowed"], &answer.body["limits"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn a_cost_that_never_fits_is_422_and_takes_nothing() {
    let node = Node::start();
    node.put_limit("ten", json!({"by": ["user"], "rate": 10, "per": "1h"})).await;
    for cost in [json!(11), json!(u64::MAX)] {
        let answer = node.post("/v1/acquire", json!({"endpoint": "e", "labels": {"user": "a"}, "cost": cost})).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!("cost")), "{answer:?}");
    }
    assert_eq!(node.admitted("a").await, 10);
}

#[tokio::test]
async fn many_requests_are_answered_in_order_and_independently() {
    let node = Node::start();
    node.put_limit("two", json!({"by": ["user"], "rate": 2, "per": "1h"})).await;
    let request = |user: &str| json!({"endpoint": "e", "labels": {"user": user}});
    let requests = json!([
        request("a"), request("a"), request("b"), {"endpoint": "no spaces"}, {"endpoint": "e", "cots": 1},
        {"endpoint": "e", "labels": {"user": "c"}, "cost": 3}, request("a"),
    ]);
    let answer = node.post("/v1/acquire_many", json!({"requests": requests})).await;
    assert_eq!(answer.status, 200);
    let results = answer.body["results"].as_array().expect("a list");
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().expect("a status")).collect();
    assert_eq!(statuses, [200, 200, 200, 400, 400, 422, 429]);
    assert_eq!(results[3]["field"], json!("requests[3].endpoint"));
    assert_eq!(keys(&results[0])[0], "allowed");
}

#[tokio::test]
async fn limits_can_be_made_read_changed_and_removed() {
    let node = Node::start();
    let document = json!({"by": ["user"], "match": {"endpoint": ["search", "find/*"]}, "rate": 5, "per": "1s",
        "burst_limit": 10, "shadow": true});
    let created = node.call(Method::PUT, "/v1/limits/search", document).await;
    assert_eq!((created.status, &created.body["name"]), (201, &json!("search")));
    let read = node.get("/v1/limits/search").await;
    assert_eq!((read.status, &read.body), (200, &created.body));
    let again = node.call(Method::PUT, "/v1/limits/search", read.body.clone()).await;
    assert_eq!((again.status, &again.body), (200, &read.body), "what is read can be written back");
    let names = |answer: &Value| -> Vec<String> {
        let limits = answer["limits"].as_array().expect("a list");
        limits.iter().map(|limit| limit["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&node.get("/v1/limits").await.body), ["basic", "enterprise", "pro", "search"]);
    assert_eq!(node.call(Method::DELETE, "/v1/limits/search", Value::Null).await.status, 204);
    assert_eq!(node.get("/v1/limits/search").await.status, 404);
    assert_eq!(node.call(Method::DELETE, "/v1/limits/search", Value::Null).await.status, 404);
    let other_name = node.call(Method::PUT, "/v1/limits/a", json!({"name": "b", "rate": 1, "per": "1s"})).await;
    assert_eq!((other_name.status, &other_name.body["field"]), (400, &json!("name")));
}

#[tokio::test]
async fn a_bucket_can_be_looked_at_and_reset() {
    let node = Node::start();
    node.put_limit("five", json!({"by": ["user"], "rate": 5, "per": "1h"})).await;
    assert_eq!(node.admitted("a b&c").await, 5);
    let bucket = node.get("/v1/buckets/five?user=a%20b%26c").await;
    assert_eq!((bucket.status, &bucket.body["remaining"]), (200, &json!(0)), "{bucket:?}");
    assert!(bucket.body["retry_after_ms"].as_u64() > Some(0));
    let other = node.get("/v1/buckets/five?user=a%20b%26c&prefix=other").await;
    assert_eq!(other.body["remaining"], json!(5), "another prefix is another bucket");
    assert_eq!(node.call(Method::DELETE, "/v1/buckets/five?user=a%20b%26c", Value::Null).await.status, 204);
    assert_eq!(node.admitted("a b&c").await, 5);
    assert_eq!(node.get("/v1/buckets/nine?user=a").await.status, 404);
    let unknown = node.get("/v1/buckets/five?usr=a").await;
    assert_eq!((unknown.status, &unknown.body["field"]), (400, &json!("usr")));
}

#[tokio::test]
async fn the_most_restrictive_limit_gives_the_figures() {
    let node = Node::start();
    node.put_limit("global", json!({"rate": 100, "per": "1h"})).await;
    node.put_limit("user", json!({"by": ["user"], "rate": 3, "per": "1h"})).await;
    let answer = node.acquire("a").await;
    assert_eq!(answer.body["remaining"], json!(2));
    assert_eq!(answer.body["limits"].as_array().map(Vec::len), Some(2));
    node.admitted("a").await;
    let denied = node.acquire("a").await;
    assert_eq!(denied.body["violated-policies"], json!(["user"]));
    assert_eq!(node.get("/v1/buckets/global").await.body["remaining"], json!(97), "a denial charges no limit");
}

#[tokio::test]
async fn keys_that_join_to_the_same_text_are_different_buckets() {
    let node = Node::start();
    node.put_limit("pair", json!({"by": ["x", "y"], "rate": 1, "per": "1h"})).await;
    for (x, y) in [("a_b", "c"), ("a", "b_c"), ("a", "_b_c"), ("", "a_b_c")] {
        let answer = node.post("/v1/acquire", json!({"endpoint": "e", "labels": {"x": x, "y": y}})).await;
        assert_eq!(answer.status, 200, "{x} and {y}");
    }
}

#[tokio::test]
async fn metrics_are_as_long_with_many_buckets_as_with_few() {
    let node = Node::start();
    node.put_limit("user", json!({"by": ["user"], "rate": 1, "per": "1h"})).await;
    node.acquire("first").await;
    let names = |text: &str| -> Vec<String> {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let mut names: Vec<_> =
            series.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    };
    let before = names(&node.metrics().await);
    let requests: Vec<_> =
        (0..1_000).map(|user| json!({"endpoint": "e", "labels": {"user": user.to_string()}})).collect();
    assert_eq!(node.post("/v1/acquire_many", json!({"requests": requests})).await.status, 200);
    let after = node.metrics().await;
    assert_eq!(names(&after), before);
    assert!(after.contains("tollgate_buckets 1001"), "{after}");
    for line in after.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let legacy = line.starts_with("rate_limiter_") || line.starts_with("redis_operation_latency_ms");
        assert!(legacy || line.starts_with("tollgate_"), "{line}");
    }
}

#[tokio::test]
async fn figures_alone_change_a_limit_and_not_whom_it_is_for() {
    let node = Node::start();
    node.put_limit("pro", json!({"requests_per_minute": 60, "burst_limit": 7})).await;
    let pro = node.get("/v1/limits/pro").await.body;
    assert_eq!(
        (&pro["match"], &pro["by"], &pro["burst_limit"]),
        (&json!({"tier": "pro"}), &json!(["user"]), &json!(7))
    );
    assert_eq!(node.acquire("a").await.body["limits"], json!([]), "who is of no tier meets no limit");
}
