//! Reserve and settle.

use serde_json::{Value, json};

use crate::node::{Answer, Node};

async fn reserve(node: &Node, cost: u64) -> Answer {
    node.post("/v1/reserve", json!({"endpoint": "e", "labels": {"user": "a"}, "cost": cost})).await
}

async fn settle(node: &Node, reservation: &Value, actual: u64) -> Answer {
    node.post("/v1/settle", json!({"reservation": reservation, "actual": actual})).await
}

async fn remaining(node: &Node) -> Value {
    node.get("/v1/buckets/only?user=a").await.body["remaining"].clone()
}

#[tokio::test]
async fn the_difference_is_given_back_or_charged_once() {
    let algorithms = [
        json!({"by": ["user"], "rate": 100, "per": "1h"}),
        json!({"by": ["user"], "rate": 100, "per": "1h", "algorithm": "sliding_window"}),
        json!({"by": ["user"], "rate": 100, "per": "1h", "algorithm": "fixed_window"}),
    ];
    for document in algorithms {
        let node = Node::start();
        node.put_limit("only", document.clone()).await;
        for (actual, left) in [(3, 97), (10, 87), (15, 72), (0, 72)] {
            let reserved = reserve(&node, 10).await;
            assert_eq!(reserved.status, 200, "{document}: {reserved:?}");
            assert!(reserved.body["ttl_ms"].as_u64() > Some(0), "{reserved:?}");
            let reservation = &reserved.body["reservation"];
            let settled = settle(&node, reservation, actual).await;
            assert_eq!(settled.status, 200, "{document}: {settled:?}");
            assert_eq!(remaining(&node).await, json!(left), "{document}, {actual} of 10");
            let again = settle(&node, reservation, 0).await;
            assert_eq!(again.status, 409, "{document}: {again:?}");
            assert_eq!(remaining(&node).await, json!(left), "{document}: nothing twice");
        }
    }
}

#[tokio::test]
async fn a_reservation_that_is_not_settled_is_spent_in_full() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 100, "per": "1h"})).await;
    reserve(&node, 10).await;
    assert_eq!(remaining(&node).await, json!(90));
}

#[tokio::test]
async fn a_permit_is_returned_by_settling() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "algorithm": "concurrency", "burst_limit": 2, "ttl": "1h"})).await;
    let first = reserve(&node, 1).await;
    let second = node.acquire("a").await;
    assert_eq!((first.status, second.status), (200, 200));
    assert!(second.body["reservation"].is_string(), "a permit can be returned however it was taken");
    assert_eq!(node.acquire("a").await.status, 429);
    assert_eq!(settle(&node, &first.body["reservation"], 1).await.status, 200);
    assert_eq!(node.acquire("a").await.status, 200);
    assert_eq!(node.acquire("a").await.status, 429);
}

#[tokio::test]
async fn a_denied_reservation_gives_nothing_to_settle() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 1, "per": "1h"})).await;
    assert_eq!(reserve(&node, 1).await.status, 200);
    let denied = reserve(&node, 1).await;
    assert_eq!((denied.status, &denied.body["reservation"]), (429, &Value::Null));
}

#[tokio::test]
async fn a_settled_reservation_stays_settled_after_a_crash() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 10, "per": "1h"})).await;
    let (first, second) = (reserve(&node, 4).await, reserve(&node, 4).await);
    assert_eq!(settle(&node, &first.body["reservation"], 1).await.status, 200);
    let node = node.kill_and_restart();
    assert_eq!(settle(&node, &first.body["reservation"], 0).await.status, 409);
    assert_eq!(settle(&node, &second.body["reservation"], 9).await.status, 200, "what is open can still be settled");
    assert_eq!(node.acquire("a").await.status, 429, "4 − 3 + 4 + 5 are spent");
}

#[tokio::test]
async fn what_was_never_given_cannot_be_settled() {
    let node = Node::start();
    let other = Node::start();
    other.put_limit("only", json!({"by": ["user"], "rate": 10, "per": "1h"})).await;
    let foreign = reserve(&other, 1).await.body["reservation"].clone();
    for (reservation, status) in
        [(json!("x"), 404), (json!("AAAA"), 404), (foreign, 404), (json!(""), 400), (json!(7), 400)]
    {
        let answer = settle(&node, &reservation, 0).await;
        assert_eq!(
            (answer.status, &answer.body["field"]),
            (status, &json!("reservation")),
            "{reservation}: {answer:?}"
        );
    }
}
