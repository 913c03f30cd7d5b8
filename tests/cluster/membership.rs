//! Nodes that join, drain and leave under load, as an operator does it: nobody is answered wrongly, and no token is lost.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, patient_places};
use crate::load::Load;
use crate::wait::until;

/// How long all shards may take to move.
const MOVED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_node_joins_another_drains_and_leaves_and_no_token_is_lost() {
    let places = patient_places(4);
    let (three, fourth) = places.split_at(3);
    let mut cluster = Cluster::of(three).await;
    let saved = json!({"match": {"endpoint": "saved"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": 100});
    cluster.put_limit(1, "saved", saved).await;
    let load = Load::start(&cluster).await;
    for user in 0..32 {
        let answer = cluster.acquire(user % 3 + 1, "saved", &user.to_string()).await;
        assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
    }
    let joining = cluster.add(&fourth[0], &["--node", "4", "--join", &three[1].peer]);
    cluster.start(joining);
    cluster.ready().await;
    until("the new node leads some shards", MOVED, async || cluster.leads(4).await > 0).await;

    let drained = cluster.post(1, "/v1/cluster/nodes/2/drain", json!({})).await;
    assert_eq!(drained.status, 200, "{drained:?}");
    until("the drained node leads nothing", MOVED, async || cluster.leads(2).await == 0).await;

    load.keep_away(2);
    let removed = cluster.call(3, Method::DELETE, "/v1/cluster/nodes/2", Value::Null).await;
    assert_eq!(removed.status, 202, "{removed:?}");
    assert_eq!(cluster.ended(2, MOVED).await, Some(0), "{}", cluster.log(2));
    cluster.start(2);
    assert!(cluster.ended(2, MOVED).await.is_some_and(|code| code != 0), "its data is of no more use");
    assert!(cluster.log(2).contains("node 2 was removed from its cluster"), "{}", cluster.log(2));
    let status = cluster.get(1, "/v1/cluster").await.body;
    let numbers: Vec<_> = status["nodes"].as_array().expect("a list").iter().map(|node| node["id"].clone()).collect();
    assert_eq!(numbers, [1, 3, 4], "{status}");
    cluster.exact().await;
    for user in 0..32 {
        assert_eq!(cluster.remaining(3, "saved", &user.to_string()).await, json!(99), "user {user}");
    }
    load.checked().await;
}
