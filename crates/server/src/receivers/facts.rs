//! What templates may say of a message.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Serialize;
use tollgate_cluster::Delivery;
use tollgate_feedback::alert::{Alerts, Content, Digest, Labels, Message, Named, Severity, Signal, Status};

use super::letter::{kind, timestamp};
use super::printable::one_line;

/// Most characters of a label, name or reason in a text. Whole values are for machines: see [`super::webhook`].
const MOST_VALUE: usize = 200;

/// Every label that some signal has, for samples.
const LABELS: [&str; 6] = ["endpoint", "key", "limit", "node", "shard", Signal::LABEL];

/// The variables of templates. Texts of others are on one line, short and printable. What a kind of message does not have is absent.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    /// `alerts`, `undelivered`, `digest` or `test`.
    pub(super) kind: &'static str,
    /// The receiver's name.
    receiver: String,
    /// When the message was written.
    at: String,
    /// `info`, `warning`, `error` or `critical`.
    severity: &'static str,
    /// Whether an earlier attempt may have arrived.
    may_be_repeat: bool,
    /// Where people see more.
    client_url: Option<String>,
    /// Of alerts.
    #[serde(flatten)]
    pub(super) alerts: Option<AlertFacts>,
    /// What could not be told somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LostFacts>,
    /// The day that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<DigestFacts>,
    /// What happened on one line, once that is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) summary: String,
    /// What else there is to know, once that is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) details: String,
}

/// How alerts of a rule stand.
#[derive(Debug, Serialize)]
pub(super) struct AlertFacts {
    rule: String,
    /// `firing`, `resolved` or `flapping`.
    status: &'static str,
    episode: u64,
    /// When the first of them fired.
    since: String,
    /// Of the first that is named.
    #[serde(flatten)]
    first: Option<NamedFacts>,
    alerts: Vec<NamedFacts>,
    /// How many more there are than those named.
    more: u64,
    /// How many more there are than the first.
    others: u64,
}

/// An alert.
#[derive(Clone, Debug, Serialize)]
struct NamedFacts {
    labels: BTreeMap<String, String>,
    /// The labels on one line; empty for the whole cluster.
    subject: String,
    signal: &'static str,
    value: Value,
    /// What stands behind the value.
    unit: &'static str,
    #[serde(rename = "fired_at")]
    since: String,
    flaps: bool,
}

#[derive(Debug, Serialize)]
struct LostFacts {
    receiver: String,
    rule: Option<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct DigestFacts {
    day: String,
    rules: Vec<DigestLine>,
    undelivered: u64,
}

#[derive(Debug, Serialize)]
struct DigestLine {
    rule: String,
    fired: u64,
    firing: u64,
}

impl Facts {
    /// What there is to say of a message.
    pub(super) fn new(delivery: &Delivery, client_url: Option<&str>) -> Self {
        let Message { receiver, at_ms, content } = &delivery.message;
        let mut facts = Self {
            kind: kind(content),
            receiver: short(receiver),
            at: timestamp(*at_ms).to_string(),
            severity: content.severity().name(),
            may_be_repeat: delivery.may_be_repeat,
            client_url: client_url.map(str::to_owned),
            alerts: None,
            lost: None,
            digest: None,
            summary: String::new(),
            details: String::new(),
        };
        match content {
            Content::Alerts(alerts) => facts.alerts = Some(AlertFacts::new(alerts)),
            Content::Undelivered { receiver, rule, reason } => {
                let (receiver, rule) = (short(receiver), rule.as_deref().map(short));
                facts.lost = Some(LostFacts { receiver, rule, reason: short(reason) });
            }
            Content::Digest(digest) => facts.digest = Some(DigestFacts::new(digest)),
            Content::Test => {}
        }
        facts
    }
}

impl AlertFacts {
    fn new(alerts: &Alerts) -> Self {
        let named: Vec<_> = alerts.named.iter().map(NamedFacts::new).collect();
        Self {
            rule: short(&alerts.rule),
            status: status(alerts.status),
            episode: alerts.episode,
            since: timestamp(alerts.since_ms).to_string(),
            first: named.first().cloned(),
            more: alerts.more,
            others: alerts.more.saturating_add(named.len().saturating_sub(1) as u64),
            alerts: named,
        }
    }
}

impl NamedFacts {
    fn new(named: &Named) -> Self {
        let labels = named.labels.iter().map(|(name, value)| (short(name), short(value))).collect();
        Self {
            subject: subject(&labels),
            labels,
            signal: named.signal.name(),
            value: number(named.value),
            unit: named.signal.unit(),
            since: timestamp(named.since_ms).to_string(),
            flaps: named.flaps,
        }
    }
}

impl DigestFacts {
    fn new(digest: &Digest) -> Self {
        let line = |line: &tollgate_feedback::alert::DigestedRule| DigestLine {
            rule: short(&line.rule),
            fired: line.fired,
            firing: line.firing,
        };
        Self {
            day: short(&digest.day),
            rules: digest.rules.iter().map(line).collect(),
            undelivered: digest.undelivered,
        }
    }
}

/// A status, in a word.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
        Status::Flapping => "flapping",
    }
}

/// Labels on one line: `limit=search, node=2`.
pub(super) fn subject(labels: &Labels) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{}={}", short(name), short(value)));
    labels.collect::<Vec<_>>().join(", ")
}

/// A value as people write it: two digits after the point, and none if it is whole.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn number(value: f64) -> Value {
    const MOST_EXACT: f64 = 1e15;
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 && rounded.abs() < MOST_EXACT {
        Value::from(rounded as i64)
    } else {
        Value::from(rounded)
    }
}

fn short(text: &str) -> String {
    one_line(text, MOST_VALUE)
}

/// A message of each status with every label that there is.
pub(super) fn sample() -> [Delivery; 3] {
    [Status::Firing, Status::Resolved, Status::Flapping].map(|status| {
        let labels = LABELS.into_iter().map(|label| (label.to_owned(), "1".to_owned())).collect();
        let named = Named { labels, signal: Signal::Breaches, value: 7.25, since_ms: 0, flaps: false };
        let alerts = Alerts {
            rule: "breaches".to_owned(),
            severity: Severity::Warning,
            status,
            episode: 1,
            since_ms: 0,
            named: vec![named],
            more: 1,
        };
        let message = Message { receiver: "slack".to_owned(), at_ms: 0, content: Content::Alerts(alerts) };
        Delivery { id: "sample-1".to_owned(), message, may_be_repeat: false }
    })
}
