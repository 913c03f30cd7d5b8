//! Side by side with the Alertmanager of Prometheus, at a Slack that says once that it is asked too often.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::capture::{Answering, Capture};
use crate::node::Home;
use crate::scene::{CALM, SOON};
use crate::wait::until;

const PROGRAM: &str = "prometheus-alertmanager";

/// Once that it is asked too often, and then `ok`.
const ONCE_TOO_OFTEN: [Answering; 2] = [Answering::Says(429, "retry-after: 1\r\n", ""), Answering::Fine];

/// After how long an Alertmanager looks at a group of alerts again. By default, five minutes.
const GROUP_INTERVAL: Duration = Duration::from_secs(4);

/// An Alertmanager that is killed when it is dropped.
struct Alertmanager {
    child: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Alertmanager {
    /// One that tells a Slack; `None`, said loudly, where there is none.
    async fn start(slack: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let config = json!({
            "route": {"receiver": "slack", "group_by": ["alertname"], "group_wait": "100ms",
                "group_interval": format!("{}s", GROUP_INTERVAL.as_secs()), "repeat_interval": "4h"},
            "receivers": [{"name": "slack", "slack_configs": [{"api_url": slack, "channel": "#alerts", "send_resolved": true}]}],
        });
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config.to_string()).expect("it can be written");
        let address = free_address();
        let mut command = Command::new(PROGRAM);
        command.arg("--config.file").arg(&file).arg("--storage.path").arg(folder.path());
        command.args(["--cluster.listen-address=", &format!("--web.listen-address={address}")]);
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("SKIPPED: there is no {PROGRAM} here; `cargo xtask test` installs it");
            return None;
        };
        let client = Client::builder().no_proxy().build().expect("a client can be made");
        let alertmanager = Self { child, url: format!("http://{address}"), client, _folder: folder };
        let is_ready = async || alertmanager.call(Method::GET, "/-/ready", String::new()).await == Some(200);
        until("the Alertmanager is ready", SOON, is_ready).await;
        Some(alertmanager)
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Option<u16> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.header("content-type", "application/json").body(body).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Tells it that an alert fires, or is over.
    async fn post(&self, name: &str, is_over: bool) {
        let now = jiff::Timestamp::now();
        let ends = if is_over { now } else { now + Duration::from_secs(600) };
        let alert = json!([{"labels": {"alertname": name}, "startsAt": (now - Duration::from_secs(60)).to_string(),
            "endsAt": ends.to_string()}]);
        assert_eq!(self.call(Method::POST, "/api/v2/alerts", alert.to_string()).await, Some(200), "it takes {name}");
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// Whether Slack took a message, and what its `part` says, of each that it was sent.
fn said(capture: &Capture, part: fn(&Value) -> &Value) -> Vec<(bool, String)> {
    let word = |text: &str| text.split(['[', ']', ':']).nth(1).unwrap_or_default().to_lowercase();
    let seen = capture.seen_by("slack").into_iter();
    seen.map(|seen| (seen.is_taken, word(part(&seen.body).as_str().unwrap_or_default()))).collect()
}

/// What an Alertmanager sends of an alert that is over after this time, when the first message is answered 429.
async fn by_alertmanager(fires_for: Duration) -> Option<Vec<(bool, String)>> {
    let capture = Capture::start().await;
    capture.answers("slack", &ONCE_TOO_OFTEN);
    let alertmanager = Alertmanager::start(&format!("http://127.0.0.1:{}/n0/slack", capture.port)).await?;
    alertmanager.post("trigger", false).await;
    until("the Alertmanager is answered 429", SOON, async || !capture.seen().is_empty()).await;
    sleep(fires_for).await;
    alertmanager.post("trigger", true).await;
    sleep(2 * GROUP_INTERVAL + CALM).await;
    eprintln!("the Alertmanager was taken {:?} after the 429", delay(&capture));
    Some(said(&capture, |body| &body["attachments"][0]["title"]))
}

/// The same of a node.
async fn by_tollgate(fires_for: Duration) -> Vec<(bool, String)> {
    let capture = Capture::start().await;
    capture.answers("slack", &ONCE_TOO_OFTEN);
    let config = |fire: u32| {
        let trigger = json!({"metric": "disk_full", "fire": fire, "keep_firing_for": "0s"});
        let slack = json!({"url": format!("http://127.0.0.1:{}/n1/slack", capture.port)});
        // A disk of this machine that is full is not to be told of as well.
        let rules = json!({"trigger": trigger, "limiter_failing": {"enabled": false}});
        json!({"alerts": {"receivers": {"slack": slack}, "rules": rules}}).to_string()
    };
    let node = Home::with_config(&config(0)).start();
    until("the node is answered 429", SOON, async || !capture.seen().is_empty()).await;
    sleep(fires_for).await;
    node.home.write_config(&config(99));
    node.signal(Signal::HUP);
    let is_told = async || said(&capture, |body| &body["text"]).contains(&(true, "resolved".to_owned()));
    until("the node has told the end", SOON, is_told).await;
    sleep(CALM).await;
    eprintln!("the node was taken {:?} after the 429", delay(&capture));
    said(&capture, |body| &body["text"])
}

/// How long after the first message the second came.
fn delay(capture: &Capture) -> Option<Duration> {
    let seen = capture.seen();
    Some(seen.get(1)?.at - seen[0].at)
}

fn owned(said: &[(bool, &str)]) -> Vec<(bool, String)> {
    said.iter().map(|(is_taken, word)| (*is_taken, (*word).to_owned())).collect()
}

/// Has both tell of an alert that is over after this time, and expects what an Alertmanager then sends, where there is one. A node sends
/// the beginning until it is taken, and the end.
async fn check_one_429(fires_for: Duration, theirs: &[(bool, &str)]) {
    let (by_alertmanager, by_tollgate) = tokio::join!(by_alertmanager(fires_for), by_tollgate(fires_for));
    assert_eq!(by_tollgate, owned(&[(false, "firing"), (true, "firing"), (true, "resolved")]), "by the node");
    if let Some(by_alertmanager) = by_alertmanager {
        assert_eq!(by_alertmanager, owned(theirs), "by the Alertmanager");
    }
}

#[tokio::test]
async fn one_429_costs_an_alertmanager_a_short_alert_or_a_group_interval_and_us_what_slack_asks_for() {
    let long = check_one_429(GROUP_INTERVAL + CALM, &[(false, "firing"), (true, "firing"), (true, "resolved")]);
    tokio::join!(check_one_429(Duration::ZERO, &[(false, "firing")]), long);
}
