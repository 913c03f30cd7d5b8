//! The receivers against real servers on this machine.
#![expect(clippy::disallowed_types, reason = "the servers of these tests need sockets")]

mod alertmanager;
mod canary;
mod email;
mod failures;
mod pagerduty;
mod servers;
mod slack;
mod texts;
mod tls;
mod webhook;

use std::sync::Arc;

use tollgate_cluster::{Attempt, Clock, Courier as _, Delivery};
use tollgate_feedback::alert::{Alerts, Content, Digest, DigestedRule, Message, Named, Severity, Signal, Status};
use tollgate_limiter::ClockReading;

use super::{Receivers, Settings, test_message};
use crate::config;

/// A time that does not pass.
struct Stopped;

/// 2023-11-14T22:13:20Z.
const NOW_S: i64 = 1_700_000_000;
const CLUSTER: &str = "0123456789abcdef0123456789abcdef";
const CLIENT_URL: &str = "https://tollgate.example.org/";

impl Clock for Stopped {
    fn read(&self) -> ClockReading {
        ClockReading { mono_ns: 0, wall_ns: NOW_S * 1_000_000_000, boot: 0 }
    }
}

/// The settings of `receivers` with a clock that stands and a template for one rule.
fn settings(receivers: &config::Receivers) -> Settings<'_> {
    let templates = [("templated", "{{ rule }} of {{ labels.limit }} is at {{ value }}{{ unit }}")];
    Settings {
        receivers,
        templates: templates.map(|(rule, template)| (rule.to_owned(), template.to_owned())).into(),
        client_url: Some(CLIENT_URL.to_owned()),
        clock: Arc::new(Stopped),
    }
}

/// One attempt of receivers made for it.
async fn deliver(receivers: &config::Receivers, delivery: Delivery) -> Attempt {
    Receivers::new(settings(receivers)).expect("they can be made").deliver(delivery).await
}

fn delivery(receiver: &str, content: Content) -> Delivery {
    let message = Message { receiver: receiver.to_owned(), at_ms: NOW_S * 1_000 - 500, content };
    Delivery { id: format!("{CLUSTER}-17"), message, may_be_repeat: false }
}

fn named(labels: &[(&str, &str)]) -> Named {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Named { labels, signal: Signal::ErrorRate, value: 7.204, since_ms: NOW_S * 1_000 - 60_000, flaps: false }
}

fn alerts(status: Status, labels: &[(&str, &str)]) -> Alerts {
    Alerts {
        rule: "error_rate".to_owned(),
        severity: Severity::Error,
        status,
        episode: 5,
        since_ms: NOW_S * 1_000 - 60_000,
        named: vec![named(labels)],
        more: 0,
    }
}

fn firing(receiver: &str, labels: &[(&str, &str)]) -> Delivery {
    delivery(receiver, Content::Alerts(alerts(Status::Firing, labels)))
}

/// A message of each kind and status.
fn every_kind(receiver: &str) -> Vec<Delivery> {
    let (rule, reason) = (Some("error_rate".to_owned()), "answered 404".to_owned());
    let rules = vec![DigestedRule { rule: "error_rate".to_owned(), fired: 3, firing: 1 }];
    let test = test_message(receiver, NOW_S * 1_000).content;
    let contents = [
        Content::Alerts(alerts(Status::Firing, &[("limit", "search")])),
        Content::Alerts(alerts(Status::Flapping, &[("limit", "search")])),
        Content::Alerts(Alerts { more: 3, ..alerts(Status::Resolved, &[]) }),
        Content::Alerts(Alerts { named: Vec::new(), more: 3, ..alerts(Status::Firing, &[]) }),
        Content::Undelivered { receiver: "slack".to_owned(), rule, reason },
        Content::Digest(Digest { day: "2023-11-13".to_owned(), rules, undelivered: 2 }),
        Content::Digest(Digest::default()),
        test,
    ];
    contents.map(|content| delivery(receiver, content)).into()
}

/// Alerts whose labels try whatever could do harm where they are shown.
fn hostile(receiver: &str) -> Delivery {
    let long = "😀<&>".repeat(2_500);
    let labels = [
        ("mention", "<!channel> <@U1> & <http://evil.example|here>"),
        ("long", long.as_str()),
        ("lines", "a\r\nBcc: evil@example.org\r\n\r\nbody\u{2028}x"),
        ("control", "\u{0}\u{7}\u{1b}[31mred\u{9b}"),
        ("turned", "\u{202e}gnp.exe \u{2066}שלום مرحبا"),
        ("html", "<script>alert(1)</script>\"'"),
        ("template", "{{ 7 * 7 }}{% for i in range(9) %}x{% endfor %}"),
        ("na-me \n{{x}}", "odd"),
        ("empty", ""),
    ];
    let named: Vec<_> = (0..10).map(|_| named(&labels)).collect();
    delivery(receiver, Content::Alerts(Alerts { named, more: 990, ..alerts(Status::Firing, &[]) }))
}

/// What is said of an attempt: how it ended, and why.
fn outcome(attempt: &Attempt) -> (&'static str, &str) {
    match attempt {
        Attempt::Delivered { receipt } => ("delivered", receipt),
        Attempt::Later { may_have_arrived: true, reason, .. } => ("later, may have arrived", reason),
        Attempt::Later { reason, .. } => ("later", reason),
        Attempt::Never { reason } => ("never", reason),
    }
}

/// Expects an attempt that ended in this way and says this among else.
fn check(claim: &str, attempt: &Attempt, ends: &str, says: &str) {
    let (ended, words) = outcome(attempt);
    assert!(ended == ends && words.contains(says), "{claim}: {ends}, {says} expected, and not {attempt:?}");
    assert!(words.chars().count() <= 400 && !words.contains(char::is_control), "{claim}: {words}");
}

fn slack(url: &str) -> config::Receivers {
    config::Receivers { slack: Some(config::Slack { url: config::Secret::new(url) }), ..config::Receivers::default() }
}

fn pagerduty(url: &str) -> config::Receivers {
    let (routing_key, url) = (config::Secret::new("R0UT1NGK3Y"), url.to_owned());
    config::Receivers { pagerduty: Some(config::PagerDuty { routing_key, url }), ..config::Receivers::default() }
}

fn webhook(url: &str, secret: Option<&str>) -> config::Receivers {
    let webhook = config::Webhook { url: config::Secret::new(url), secret: secret.map(config::Secret::new) };
    config::Receivers { webhook: Some(webhook), ..config::Receivers::default() }
}

fn alertmanager(url: &str) -> config::Receivers {
    let alertmanager = config::Alertmanager { url: config::Secret::new(url) };
    config::Receivers { alertmanager: Some(alertmanager), ..config::Receivers::default() }
}

/// What is configured of the receivers that speak HTTP and are all at `url`, each with its name.
fn all_at(url: &str) -> [(&'static str, config::Receivers); 4] {
    [
        ("slack", slack(url)),
        ("pagerduty", pagerduty(url)),
        ("webhook", webhook(url, Some("s3cr3t"))),
        ("alertmanager", alertmanager(url)),
    ]
}

#[tokio::test]
async fn a_receiver_that_is_not_configured_is_told_later_and_a_new_configuration_takes_its_place() {
    let server = servers::answering(&[(200, "ok")]).await;
    let receivers = Receivers::new(settings(&config::Receivers::default())).expect("none");
    let told = receivers.deliver(firing("slack", &[])).await;
    check("before", &told, "later", "slack: is not configured on this node");
    receivers.replace(settings(&slack(&server.url))).expect("they can be made");
    check("after", &receivers.deliver(firing("slack", &[])).await, "delivered", "ok");
    check("another", &receivers.deliver(firing("pager", &[])).await, "later", "pager: is not configured");
}
