//! An Alertmanager of Prometheus, by its API v2.
//!
//! An alert is known there by its labels: `alertname` (the rule), `severity`, `cluster`, and those of the alert itself. Alerts that a
//! message counts and does not name are one more, with the label `aggregated`.
//!
//! An Alertmanager takes for resolved what it is not told again within minutes, because a Prometheus repeats itself for ever. A message
//! here is delivered once. So what fires is given an end that is a day away, and what is over is told with its end; were the message
//! of the end to be lost, the alert would still go away.
//!
//! A message of the end names only some, and so does one of what still fires when something else is over. So each ends whatever of its
//! rule and cluster the Alertmanager still has and it does not name; only one that counts alerts it does not name ends none.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use tollgate_cluster::Attempt;
use tollgate_feedback::alert::{Alerts, Content, Labels, Status};

use super::ReceiversError;
use super::blanks::Blanks;
use super::http::Http;
use super::letter::{Letter, timestamp};
use crate::config;

const NAME: &str = "alertmanager";
/// When an alert of which nothing more is heard goes away.
const FIRES_FOR: SignedDuration = SignedDuration::from_hours(24);
/// When a test or a digest does: they are over as soon as they are told.
const TOLD_FOR: SignedDuration = SignedDuration::from_mins(5);

const ALERT_NAME: &str = "alertname";
const SEVERITY: &str = "severity";
const CLUSTER: &str = "cluster";
const AGGREGATED: &str = "aggregated";

/// An Alertmanager.
#[derive(Debug)]
pub(super) struct Alertmanager {
    settings: config::Alertmanager,
    http: Http,
}

/// An alert as it is posted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

/// Of an alert that the Alertmanager has, what tells it from others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    labels: BTreeMap<String, String>,
    starts_at: Timestamp,
}

impl Alertmanager {
    pub(super) fn new(settings: &config::Alertmanager, blanks: &Arc<Blanks>) -> Result<Self, ReceiversError> {
        Ok(Self { settings: settings.clone(), http: Http::new(NAME, settings.url.expose(), blanks)? })
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, letter: &Letter) -> Attempt {
        let mut alerts = alerts(letter);
        if let Content::Alerts(told) = &letter.message.content
            && (told.status == Status::Resolved || told.more == 0)
        {
            match self.held(letter, &told.rule).await {
                Ok(held) => add_ends(&mut alerts, held, letter),
                Err(attempt) => return attempt,
            }
        }
        let body = serde_json::to_vec(&alerts).expect("texts and times are JSON");
        let answer = self.http.post(letter, &self.url(), HeaderMap::new(), body).await;
        answer.map_or_else(|attempt| attempt, |answer| answer.attempt())
    }

    fn url(&self) -> String {
        format!("{}/api/v2/alerts", self.settings.url.expose().trim_end_matches('/'))
    }

    /// What the Alertmanager has of a rule of this cluster; nothing if it does not let us see that.
    async fn held(&self, letter: &Letter, rule: &str) -> Result<Vec<Held>, Attempt> {
        let Ok(mut url) = Url::parse(&self.url()) else { return Ok(Vec::new()) };
        let (rule, cluster) = (value(rule), value(letter.cluster()));
        let filters = [(ALERT_NAME, rule), (CLUSTER, cluster)].map(|(name, value)| format!("{name}={value:?}"));
        url.query_pairs_mut().extend_pairs(filters.iter().map(|filter| ("filter", filter)));
        let answer = self.http.get(letter, url).await.map_err(nothing_was_told)?;
        match answer.attempt() {
            Attempt::Delivered { .. } => {}
            Attempt::Later { after, reason, .. } => {
                return Err(Attempt::Later { after, may_have_arrived: false, reason });
            }
            // As behind a proxy through which alerts can only be posted. What is named can still be told.
            Attempt::Never { .. } => return Ok(Vec::new()),
        }
        serde_json::from_str(&answer.body).map_err(|_| Attempt::Later {
            after: None,
            may_have_arrived: false,
            reason: format!("says what alerts it has in a way that makes no sense: {}", answer.words()),
        })
    }
}

/// The same after a question: nothing was told by it.
fn nothing_was_told(attempt: Attempt) -> Attempt {
    match attempt {
        Attempt::Later { after, reason, .. } => Attempt::Later { after, may_have_arrived: false, reason },
        other => other,
    }
}

/// Adds the ends of alerts that the message does not name.
fn add_ends(alerts: &mut Vec<Posted>, held: Vec<Held>, letter: &Letter) {
    for Held { labels, starts_at } in held {
        if alerts.iter().all(|alert| alert.labels != labels) {
            alerts.push(posted(letter, labels, starts_at, letter.now));
        }
    }
}

/// What is told of a message.
fn alerts(letter: &Letter) -> Vec<Posted> {
    match &letter.message.content {
        Content::Alerts(alerts) => of_alerts(letter, alerts),
        Content::Undelivered { receiver, .. } => {
            let about = Labels::from([("receiver".to_owned(), receiver.clone())]);
            vec![told(letter, "TollgateUndelivered", &about, FIRES_FOR)]
        }
        Content::Digest(_) => vec![told(letter, "TollgateDigest", &Labels::new(), TOLD_FOR)],
        Content::Test => vec![told(letter, "TollgateTest", &Labels::new(), TOLD_FOR)],
    }
}

fn told(letter: &Letter, name: &str, about: &Labels, lasts: SignedDuration) -> Posted {
    posted(letter, labels(letter, name, about), letter.written(), letter.now + lasts)
}

fn of_alerts(letter: &Letter, alerts: &Alerts) -> Vec<Posted> {
    let ends_at = if alerts.status == Status::Resolved { letter.now } else { letter.now + FIRES_FOR };
    let named = alerts.named.iter().map(|named| (named.labels.clone(), named.since_ms));
    let aggregated = Labels::from([(AGGREGATED.to_owned(), "true".to_owned())]);
    let aggregated = (alerts.more > 0 || alerts.named.is_empty()).then_some((aggregated, alerts.since_ms));
    let of = |(about, since_ms)| posted(letter, labels(letter, &alerts.rule, &about), timestamp(since_ms), ends_at);
    named.chain(aggregated).map(of).collect()
}

fn posted(letter: &Letter, labels: BTreeMap<String, String>, starts_at: Timestamp, ends_at: Timestamp) -> Posted {
    let annotations = [("summary", letter.summary.clone()), ("description", letter.details.clone())];
    Posted {
        labels,
        annotations: annotations.into(),
        // A clock of another node may be ahead, and what ends before it begins is refused.
        starts_at: starts_at.min(ends_at),
        ends_at,
        generator_url: letter.client_url.clone(),
    }
}

/// The labels of an alert: its own, under names that Prometheus can have, and those by which it is found.
fn labels(letter: &Letter, name: &str, about: &Labels) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = about.iter().map(|(name, text)| (label_name(name), value(text))).collect();
    labels.insert(ALERT_NAME.to_owned(), value(name));
    labels.insert(SEVERITY.to_owned(), letter.message.content.severity().name().to_owned());
    labels.insert(CLUSTER.to_owned(), value(letter.cluster()));
    labels
}

/// A name that Prometheus takes for a label.
fn label_name(name: &str) -> String {
    let fit = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let name: String = name.chars().map(fit).collect();
    if name.starts_with(|first: char| !first.is_ascii_alphabetic()) || name.is_empty() {
        format!("label_{name}")
    } else {
        name
    }
}

/// A value of a label, on one line. It is not to be empty, since an Alertmanager drops such a label.
fn value(text: &str) -> String {
    const MOST_VALUE: usize = 200;
    let text = super::printable::one_line(text, MOST_VALUE);
    if text.is_empty() { "(empty)".to_owned() } else { text }
}
