//! A changed limit holds on every node from the next decision after the answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, patient_places};
use crate::load::put_limits;

async fn put_burst(cluster: &Cluster, node: usize, burst: u64) {
    let limit =
        json!({"match": {"endpoint": "changed"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": burst});
    cluster.put_limit(node, "changed", limit).await;
}

fn request(user: &str, cost: u64) -> Value {
    json!({"endpoint": "changed", "labels": {"user": user}, "cost": cost})
}

#[tokio::test]
async fn a_change_holds_at_once_on_the_nodes_that_were_not_asked() {
    let cluster = Cluster::of(&patient_places(3)).await;
    for (round, burst) in [5_u64, 50, 7, 300, 1, 20, 19, 21, 2, 90].into_iter().cycle().take(40).enumerate() {
        let changed_at = round % 3 + 1;
        put_burst(&cluster, changed_at, burst).await;
        let (one, other) = (changed_at % 3 + 1, (changed_at + 1) % 3 + 1);
        let user = format!("{round}");
        for (node, cost, status) in [(one, burst + 1, 422), (other, burst + 1, 422), (one, burst, 200), (other, 1, 429)]
        {
            let answer = cluster.post(node, "/v1/acquire", request(&user, cost)).await;
            assert_eq!(answer.status, status, "round {round}, {cost} of {burst} at node {node}: {answer:?}");
        }
    }
}

/// How long a change may wait for a node that is silent.
const CHANGED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_node_that_stood_still_during_a_change_decides_nothing_by_the_old_limit() {
    let mut cluster = Cluster::of_three().await;
    put_limits(&cluster).await;
    for paused in cluster.numbers() {
        let asked = paused % 3 + 1;
        put_burst(&cluster, asked, 50).await;
        cluster.exact().await;
        cluster.pause(paused);
        let begun = Instant::now();
        put_burst(&cluster, asked, 5).await;
        eprintln!("a change while node {paused} stands still took {:?}", begun.elapsed());
        assert!(begun.elapsed() < CHANGED, "the change took {:?}", begun.elapsed());
        let first_answers = ask_much(&cluster, paused);
        cluster.resume(paused);
        for answer in first_answers.join_all().await {
            let is_degraded = answer.body["degraded"] == json!(true);
            assert!(
                answer.status != 200 || is_degraded,
                "6 of 5 units at node {paused}, which stood still: {answer:?}"
            );
        }
        cluster.exact().await;
        let answer = cluster.post(paused, "/v1/acquire", request(&format!("late-{paused}"), 6)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
}

/// Asks a node, which need not answer yet, for more than a burst of 5, for many buckets at once.
fn ask_much(cluster: &Cluster, node: usize) -> JoinSet<crate::harness::Answer> {
    let url = format!("{}/v1/acquire", cluster.urls()[node - 1]);
    let client = reqwest::Client::new();
    let ask = |user: u32| {
        let (client, url, body) = (client.clone(), url.clone(), request(&format!("{node}-{user}"), 6).to_string());
        async move { crate::harness::call(&client, Method::POST, url, body).await.expect("it is answered") }
    };
    (0..32).map(ask).collect()
}
