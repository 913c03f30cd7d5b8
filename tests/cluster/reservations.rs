//! Reserve on one node, settle on another.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, HEALED, patient_places};
use crate::harness::{Answer, call};
use crate::load::put_limits;
use crate::wait::until;

async fn put_limit(cluster: &Cluster) {
    let limit = json!({"match": {"endpoint": "reserved"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": 100});
    cluster.put_limit(1, "reserved", limit).await;
}

async fn reserve(cluster: &Cluster, node: usize, user: &str) -> Value {
    let request = json!({"endpoint": "reserved", "labels": {"user": user}, "cost": 10});
    let answer = cluster.post(node, "/v1/reserve", request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["reservation"].clone()
}

async fn settle(cluster: &Cluster, node: usize, reservation: &Value) -> Answer {
    cluster.post(node, "/v1/settle", json!({"reservation": reservation, "actual": 3})).await
}

#[tokio::test]
async fn who_queues_at_a_leader_that_dies_is_answered_by_the_next() {
    let mut cluster = Cluster::of(&patient_places(3)).await;
    put_limits(&cluster).await;
    let limit = json!({"match": {"endpoint": "queued"}, "by": ["user"], "rate": 1, "per": "4s", "burst_limit": 1});
    cluster.put_limit(1, "queued", limit).await;
    cluster.exact().await;
    let dies = cluster.busiest().await;
    let asked = dies % 3 + 1;
    let leader_of = async |user: &str| {
        let answer = cluster.acquire(asked, "queued", user).await;
        let shard = answer.body["limits"][0]["shard"].as_u64().expect("an answer names its shard");
        cluster.get(asked, "/v1/cluster").await.body["shards"][shard as usize]["leader"].clone()
    };
    let mut users = Vec::new();
    for user in 0..24 {
        let user = user.to_string();
        if leader_of(&user).await == json!(dies) {
            users.push(user);
        }
    }
    assert!(!users.is_empty(), "the busiest node leads some of 24");
    let urls = cluster.urls();
    let mut queueing = JoinSet::new();
    for user in users {
        let url = format!("{}/v1/acquire", urls[asked - 1]);
        let body = json!({"endpoint": "queued", "labels": {"user": user}, "wait_ms": 25_000}).to_string();
        queueing.spawn(async move { call(&Client::new(), Method::POST, url, body).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.kill(dies);
    let killed = Instant::now();
    while let Some(answer) = queueing.join_next().await {
        let answer = answer.expect("a client does not fail").expect("it is answered");
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        assert!(killed.elapsed() < HEALED, "answered {:?} after the leader died: {answer:?}", killed.elapsed());
    }
}

#[tokio::test]
async fn what_one_node_reserved_another_settles_and_once() {
    let cluster = Cluster::of(&patient_places(3)).await;
    put_limit(&cluster).await;
    for user in 0..12 {
        let user = user.to_string();
        let reservation = reserve(&cluster, 1, &user).await;
        assert_eq!(settle(&cluster, 2, &reservation).await.status, 200);
        assert_eq!(settle(&cluster, 3, &reservation).await.status, 409);
        for node in cluster.numbers() {
            assert_eq!(cluster.remaining(node, "reserved", &user).await, json!(97), "user {user} at node {node}");
        }
    }
}

#[tokio::test]
async fn of_two_nodes_that_settle_a_reservation_at_once_one_is_told_that_it_is_settled() {
    let cluster = Cluster::of(&patient_places(3)).await;
    put_limit(&cluster).await;
    for user in 0..12 {
        let reservation = reserve(&cluster, 1, &user.to_string()).await;
        let (one, other) = tokio::join!(settle(&cluster, 2, &reservation), settle(&cluster, 3, &reservation));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "user {user}: {one:?}, {other:?}");
        assert_eq!(cluster.remaining(2, "reserved", &user.to_string()).await, json!(97));
    }
}

#[tokio::test]
async fn a_reservation_outlives_the_leader_that_gave_it() {
    let mut cluster = Cluster::of_three_with("TOLLGATE_CLUSTER__SHARDS", "1").await;
    put_limits(&cluster).await;
    put_limit(&cluster).await;
    for round in 0..2 {
        let leader = cluster.busiest().await;
        let (reserving, settling) = (leader % 3 + 1, (leader + 1) % 3 + 1);
        let user = round.to_string();
        let reservation = reserve(&cluster, reserving, &user).await;
        cluster.kill(leader);
        let body = json!({"reservation": reservation, "actual": 3});
        let mut statuses = Vec::new();
        let is_settled = async || {
            let answer = cluster.ask(settling, Method::POST, "/v1/settle", body.clone()).await;
            statuses.push(answer.map(|answer| answer.status).ok());
            statuses.last() == Some(&Some(200))
        };
        until("it is settled", HEALED, is_settled).await;
        statuses.pop();
        assert!(statuses.iter().all(|status| *status == Some(503)), "before it was settled: {statuses:?}");
        assert_eq!(settle(&cluster, reserving, &reservation).await.status, 409, "once");
        let left = cluster.remaining(reserving, "reserved", &user).await.as_u64();
        assert!(left.is_some_and(|left| left <= 97), "{left:?} are left of 100 when 3 are spent");
        cluster.start(leader);
        cluster.ready().await;
        cluster.exact().await;
        assert_eq!(settle(&cluster, leader, &reservation).await.status, 409, "at the node that was killed");
    }
}
