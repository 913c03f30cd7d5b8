//! All receivers take connections and never answer: the node decides as ever.
#![expect(clippy::print_stdout, reason = "the table is what the measurement is for")]

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::capture::{Answering, Capture};
use crate::cluster::places;
use crate::harness::call;
use crate::mail::{Mailing, mail_server};
use crate::node::{Home, Node};
use crate::scene::{SOON, Scene, TRIGGER};
use crate::wait::until;

const RECEIVERS: [&str; 5] = ["slack", "webhook", "pagerduty", "alertmanager", "email"];

/// Those that are told over HTTP.
const OVER_HTTP: usize = 4;

/// How long a node may take to hand over all that it leads, or to end.
const HANDED_OVER: Duration = Duration::from_secs(10);

/// How many rules fire at once, each told to every receiver.
const RULES: usize = 20;

/// How long it takes to tell a receiver of all of them, one a second.
const TOLD: Duration = Duration::from_secs(60);

/// Requests of a round, and rounds of each kind; the first of each is not counted.
const REQUESTS: usize = 4_000;
const ROUNDS: usize = 5;

/// All kinds of receivers, which do what the servers on these ports do.
fn receivers(node: usize, http: u16, mail: u16) -> Value {
    let url = |receiver: &str| format!("http://127.0.0.1:{http}/n{node}/{receiver}");
    json!({
        "slack": {"url": url("slack")},
        "webhook": {"url": url("webhook")},
        "pagerduty": {"url": url("pagerduty"), "routing_key": "key"},
        "alertmanager": {"url": url("alertmanager")},
        "email": {"smtp": format!("smtp://127.0.0.1:{mail}"), "from": "a@example.org", "to": ["b@example.org"]},
    })
}

fn hang(capture: &Capture) {
    RECEIVERS.into_iter().for_each(|receiver| capture.answers(receiver, &[Answering::Holds]));
}

#[tokio::test]
async fn while_all_receivers_hang_nodes_answer_drain_and_stop_as_ever() {
    let mut scene = Scene::unstarted(places(3)).await;
    hang(&scene.capture);
    // The configuration of all nodes is the same but for the paths, which the settings of a scene replace: one is enough.
    scene.alerts = json!({
        "receivers": receivers(1, scene.capture.port, mail_server(Mailing::Silent).await),
        "routes": [{"to": RECEIVERS}],
    });
    scene.configure(0);
    scene.cluster.start_all().await;
    let evaluator = scene.evaluator().await;
    let all_hang = async || scene.capture.seen().len() == OVER_HTTP;
    until("all receivers have a message and do not answer", SOON, all_hang).await;
    scene.cluster.put_limit(evaluator, "many", json!({"by": ["user"], "rate": 1_000, "per": "1s"})).await;
    for node in scene.cluster.numbers() {
        for user in ["a", "b", "c"] {
            let answer = scene.cluster.acquire(node, "e", user).await;
            assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
        }
        let waiting = async || scene.alerts_at(node).await["waiting"].as_array().map(Vec::len) == Some(RECEIVERS.len());
        until("every node knows what waits", SOON, waiting).await;
    }
    check_silences(&scene, evaluator).await;
    let drain = format!("/v1/cluster/nodes/{evaluator}/drain");
    assert_eq!(scene.cluster.post(evaluator, &drain, Value::Null).await.status, 200);
    let leads_nothing = async || scene.cluster.leads(evaluator).await == 0;
    until("the drained node leads nothing", HANDED_OVER, leads_nothing).await;
    for node in scene.cluster.numbers() {
        let (code, took) = scene.cluster.stop(node, HANDED_OVER).await;
        assert_eq!(code, Some(0), "node {node} ends well, after {took:?}: {}", scene.cluster.log(node));
    }
}

async fn check_silences(scene: &Scene, node: usize) {
    let silence = json!({"matchers": {"rule": TRIGGER}, "duration_ms": 600_000, "author": "eve", "comment": "known"});
    let silence = scene.cluster.post(node, "/v1/silences", silence).await;
    assert_eq!(silence.status, 201, "{silence:?}");
    let firing = scene.alerts_at(node).await["firing"].clone();
    let silenced = firing.as_array().expect("a list").iter().all(|alert| alert["silenced_by"] != json!([]));
    assert!(silenced, "{firing}");
    let path = format!("/v1/silences/{}", silence.body["id"]);
    assert_eq!(scene.cluster.call(node, Method::DELETE, &path, Value::Null).await.status, 204);
}

/// A node all of whose rules fire, told to receivers that take everything, or that all hang.
struct Measured {
    node: Node,
    client: Client,
    _capture: Capture,
}

impl Measured {
    async fn start(hangs: bool) -> Self {
        let (capture, mail_port) = (Capture::start().await, mail_server(Mailing::Silent).await);
        if hangs {
            hang(&capture);
        }
        let told = if hangs { &RECEIVERS[..] } else { &RECEIVERS[..OVER_HTTP] };
        let node = Home::with_config(&config(told, capture.port, mail_port)).start();
        node.put_limit("many", json!({"by": ["user"], "rate": 1_000_000, "per": "1s"})).await;
        let waiting = RULES * told.len();
        let is_so = async || {
            let alerts = node.get("/v1/alerts").await.body;
            let count = |key: &str| alerts[key].as_array().map_or(0, Vec::len);
            // What the machine itself gives reason for comes beside it, such as a disk that is full.
            count("firing") >= RULES && if hangs { count("waiting") >= waiting } else { count("waiting") == 0 }
        };
        until("all rules fire, and all is told, or nothing", TOLD, is_so).await;
        let client = Client::builder().no_proxy().build().expect("a client can be made");
        Self { node, client, _capture: capture }
    }

    /// How long each request of a round took, the shortest first.
    async fn latencies(&self) -> Vec<Duration> {
        let body = json!({"endpoint": "e", "labels": {"user": "a"}}).to_string();
        let mut latencies = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let url = format!("{}/v1/acquire", self.node.url);
            let answer = call(&self.client, Method::POST, url, body.clone()).await.expect("it answers");
            latencies.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        latencies.sort();
        latencies
    }
}

fn config(told: &[&str], http: u16, mail: u16) -> String {
    let rule = |rule| (format!("rule{rule}"), json!({"metric": "disk_full", "fire": 0}));
    let rules = Value::Object((0..RULES).map(rule).collect());
    json!({"alerts": {"receivers": receivers(1, http, mail), "rules": rules, "routes": [{"to": told}]}}).to_string()
}

/// The 50th and the 99th percentile, in microseconds.
fn quantiles(latencies: &[Duration]) -> [u128; 2] {
    [50, 99].map(|percent| latencies[latencies.len() * percent / 100].as_micros())
}

/// The middle one of some rounds.
fn middle(mut rounds: Vec<[u128; 2]>, quantile: usize) -> u128 {
    rounds.sort_by_key(|round| round[quantile]);
    rounds[rounds.len() / 2][quantile]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: cargo xtask bench alerts"]
async fn latencies_are_these_while_all_receivers_hang() {
    let nodes = [Measured::start(false).await, Measured::start(true).await];
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (node, rounds) in nodes.iter().zip(&mut rounds) {
            let quantiles = quantiles(&node.latencies().await);
            if round > 0 {
                rounds.push(quantiles);
            }
        }
    }
    println!(
        "| quantile, of {ROUNDS} rounds of {REQUESTS} requests the middle one | {RULES} alerts, and all is told, µs | all receivers hang, µs | ratio |"
    );
    println!("|---|---|---|---|");
    for (index, name) in ["p50", "p99"].into_iter().enumerate() {
        let [calm, hanging] = rounds.clone().map(|rounds| middle(rounds, index));
        println!("| {name} | {calm} | {hanging} | {:.2} |", hanging as f64 / calm as f64);
    }
}
