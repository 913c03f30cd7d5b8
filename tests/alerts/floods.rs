//! Thousands of alerts of one rule at once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::places;
use crate::scene::{CALM, SOON, Scene, TRIGGER};
use crate::wait::until;

/// For how many seconds keys are denied. All that were within the last minute fire together, as soon as the rule says so.
const SECONDS: u64 = 53;

/// The most that one rule watches: a few fewer than are denied.
const WATCHED: u64 = 10_000;

/// How long the last of what was denied takes to be told to the node that evaluates.
const TOLD: Duration = Duration::from_secs(2);

/// The most keys of which a node tells the others within a second.
const KEYS: u64 = 64;

/// At least so many fire: a second in which a node is late may cost some.
const AT_LEAST: u64 = SECONDS * KEYS * 3 / 2;

/// How many alerts a message names.
const NAMED: u64 = 10;

/// The most that a node may grow by, far below what a copy of each alert for each receiver would take.
const GROWS_BY_BYTES: u64 = 128 << 20;

/// Has each node deny as many keys a second as it can tell of, each key once: asked for twice, where one unit is there.
async fn deny_keys(scene: &Scene) {
    let mut seconds = interval(Duration::from_millis(1_010));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for second in 0..SECONDS {
        seconds.tick().await;
        for node in scene.cluster.numbers() {
            let request = |key: u64| json!({"endpoint": "e", "labels": {"user": format!("{node}-{second}-{key}")}});
            let requests: Vec<_> = (0..KEYS).flat_map(|key| [request(key), request(key)]).collect();
            let answer = scene.cluster.post(node, "/v1/acquire_many", json!({"requests": requests})).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

fn firing(alerts: &Value) -> u64 {
    alerts["firing"].as_array().map_or(0, Vec::len) as u64 + alerts["more_firing"].as_u64().unwrap_or(0)
}

async fn resident(scene: &Scene, node: usize) -> u64 {
    scene.cluster.metric(node, "tollgate_process_resident_memory_bytes").await as u64
}

/// Has as many alerts of one rule fire in one evaluation as a rule watches, and expects one message to each receiver.
pub(crate) async fn check_flood() {
    let alerts = json!({"breaches_threshold": 1_000_000_000, "rules": {TRIGGER: {"metric": "key_denials", "keep_firing_for": "10m"}}});
    let scene = Scene::at(places(3), |_| "127.0.0.1".to_owned(), alerts).await;
    scene.cluster.put_limit(1, "once", json!({"by": ["user"], "rate": 1, "per": "24h"})).await;
    deny_keys(&scene).await;
    sleep(TOLD).await;
    let evaluator = scene.evaluator().await;
    let before = resident(&scene, evaluator).await;
    scene.begin().await;
    scene.until_told("firing").await;
    sleep(CALM).await;
    let standing = firing(&scene.alerts_at(evaluator).await);
    let grown = resident(&scene, evaluator).await.saturating_sub(before);
    eprintln!("{standing} alerts of one rule fire at once; the evaluator grew by {} KiB", grown >> 10);
    assert!((AT_LEAST..=WATCHED).contains(&standing), "{standing} alerts fire");
    assert!(grown < GROWS_BY_BYTES, "the evaluator grew by {grown} bytes");
    for receiver in ["slack", "webhook"] {
        let told = scene.told(receiver);
        assert_eq!(told.len(), 1, "{receiver}: {told:?}");
    }
    let message = |receiver: &str| {
        let mut bodies = scene.capture.seen_by(receiver).into_iter().map(|seen| seen.body);
        bodies.find(|body| body.to_string().contains(TRIGGER)).expect("it was told")
    };
    let seen = message("webhook");
    let more = seen["more"].as_u64().expect("it says how many more");
    assert_eq!(seen["alerts"].as_array().map(Vec::len), Some(NAMED as usize), "{seen}");
    assert_eq!(more + NAMED, standing, "it says how many there are");
    let slack = message("slack");
    assert!(slack["text"].as_str().is_some_and(|text| text.ends_with(&format!(" +{} more", standing - 1))), "{slack}");
    for node in scene.cluster.numbers() {
        let answer = scene.cluster.acquire(node, "e", &format!("after-{node}")).await;
        assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
        let all_know = async || firing(&scene.alerts_at(node).await) == standing;
        until("every node knows what fires", SOON, all_know).await;
        assert_eq!(scene.cluster.get(node, "/health").await.status, 200);
    }
}
