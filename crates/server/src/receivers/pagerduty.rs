//! A service of PagerDuty, by the Events API v2.
//!
//! Events of one `dedup_key` are one incident, so all that is told of an episode has the same, and a message that arrives twice is
//! told once. What is no incident, such as a test, is triggered with severity `info` and resolved at once.

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tollgate_cluster::Attempt;
use tollgate_feedback::alert::{Content, Status};

use super::ReceiversError;
use super::blanks::Blanks;
use super::facts::{status, subject};
use super::http::{Answer, Http};
use super::letter::Letter;
use super::printable::{cut, one_line};
use crate::config;

const NAME: &str = "pagerduty";
/// PagerDuty's limits.
const MOST_SUMMARY: usize = 1_024;
const MOST_DEDUP_KEY: usize = 255;
/// Most characters of what is not the summary.
const MOST_FIELD: usize = 255;
const MOST_DETAILS: usize = 20_000;

/// A service of PagerDuty.
#[derive(Debug)]
pub(super) struct PagerDuty {
    settings: config::PagerDuty,
    url: String,
    http: Http,
}

impl PagerDuty {
    pub(super) fn new(settings: &config::PagerDuty, blanks: &Arc<Blanks>) -> Result<Self, ReceiversError> {
        let url = format!("{}/v2/enqueue", settings.url.trim_end_matches('/'));
        Ok(Self { settings: settings.clone(), url, http: Http::new(NAME, &settings.url, blanks)? })
    }

    /// Makes one attempt: an event, or two of what is no incident.
    pub(super) async fn deliver(&self, letter: &Letter) -> Attempt {
        match &letter.message.content {
            Content::Alerts(alerts) if alerts.status == Status::Resolved => {
                self.send(letter, self.resolve(letter)).await
            }
            Content::Alerts(_) | Content::Undelivered { .. } => self.send(letter, self.trigger(letter)).await,
            Content::Digest(_) | Content::Test => match self.send(letter, self.trigger(letter)).await {
                Attempt::Delivered { receipt } => told(self.send(letter, self.resolve(letter)).await, &receipt),
                other => other,
            },
        }
    }

    async fn send(&self, letter: &Letter, event: Value) -> Attempt {
        let answer = self.http.post(letter, &self.url, HeaderMap::new(), event.to_string().into_bytes()).await;
        answer.map_or_else(|attempt| attempt, |answer| judge(&answer))
    }

    fn resolve(&self, letter: &Letter) -> Value {
        json!({
            "routing_key": self.settings.routing_key.expose(),
            "event_action": "resolve",
            "dedup_key": dedup_key(letter),
        })
    }

    fn trigger(&self, letter: &Letter) -> Value {
        let links = letter.client_url.iter().map(|url| json!({"href": url, "text": "Tollgate"}));
        let mut event = json!({
            "routing_key": self.settings.routing_key.expose(),
            "event_action": "trigger",
            "dedup_key": dedup_key(letter),
            "payload": payload(letter),
            "client": "Tollgate",
            "links": links.collect::<Vec<_>>(),
        });
        if let Some(url) = &letter.client_url {
            event["client_url"] = json!(url);
        }
        event
    }
}

/// What becomes of a message that was told, when it was then tried to end its incident.
fn told(ended: Attempt, receipt: &str) -> Attempt {
    match ended {
        Attempt::Delivered { .. } => ended,
        Attempt::Later { after, reason, .. } => Attempt::Later { after, may_have_arrived: true, reason },
        Attempt::Never { reason } => {
            Attempt::Delivered { receipt: format!("{receipt}; but its incident stays open: {reason}") }
        }
    }
}

/// What PagerDuty's answer means: 202 is the only one by which it takes an event.
fn judge(answer: &Answer) -> Attempt {
    match answer.status {
        StatusCode::ACCEPTED => answer.attempt(),
        status if status.is_success() => {
            Attempt::Never { reason: format!("{}, where PagerDuty says 202: is this its URL?", answer.words()) }
        }
        _ => answer.attempt(),
    }
}

fn payload(letter: &Letter) -> Value {
    let content = &letter.message.content;
    let mut details = json!({"text": cut(&letter.details, MOST_DETAILS), "message": letter.id});
    let component = match content {
        Content::Alerts(alerts) => {
            details["status"] = json!(status(alerts.status));
            details["episode"] = json!(alerts.episode);
            details["more"] = json!(alerts.more);
            alerts.named.first().map(|named| subject(&named.labels)).unwrap_or_default()
        }
        Content::Undelivered { receiver, .. } => receiver.clone(),
        Content::Digest(_) | Content::Test => String::new(),
    };
    json!({
        "summary": cut(&letter.summary, MOST_SUMMARY),
        "severity": content.severity().name(),
        "source": one_line(&format!("tollgate {}", letter.cluster()), MOST_FIELD),
        "component": if component.is_empty() { "cluster".to_owned() } else { one_line(&component, MOST_FIELD) },
        "group": "tollgate",
        "class": one_line(content.rule().unwrap_or(letter.kind()), MOST_FIELD),
        "timestamp": letter.written().to_string(),
        "custom_details": details,
    })
}

/// By what PagerDuty knows that events are of one incident: of an episode; or of a message, which nothing resolves.
fn dedup_key(letter: &Letter) -> String {
    let of = match &letter.message.content {
        Content::Alerts(alerts) => format!("rule/{}/{}", alerts.rule, alerts.episode),
        Content::Undelivered { .. } | Content::Digest(_) | Content::Test => format!("message/{}", letter.id),
    };
    let key = format!("{}/{of}", letter.cluster());
    let is_fit = key.len() <= MOST_DEDUP_KEY && !key.contains(char::is_control);
    if is_fit { key } else { hex(&Sha256::digest(key)) }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
