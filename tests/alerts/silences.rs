//! Silences of the cluster.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::scene::{CALM, SOON, Scene, TRIGGER};
use crate::wait::until;

/// How long nobody is told anything while the alert fires: longer than it takes to tell.
const SILENT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_silence_holds_when_the_node_that_took_it_and_evaluated_is_killed() {
    let mut scene = Scene::of_three().await;
    let first = scene.evaluator().await;
    let silence = json!({"matchers": {"rule": TRIGGER}, "duration_ms": 600_000, "author": "eve", "comment": "known"});
    let silence = scene.cluster.post(first, "/v1/silences", silence).await;
    assert_eq!(silence.status, 201, "{silence:?}");
    let id = silence.body["id"].as_u64().expect("it has a number");
    scene.cluster.kill(first);
    let next = scene.evaluator().await;
    scene.begin().await;
    let is_silenced = |alerts: &Value| {
        let firing = alerts["firing"].as_array().expect("a list");
        !firing.is_empty() && firing.iter().all(|alert| alert["silenced_by"] == json!([id]))
    };
    until("it fires and is silenced", SOON, async || is_silenced(&scene.alerts_at(next).await)).await;
    sleep(SILENT).await;
    assert_eq!(scene.capture.seen().len(), 0, "nobody is told");
    scene.cluster.start(first);
    scene.cluster.ready().await;
    let knows = async || scene.cluster.get(first, &format!("/v1/silences/{id}")).await.status == 200;
    until("the node that was killed knows it again", SOON, knows).await;
    let ended = scene.cluster.call(first, Method::DELETE, &format!("/v1/silences/{id}"), Value::Null).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    scene.until_told("firing").await;
    scene.end().await;
    scene.until_told("resolved").await;
    sleep(CALM).await;
    for receiver in ["slack", "webhook"] {
        let statuses: Vec<_> = scene.told(receiver).into_iter().map(|told| told.status).collect();
        assert_eq!(statuses, ["firing", "resolved"], "{receiver}");
    }
}
