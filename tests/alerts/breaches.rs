//! Alerts of what is counted over a minute. They take one, so one test has both run at once.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster::places;
use crate::floods::check_flood;
use crate::scene::{CALM, SOON, Scene};
use crate::wait::until;

/// For so long a new evaluator does not know all of the last minute, so what its predecessor saw is not over for it.
const UNKNOWN: Duration = Duration::from_secs(55);

/// Within so long after the next evaluator began, what it has not seen for a minute is over.
const OVER: Duration = Duration::from_secs(80);

/// Exceeds a limit, kills the node that told of it, and expects the next to tell the end: once, and not before it can know.
async fn check_breach() {
    let alerts = json!({"breaches_threshold": 1, "rules": {"breaches": {"keep_firing_for": "1s"}}});
    let mut scene = Scene::at(places(3), |_| "127.0.0.1".to_owned(), alerts).await;
    let first = scene.evaluator().await;
    scene.cluster.put_limit(first, "once", json!({"by": ["user"], "rate": 1, "per": "24h"})).await;
    let statuses = [1, 2, 3, 1].map(async |node| scene.cluster.acquire(node, "e", "a").await.status);
    let mut denied = 0;
    for status in statuses {
        denied += usize::from(status.await == 429);
    }
    assert_eq!(denied, 3, "one unit is there");
    until_told(&scene, &["firing"], SOON).await;
    let nothing_waits = async || scene.alerts_at(first).await["waiting"] == json!([]);
    until("that it arrived is written down", SOON, nothing_waits).await;
    scene.cluster.kill(first);
    let begun = Instant::now();
    scene.cluster.start(first);
    scene.cluster.ready().await;
    until_told(&scene, &["firing", "resolved"], OVER).await;
    let took = begun.elapsed();
    assert!(took >= UNKNOWN, "it was over for a new evaluator after {took:?}");
    sleep(CALM).await;
    until_told(&scene, &["firing", "resolved"], CALM).await;
}

/// Waits until each receiver was told this of the limit that was exceeded, and nothing else.
async fn until_told(scene: &Scene, statuses: &[&str], deadline: Duration) {
    for receiver in ["slack", "webhook"] {
        let are_told = async || {
            let told = scene.told_of(receiver, "breaches");
            assert!(told.len() <= statuses.len() && told.iter().all(|told| !told.may_be_repeat), "{told:?}");
            told.iter().map(|told| told.status.as_str()).eq(statuses.iter().copied())
                && told.iter().all(|told| told.is_taken)
        };
        until(&format!("{receiver} is told {statuses:?}"), deadline, are_told).await;
    }
}

#[tokio::test]
async fn thousands_of_alerts_are_one_message_and_no_rate_is_over_before_a_new_evaluator_can_know() {
    tokio::join!(check_flood(), check_breach());
}
