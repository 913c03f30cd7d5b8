//! A bucket that is reset is whole on every node at once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, patient_places};

#[tokio::test]
async fn a_bucket_that_is_reset_is_whole_although_all_nodes_remembered_a_denial() {
    let cluster = Cluster::of(&patient_places(3)).await;
    let limit = json!({"match": {"endpoint": "reset"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": 3});
    cluster.put_limit(1, "reset", limit).await;
    for round in 0..30 {
        let user = (round % 10).to_string();
        while cluster.acquire(1, "reset", &user).await.status == 200 {}
        for node in cluster.numbers() {
            assert_eq!(cluster.acquire(node, "reset", &user).await.status, 429);
        }
        let path = format!("/v1/buckets/reset?user={user}");
        let reset_at = round % 3 + 1;
        assert_eq!(cluster.call(reset_at, Method::DELETE, &path, Value::Null).await.status, 204);
        for node in cluster.numbers() {
            let answer = cluster.acquire(node, "reset", &user).await;
            assert_eq!(answer.status, 200, "round {round}: reset at node {reset_at}, asked at {node}: {answer:?}");
        }
        assert_eq!(cluster.acquire(1, "reset", &user).await.status, 429, "three and no more");
    }
}
