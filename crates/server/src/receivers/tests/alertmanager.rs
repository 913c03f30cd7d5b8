//! A real Alertmanager.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_cluster::{Courier as _, Delivery};
use tollgate_feedback::alert::{Alerts, Content, Status};

use super::{Settings, alertmanager, alerts, check, delivery, every_kind, hostile, named, settings};
use crate::environment::SystemClock;
use crate::receivers::Receivers;

const PROGRAM: &str = "prometheus-alertmanager";

/// An Alertmanager, ended with this.
struct Running {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Running {
    /// `None`, and a note, where it is not installed.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let config = folder.path().join("config.yml");
        fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let started = Command::new(PROGRAM)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={free}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            eprintln!("skipped: {PROGRAM} is not installed; `cargo xtask test` installs it");
            return None;
        };
        let running = Self { process, url: format!("http://{free}"), _folder: folder };
        running.wait().await;
        Some(running)
    }

    async fn wait(&self) {
        for _ in 0..200 {
            if reqwest::get(format!("{}/-/ready", self.url)).await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{PROGRAM} does not become ready");
    }

    /// The alerts that it has, as `name{labels}`, in order.
    async fn alerts(&self) -> Vec<String> {
        let answer = reqwest::get(format!("{}/api/v2/alerts", self.url)).await.expect("it answers");
        let alerts: Vec<Value> = answer.json().await.expect("JSON");
        let mut shown: Vec<_> = alerts.iter().map(shown).collect();
        shown.sort();
        shown
    }

    /// Tells it of a message, in real time.
    async fn tell(&self, delivery: Delivery) {
        let config = alertmanager(&self.url);
        let settings = Settings { clock: Arc::new(SystemClock::new()), ..settings(&config) };
        let receivers = Receivers::new(settings).expect("they can be made");
        check("told", &receivers.deliver(delivery).await, "delivered", "200 OK");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn shown(alert: &Value) -> String {
    let labels = alert["labels"].as_object().expect("labels");
    let own = labels.iter().filter(|(name, _)| !["alertname", "cluster", "severity"].contains(&name.as_str()));
    let own: Vec<_> = own.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    format!("{}{{{}}}", labels["alertname"].as_str().unwrap_or_default(), own.join(","))
}

fn message(status: Status, endpoints: &[&str], more: u64) -> Delivery {
    let named = endpoints.iter().map(|endpoint| named(&[("endpoint", endpoint)])).collect();
    delivery("alertmanager", Content::Alerts(Alerts { named, more, ..alerts(status, &[]) }))
}

#[tokio::test]
async fn what_fires_is_there_until_it_is_over_named_or_not() {
    let Some(running) = Running::start().await else { return };
    running.tell(message(Status::Firing, &["a", "b"], 0)).await;
    assert_eq!(running.alerts().await, ["error_rate{endpoint=a}", "error_rate{endpoint=b}"]);
    running.tell(message(Status::Firing, &["a", "c"], 7)).await;
    let all =
        ["error_rate{aggregated=true}", "error_rate{endpoint=a}", "error_rate{endpoint=b}", "error_rate{endpoint=c}"];
    assert_eq!(running.alerts().await, all);
    let mut other = message(Status::Firing, &["a"], 0);
    if let Content::Alerts(alerts) = &mut other.message.content {
        alerts.rule = "queue_full".to_owned();
    }
    running.tell(other).await;
    running.tell(message(Status::Resolved, &["c"], 0)).await;
    assert_eq!(running.alerts().await, ["queue_full{endpoint=a}"], "and nothing of another rule is over");
}

#[tokio::test]
async fn every_message_is_taken_whatever_its_labels_hold() {
    let Some(running) = Running::start().await else { return };
    for delivery in every_kind("alertmanager").into_iter().chain([hostile("alertmanager")]) {
        running.tell(delivery).await;
    }
    let alerts = running.alerts().await.join("\n");
    for name in ["TollgateUndelivered{receiver=slack}", "TollgateDigest{}", "TollgateTest{}", "na_me____x__=odd"] {
        assert!(alerts.contains(name), "{alerts}");
    }
    assert!(alerts.contains("empty=(empty)"), "{alerts}");
}
