//! A cluster whose nodes are configured to tell of alerts, and one that a test begins and ends.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::capture::Capture;
use crate::cluster::{Cluster, Place, places};
use crate::wait::until;

/// The rule of the alert that a test begins and ends: each node's disk is fuller than 0 %, and not fuller than 99 %.
pub(crate) const TRIGGER: &str = "trigger";

/// How long what a new leader has to do may take: to be elected, to hear of the others, to send.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long no more messages come after the last that is expected.
pub(crate) const CALM: Duration = Duration::from_secs(3);

/// A message of alerts, as a test looks at it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) node: usize,
    pub(crate) status: String,
    pub(crate) may_be_repeat: bool,
    pub(crate) is_taken: bool,
}

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) capture: Capture,
    folder: TempDir,
    /// Where each node reaches the receivers.
    hosts: Vec<String>,
    /// What differs from the settings that all scenes have: what is to be put in the place of `alerts`' keys.
    pub(crate) alerts: Value,
}

impl Scene {
    /// Three nodes on loopback that tell Slack and a webhook.
    pub(crate) async fn of_three() -> Self {
        Self::at(places(3), |_| "127.0.0.1".to_owned(), json!({})).await
    }

    /// Nodes at these places, which reach the receivers at the host that is given for each, with other settings of `alerts`.
    pub(crate) async fn at(places: Vec<Place>, host: impl Fn(usize) -> String, alerts: Value) -> Self {
        let hosts = (1..=places.len()).map(host).collect();
        let mut scene = Self { hosts, alerts, ..Self::unstarted(places).await };
        scene.configure(99);
        scene.cluster.start_all().await;
        scene
    }

    /// Nodes on loopback of which none is configured and started yet.
    pub(crate) async fn unstarted(places: Vec<Place>) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let hosts = places.iter().map(|_| "127.0.0.1".to_owned()).collect();
        let place = |(index, place): (usize, Place)| {
            let place = Place { data: Some(data(&folder, index + 1)), ..place };
            let config = config(&folder, index + 1).display().to_string();
            place.with("TOLLGATE_CLUSTER__DEADLINE", "900ms").with("TOLLGATE_CONFIG", &config)
        };
        let places: Vec<_> = places.into_iter().enumerate().map(place).collect();
        let (cluster, capture) = (Cluster::at(&places).await, Capture::start().await);
        Self { cluster, capture, folder, hosts, alerts: json!({}) }
    }

    /// Where a receiver is for a node.
    pub(crate) fn url(&self, node: usize, receiver: &str) -> String {
        format!("http://{}:{}/n{node}/{receiver}", self.hosts[node - 1], self.capture.port)
    }

    /// Writes the configuration of all nodes; the trigger fires when a disk is fuller than so many percent.
    pub(crate) fn configure(&self, fire: u32) {
        for node in self.cluster.numbers() {
            let off = json!({"enabled": false});
            let mut alerts = json!({
                "receivers": {"slack": {"url": self.url(node, "slack")}, "webhook": {"url": self.url(node, "webhook")}},
                "rules": {
                    // What tests do to the cluster is not to be told of as well, nor that the machine is busy with other tests.
                    "node_down": off, "limiter_failing": off, "response_time": off, "error_rate": off, "queue_full": off,
                    TRIGGER: {"metric": "disk_full", "fire": fire, "keep_firing_for": "0s"},
                },
            });
            merge(&mut alerts, &self.alerts);
            let text = json!({"alerts": alerts}).to_string();
            std::fs::write(self.config(node), text).expect("the configuration can be written");
        }
    }

    /// Writes the configuration anew and has these nodes read it, one after the other.
    pub(crate) async fn reload(&self, nodes: &[usize], fire: u32) {
        self.configure(fire);
        for node in nodes {
            self.cluster.tell(*node, Signal::HUP);
            let is_read = async || self.threshold(*node).await == json!(f64::from(fire));
            until("the configuration is read again", SOON, is_read).await;
        }
    }

    /// Above what the trigger fires, as a node says.
    pub(crate) async fn threshold(&self, node: usize) -> Value {
        let explained = self.cluster.get(node, &format!("/v1/alerts/explain?rule={TRIGGER}")).await;
        explained.body["metrics"][0]["fire"].clone()
    }

    /// The condition of the trigger begins. The node that evaluates hears of it last.
    pub(crate) async fn begin(&self) {
        let evaluator = self.evaluator().await;
        let mut nodes = self.cluster.started();
        nodes.sort_by_key(|node| *node == evaluator);
        self.reload(&nodes, 0).await;
    }

    /// The condition of the trigger ends.
    pub(crate) async fn end(&self) {
        self.reload(&self.cluster.started(), 99).await;
    }

    /// How the alerts stand, as a node says.
    pub(crate) async fn alerts_at(&self, node: usize) -> Value {
        self.cluster.get(node, "/v1/alerts").await.body
    }

    /// The node that evaluates, when all that run say the same and that it runs.
    pub(crate) async fn evaluator(&self) -> usize {
        let mut evaluator = 0;
        let all_agree = async || {
            let mut said = Vec::new();
            for node in self.cluster.started() {
                let answer = self.cluster.ask(node, Method::GET, "/v1/alerts", Value::Null).await;
                said.push(answer.ok().and_then(|answer| answer.body["evaluator"].as_u64()).unwrap_or(0) as usize);
            }
            evaluator = said[0];
            self.cluster.started().contains(&evaluator) && said.iter().all(|other| *other == evaluator)
        };
        until("all nodes say who evaluates", SOON, all_agree).await;
        evaluator
    }

    /// What a receiver was told of the trigger, in order.
    pub(crate) fn told(&self, receiver: &str) -> Vec<Told> {
        self.told_of(receiver, TRIGGER)
    }

    /// What a receiver was told of a rule, in order.
    pub(crate) fn told_of(&self, receiver: &str, rule: &str) -> Vec<Told> {
        let told = |seen: crate::capture::Seen| {
            let (text, body) = (seen.body["text"].as_str().unwrap_or_default(), &seen.body);
            let is_slack = receiver == "slack";
            let of = if is_slack { text.split([' ', ':']).nth(1) } else { body["rule"].as_str() };
            let status = if is_slack { text.split(['[', ']']).nth(1) } else { body["status"].as_str() };
            let may_be_repeat = text.contains("may be a repeat") || body["may_be_repeat"] == json!(true);
            let status = status.unwrap_or_default().to_lowercase();
            (of == Some(rule)).then_some(Told { node: seen.node, status, may_be_repeat, is_taken: seen.is_taken })
        };
        self.capture.seen_by(receiver).into_iter().filter_map(told).collect()
    }

    /// Waits until each receiver took a message of the trigger with this status.
    pub(crate) async fn until_told(&self, status: &str) {
        for receiver in ["slack", "webhook"] {
            let is_told = |told: &Told| told.status == status && told.is_taken;
            let has_come = async || self.told(receiver).iter().any(is_told);
            until(&format!("{receiver} is told that it is {status}"), SOON, has_come).await;
        }
    }

    /// The configuration of a node.
    pub(crate) fn config(&self, node: usize) -> PathBuf {
        config(&self.folder, node)
    }

    /// The folder with the data of a node.
    pub(crate) fn data(&self, node: usize) -> PathBuf {
        data(&self.folder, node)
    }
}

fn config(folder: &TempDir, node: usize) -> PathBuf {
    folder.path().join(format!("node-{node}.yaml"))
}

fn data(folder: &TempDir, node: usize) -> PathBuf {
    folder.path().join(format!("data-{node}"))
}

/// Puts the keys of one document into another, and in place of those that it has; maps into maps.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(key, value)| merge(into.entry(key.clone()).or_insert(Value::Null), value));
        }
        (into, from) => *into = from.clone(),
    }
}
