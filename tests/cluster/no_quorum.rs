//! Two of three nodes are gone: what each `on_unavailable` says, and that all is exact again when they are back.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{Cluster, HEALED};
use crate::harness::Answer;
use crate::load::put_limits;
use crate::wait::until;

/// Within how long a node decides by itself: `cluster.deadline` is 100 ms, and the rest is for a machine that has much to do.
const DECIDED: Duration = Duration::from_millis(600);

const BURST: u64 = 30;

async fn put_limit(cluster: &Cluster, policy: &str) {
    let limit = json!({"match": {"endpoint": [policy, "both"]}, "by": ["user"], "rate": 1, "per": "1h", "burst_limit": BURST,
        "on_unavailable": policy});
    cluster.put_limit(1, policy, limit).await;
}

/// Asks a node without a quorum, which answers all the same, and soon.
async fn ask(cluster: &Cluster, policy: &str, user: &str) -> Answer {
    let begun = Instant::now();
    let answer = cluster.acquire(3, policy, user).await;
    assert!(begun.elapsed() < DECIDED, "{policy} was decided after {:?}: {answer:?}", begun.elapsed());
    answer
}

/// How many of 40 requests for a new bucket pass; all are answered as degraded.
async fn admitted_degraded(cluster: &Cluster, policy: &str) -> u64 {
    let mut admitted = 0;
    for _ in 0..40 {
        let answer = ask(cluster, policy, "new").await;
        assert_eq!(answer.body["degraded"], json!(true), "{policy}: {answer:?}");
        assert!(matches!(answer.status, 200 | 429), "{policy}: {answer:?}");
        admitted += u64::from(answer.status == 200);
    }
    admitted
}

#[tokio::test]
async fn without_a_quorum_each_limit_decides_as_it_says() {
    let mut cluster = Cluster::of_three().await;
    put_limits(&cluster).await;
    for policy in ["local", "deny", "allow"] {
        put_limit(&cluster, policy).await;
    }
    cluster.exact().await;
    cluster.kill(1);
    cluster.kill(2);
    // What the node may spend of its own shards it spends for up to the horizon.
    let all_are_degraded = async || {
        let mut degraded = true;
        for user in 0..48 {
            let answer = ask(&cluster, "deny", &user.to_string()).await;
            degraded &= answer.body["degraded"] == json!(true);
        }
        degraded
    };
    until("every shard is without a quorum", HEALED, all_are_degraded).await;
    for _ in 0..40 {
        let both = ask(&cluster, "both", "new").await;
        assert_eq!((both.status, &both.body["degraded"]), (429, &json!(true)), "{both:?}");
    }
    assert_eq!(
        admitted_degraded(&cluster, "local").await,
        BURST / 3,
        "the node's share, of which what was denied takes nothing"
    );
    assert_eq!(admitted_degraded(&cluster, "deny").await, 0);
    assert_eq!(admitted_degraded(&cluster, "allow").await, 40);
    cluster.start(1);
    cluster.start(2);
    cluster.ready().await;
    cluster.exact().await;
    for policy in ["local", "deny", "allow"] {
        let answer = cluster.acquire(3, policy, "another").await;
        assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{policy}: {answer:?}");
    }
}
