//! SIGHUP, and starts, with other settings of alerts.

use rustix::process::Signal;
use serde_json::json;

use crate::capture::Capture;
use crate::node::{Home, Node};
use crate::scene::{SOON, Scene};
use crate::wait::until;

/// A configuration on which nothing is wrong.
const GOOD: &str = "alerts:
  receivers:
    webhook: {url: 'http://127.0.0.1:9/n1/webhook'}
";

/// What is wrong, the configuration, and what the line that says so names beside the file.
const MISTAKES: [(&str, &str, [&str; 2]); 11] = [
    (
        "a metric that there is not",
        "alerts:\n  receivers:\n    webhook: {url: 'http://h/'}\n  rules:\n    mine: {metric: breeches, fire: 1}\n",
        [":5", "alerts.rules.mine.metric"],
    ),
    (
        "a template that does not parse",
        "alerts:\n  rules:\n    breaches:\n      template: '{{ rule'\n",
        [":4", "alerts.rules.breaches.template"],
    ),
    (
        "a template of what there is not",
        "alerts:\n  rules:\n    breaches:\n      template: '{{ rule }} {{ nothing }}'\n",
        [":4", "alerts.rules.breaches.template"],
    ),
    ("a receiver without its secret", "alerts:\n  receivers:\n    slack: {}\n", [":3", "alerts.receivers.slack"]),
    (
        "an empty secret",
        "alerts:\n  receivers:\n    pagerduty:\n      routing_key: ''\n",
        [":4", "alerts.receivers.pagerduty.routing_key"],
    ),
    (
        "a file of a secret that is not there",
        "alerts:\n  receivers:\n    webhook:\n      url: http://h/\n      secret_file: /no/such/file\n",
        [":5", "alerts.receivers.webhook.secret_file"],
    ),
    (
        "a receiver that there is not",
        "alerts:\n  receivers:\n    webhook: {url: 'http://h/'}\n  routes:\n    - to: [slack]\n",
        [":5", "alerts.routes[0].to[0]"],
    ),
    (
        "a rule that would never fire",
        "alerts:\n  rules:\n    response_time: {fire: 5000}\n",
        [":3", "alerts.rules.response_time.fire"],
    ),
    (
        "a mail server whose address is none",
        "alerts:\n  receivers:\n    email: {smtp: 'smtp://h:port', from: a@b, to: [c@d]}\n",
        [":3", "alerts.receivers.email.smtp"],
    ),
    (
        "a sender whose address is none",
        "alerts:\n  receivers:\n    email: {smtp: 'smtp://h', from: 'a@-', to: [c@d]}\n",
        [":3", "alerts.receivers.email.from"],
    ),
    (
        "a receiver whose URL is none",
        "alerts:\n  receivers:\n    alertmanager: {url: 'http://h:port/'}\n",
        [":3", "alerts.receivers.alertmanager.url"],
    ),
];

fn check_line(mistake: &str, text: &str, expected: [&str; 2]) {
    let lines: Vec<_> = text.lines().filter(|line| line.contains("tollgate.yaml")).collect();
    assert_eq!(lines.len(), 1, "{mistake} is one line that names the file: {text}");
    let place = format!("tollgate.yaml{}", expected[0]);
    assert!(lines[0].contains(&place) && lines[0].contains(expected[1]), "{mistake} at {expected:?}: {}", lines[0]);
}

#[test]
fn a_start_with_a_mistake_in_the_alerts_is_refused_in_one_line() {
    for (mistake, config, expected) in MISTAKES {
        let errors = Home::with_config(config).refused();
        assert_eq!(errors.lines().count(), 1, "{mistake}: {errors}");
        check_line(mistake, &errors, expected);
    }
}

#[tokio::test]
async fn a_reload_with_a_mistake_in_the_alerts_keeps_what_was_and_says_so_in_one_line() {
    let mut node = Home::with_config(GOOD).start();
    let before = configured(&node).await;
    for (mistake, config, _) in MISTAKES {
        node.home.write_config(config);
        node.signal(Signal::HUP);
        node.until_logged("the old one stays");
        assert_eq!(configured(&node).await, before, "{mistake}");
    }
    let (code, log, _) = node.stop();
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("the old one stays")).collect();
    assert_eq!(lines.len(), MISTAKES.len(), "{log}");
    for ((mistake, _, expected), line) in MISTAKES.into_iter().zip(lines) {
        check_line(mistake, line, expected);
    }
}

/// Who is told, and what becomes of an alert of a rule.
async fn configured(node: &Node) -> [serde_json::Value; 2] {
    let receivers = node.get("/v1/alerts").await.body["receivers"].clone();
    [receivers, node.get("/v1/alerts/explain?rule=breaches&limit=a").await.body]
}

#[tokio::test]
async fn other_receivers_and_rules_take_effect_without_a_restart() {
    let mut scene = Scene::of_three().await;
    scene.begin().await;
    scene.until_told("firing").await;
    let other = Capture::start().await;
    let url = |kind: &str| format!("http://127.0.0.1:{}/n0/{kind}", other.port);
    scene.alerts = json!({
        "receivers": {"slack": {"url": url("slack")}, "webhook": {"url": url("webhook")}, "pagerduty": {"routing_key": "key", "url": url("pagerduty")}},
        "rules": {"more": {"metric": "disk_full", "fire": 0, "receivers": ["pagerduty"], "template": "{{ rule }} since {{ since }}"}},
    });
    scene.reload(&[1, 2, 3], 0).await;
    let is_told = async || ["pagerduty", "webhook"].iter().all(|receiver| !other.seen_by(receiver).is_empty());
    until("the new receivers are told by the new rule", SOON, is_told).await;
    let event = &other.seen_by("pagerduty")[0].body;
    assert!(event["payload"]["summary"].as_str().is_some_and(|summary| summary.starts_with("more since")), "{event}");
    scene.end().await;
    let is_told = async || {
        let ends = |kind: &str| other.seen_by(kind).iter().any(|seen| seen.body.to_string().contains("trigger"));
        ends("slack") && ends("webhook")
    };
    until("the new receivers are told that the old alert is over", SOON, is_told).await;
    for receiver in ["slack", "webhook"] {
        assert_eq!(scene.told(receiver).len(), 1, "the old {receiver} heard of the beginning, and of no more");
    }
}
