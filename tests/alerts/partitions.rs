//! An evaluator that is cut off from the other nodes and still reaches the receivers: it tells nobody of anything.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::capture::Answering;
use crate::namespaces::{Namespaces, others};
use crate::scene::{CALM, SOON, Scene};
use crate::wait::until;

/// How long a node stays cut off after the others have told what there is to tell: long enough for it to take them for dead.
const CUT: Duration = Duration::from_secs(7);

/// Nodes whose network can be cut, by which the receivers are reached all the same; who is down is told of as well.
async fn scene(network: &Namespaces) -> Scene {
    let alerts = json!({"rules": {"node_down": {"enabled": true, "for": "0s", "keep_firing_for": "0s"}}});
    Scene::at(network.places(), |node| network.client_host(node, 1), alerts).await
}

/// A node that is cut off reaches the receiver, and is told so.
async fn check_reach(scene: &Scene, node: usize) {
    let test = json!({"receiver": "webhook"});
    let answer = scene.cluster.post(node, "/v1/alerts/test", test).await;
    assert_eq!(answer.status, 200, "node {node} reaches the receiver: {answer:?}");
}

/// The nodes that told a receiver of a rule, with what they said.
fn senders(scene: &Scene, receiver: &str, rule: &str) -> Vec<(usize, String)> {
    scene.told_of(receiver, rule).into_iter().map(|told| (told.node, told.status)).collect()
}

async fn until_told(scene: &Scene, rule: &str, status: &str) {
    for receiver in ["slack", "webhook"] {
        let is_told = async || senders(scene, receiver, rule).iter().any(|(_, told)| told == status);
        until(&format!("{receiver} is told that {rule} is {status}"), SOON, is_told).await;
    }
}

/// The evaluator is cut off when there is nothing to tell: each side takes the other for dead, and one side says so.
async fn check_condition() {
    let Some(network) = Namespaces::make(3) else { return };
    let scene = scene(&network).await;
    let old = scene.evaluator().await;
    network.cut(old);
    until_told(&scene, "node_down", "firing").await;
    sleep(CUT).await;
    check_reach(&scene, old).await;
    network.mend(old);
    until_told(&scene, "node_down", "resolved").await;
    sleep(CALM).await;
    for receiver in ["slack", "webhook"] {
        let told = senders(&scene, receiver, "node_down");
        let statuses: Vec<_> = told.iter().map(|(_, status)| status.as_str()).collect();
        assert_eq!(statuses, ["firing", "resolved"], "{receiver}: {told:?}");
        assert_ne!(told[0].0, old, "the node that was cut off told {receiver}: {told:?}");
    }
    let seen = scene.capture.seen_by("webhook");
    let firing = seen.iter().find(|seen| seen.body["rule"] == "node_down").expect("it was told");
    let named: Vec<_> = firing.body["alerts"].as_array().into_iter().flatten().map(|alert| &alert["labels"]).collect();
    assert_eq!(named, [&json!({"node": old.to_string()})], "the node that is cut off is the one that is down");
}

/// The evaluator is cut off while a message waits: the next one sends it.
async fn check_message() {
    let Some(network) = Namespaces::make(3) else { return };
    let scene = scene(&network).await;
    let old = scene.evaluator().await;
    ["slack", "webhook"].into_iter().for_each(|receiver| {
        scene.capture.answers(receiver, &[Answering::Says(429, "retry-after: 2\r\n", "")]);
    });
    scene.begin().await;
    let all_wait = async || {
        let waiting = &scene.alerts_at(old).await["waiting"];
        scene.capture.seen().len() == 2 && waiting.as_array().is_some_and(|waiting| waiting.len() == 2)
    };
    until("both messages wait", SOON, all_wait).await;
    network.cut(old);
    ["slack", "webhook"].into_iter().for_each(|receiver| scene.capture.answers(receiver, &[Answering::Fine]));
    scene.until_told("firing").await;
    sleep(CUT).await;
    check_reach(&scene, old).await;
    for receiver in ["slack", "webhook"] {
        let told = scene.told(receiver);
        let taken: Vec<_> = told.iter().filter(|told| told.is_taken).collect();
        assert_eq!(taken.len(), 1, "{receiver} took it once: {told:?}");
        assert!(others(old).contains(&taken[0].node), "not from node {old}, which is cut off: {told:?}");
        let after = told.iter().skip(1).filter(|told| told.node == old).count();
        assert_eq!(after, 0, "node {old} told {receiver} while it was cut off: {told:?}");
    }
    let stale = scene.cluster.ask(old, Method::GET, "/v1/alerts", Value::Null).await.expect("it answers");
    assert_eq!(stale.body["waiting"].as_array().map(Vec::len), Some(2), "it knows no better: {stale:?}");
    network.mend(old);
    let knows = async || scene.alerts_at(old).await["waiting"] == json!([]);
    until("it learns that others have sent them", SOON, knows).await;
}

#[tokio::test]
async fn an_evaluator_that_is_cut_off_tells_nobody_of_what_begins_nor_of_what_waits() {
    tokio::join!(check_condition(), check_message());
}
