//! Any HTTP server.
//!
//! Gets a POST of JSON. These names stay as they are; others may come beside them:
//!
//! | name | what it is |
//! | --- | --- |
//! | `version` | 1 |
//! | `id` | tells the message from all others of the cluster; the same at each attempt, as the header `Idempotency-Key` |
//! | `receiver` | `webhook` |
//! | `kind` | `alerts`, `undelivered`, `digest` or `test` |
//! | `at_ms` | when the message was written, in Unix milliseconds |
//! | `may_be_repeat` | whether an earlier attempt may have arrived |
//! | `severity` | `info`, `warning`, `error` or `critical` |
//! | `summary` | what happened, on one line for people |
//! | `rule`, `status`, `episode`, `since_ms`, `alerts`, `more` | of `alerts`: as in the list below |
//! | `undelivered` | of `undelivered`: `receiver`, `rule` (null if it was a digest), `reason` |
//! | `digest` | of `digest`: `day`, `rules` with `rule`, `fired` and `firing` each, `undelivered` |
//!
//! `status` is `firing`, `resolved` or `flapping`; `episode` is the same in all that is told from the first alert until all are over;
//! `since_ms` is when the first fired. Each of `alerts` has `labels`, `signal`, `value` (null if it is no number), `unit`, `since_ms`
//! and `flaps`; `more` says how many more there are. Labels are whole, as they came from outside.
//!
//! With a secret, each request has the headers `Tollgate-Timestamp`, the Unix time in seconds when it was sent, and
//! `Tollgate-Signature: v1=` with the HMAC-SHA256 of `<timestamp>.<body>` under the secret, in hexadecimal digits. A receiver computes
//! the same, compares in constant time, and refuses what is older than some minutes.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use tollgate_cluster::Attempt;
use tollgate_feedback::alert::{Alerts, Content, Digest, Named};

use super::ReceiversError;
use super::blanks::Blanks;
use super::facts::status;
use super::http::{Http, header};
use super::letter::Letter;
use super::pagerduty::hex;
use crate::config;

const NAME: &str = "webhook";
const VERSION: u64 = 1;

/// Any HTTP server.
#[derive(Debug)]
pub(super) struct Webhook {
    settings: config::Webhook,
    http: Http,
}

impl Webhook {
    pub(super) fn new(settings: &config::Webhook, blanks: &Arc<Blanks>) -> Result<Self, ReceiversError> {
        Ok(Self { settings: settings.clone(), http: Http::new(NAME, settings.url.expose(), blanks)? })
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, letter: &Letter) -> Attempt {
        let body = body(letter).to_string().into_bytes();
        let headers = self.headers(letter, &body);
        let answer = self.http.post(letter, self.settings.url.expose(), headers, body).await;
        answer.map_or_else(|attempt| attempt, |answer| answer.attempt())
    }

    fn headers(&self, letter: &Letter, body: &[u8]) -> HeaderMap {
        let timestamp = letter.now.as_second().to_string();
        let signature = self.settings.secret.as_ref().map(|secret| signature(secret.expose(), &timestamp, body));
        let signed = signature
            .into_iter()
            .flat_map(|signature| [header("tollgate-timestamp", &timestamp), header("tollgate-signature", &signature)]);
        [header("idempotency-key", &letter.id)].into_iter().chain(signed).flatten().collect()
    }
}

fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of HMAC can be of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("v1={}", hex(&mac.finalize().into_bytes()))
}

fn body(letter: &Letter) -> Value {
    let message = &letter.message;
    let mut body = json!({
        "version": VERSION,
        "id": letter.id,
        "receiver": message.receiver,
        "kind": letter.kind(),
        "at_ms": message.at_ms,
        "may_be_repeat": letter.may_be_repeat,
        "severity": message.content.severity().name(),
        "summary": letter.summary,
    });
    let rest = match &message.content {
        Content::Alerts(alerts) => of_alerts(alerts),
        Content::Undelivered { receiver, rule, reason } => {
            json!({"undelivered": {"receiver": receiver, "rule": rule, "reason": reason}})
        }
        Content::Digest(digest) => of_digest(digest),
        Content::Test => Value::Object(Map::new()),
    };
    if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
        body.extend(rest);
    }
    body
}

fn of_alerts(alerts: &Alerts) -> Value {
    json!({
        "rule": alerts.rule,
        "status": status(alerts.status),
        "episode": alerts.episode,
        "since_ms": alerts.since_ms,
        "alerts": alerts.named.iter().map(of_named).collect::<Vec<_>>(),
        "more": alerts.more,
    })
}

fn of_named(named: &Named) -> Value {
    json!({
        "labels": named.labels,
        "signal": named.signal.name(),
        "value": named.value,
        "unit": named.signal.unit().trim(),
        "since_ms": named.since_ms,
        "flaps": named.flaps,
    })
}

fn of_digest(digest: &Digest) -> Value {
    let rule = |line: &tollgate_feedback::alert::DigestedRule| json!({"rule": line.rule, "fired": line.fired, "firing": line.firing});
    json!({"digest": {
        "day": digest.day,
        "rules": digest.rules.iter().map(rule).collect::<Vec<_>>(),
        "undelivered": digest.undelivered,
    }})
}
