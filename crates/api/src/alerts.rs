//! How alerts stand, whom they are told, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FieldError, LabelPatterns, integer, unique_map};

/// How bad an alert is, in the words of PagerDuty's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// Something may fail soon.
    Warning,
    /// Something fails.
    Error,
    /// Somebody must act now.
    Critical,
}

/// The answer to `GET /v1/alerts`. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of alerts")]
pub struct AlertsAnswer {
    /// The node that evaluates the rules; `null` while none is known to.
    #[schema(required)]
    pub evaluator: Option<u64>,
    /// Who can be told, by name.
    pub receivers: Vec<String>,
    /// The alerts that fire, in the order of their rules; at most 1,000.
    pub firing: Vec<FiringAlert>,
    /// How many more fire.
    pub more_firing: u64,
    /// Alerts that are over, the latest first; at most 100.
    pub recent: Vec<RecentAlert>,
    /// Messages that wait to be delivered, the oldest first; at most 1,000.
    pub waiting: Vec<WaitingMessage>,
    /// How many more wait.
    pub more_waiting: u64,
    /// Messages that were given up, the latest first; at most 100.
    pub undelivered: Vec<UndeliveredMessage>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an alert that fires")]
pub struct FiringAlert {
    /// The name of the rule.
    pub rule: String,
    /// What the rule looks at.
    pub metric: String,
    /// What it is about: a node, a shard, a limit; empty for the whole cluster.
    pub labels: BTreeMap<String, String>,
    /// How bad it is; `null` where this node is configured without the rule.
    #[schema(required)]
    pub severity: Option<AlertSeverity>,
    /// The value when it changed last.
    pub value: f64,
    /// Since when it fires.
    pub since_ms: i64,
    /// Whether it goes on and off, and is told of no more until it is steady.
    pub flapping: bool,
    /// The silences by which nobody is told, by their numbers.
    pub silenced_by: Vec<u64>,
    /// The node that is down, of which this is a consequence that nobody is told of; `null` if there is none.
    #[schema(required)]
    pub inhibited_by: Option<String>,
}

/// An alert that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an alert that is over")]
pub struct RecentAlert {
    /// The name of the rule.
    pub rule: String,
    /// What it was about.
    pub labels: BTreeMap<String, String>,
    /// From when it fired.
    pub from_ms: i64,
    /// Until when it fired.
    pub until_ms: i64,
}

/// A message that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a message that waits")]
pub struct WaitingMessage {
    /// Its number.
    pub id: u64,
    /// Whom it is for.
    pub receiver: String,
    /// The rule that it is of; `null` for a digest.
    #[schema(required)]
    pub rule: Option<String>,
    /// What it says: `firing`, `resolved`, `flapping`, `undelivered` or `digest`.
    pub says: String,
    /// When it was written.
    pub written_ms: i64,
    /// How often it was tried to deliver it.
    pub attempts: u32,
    /// When it is tried next, at the earliest.
    pub due_ms: i64,
    /// Whether it may have arrived already.
    pub may_have_arrived: bool,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a message that was given up")]
pub struct UndeliveredMessage {
    /// Whom it was for.
    pub receiver: String,
    /// The rule that it was of; `null` for a digest.
    #[schema(required)]
    pub rule: Option<String>,
    /// What it said.
    pub says: String,
    /// When it was written.
    pub written_ms: i64,
    /// When it was given up.
    pub given_up_ms: i64,
    /// Why.
    pub reason: String,
}

/// The body of `POST /v1/alerts/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TestAlertRequest {
    /// Who is to get a test message, by the name of the configuration.
    #[schema(example = "slack")]
    pub receiver: String,
}

/// The answer to `POST /v1/alerts/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the receipt of a test message")]
pub struct TestAlertAnswer {
    /// Who has got it.
    pub receiver: String,
    /// What the receiver answered.
    pub receipt: String,
}

/// The answer to `GET /v1/alerts/explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "what becomes of an alert")]
pub struct ExplainAnswer {
    /// The name of the rule.
    pub rule: String,
    /// What the alert would be about.
    pub labels: BTreeMap<String, String>,
    /// What it looks at and whom it tells: one entry for each metric of the rule.
    pub metrics: Vec<ExplainedMetric>,
}

/// When a rule fires by one metric, and who is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "what becomes of an alert")]
pub struct ExplainedMetric {
    /// What it looks at.
    pub metric: String,
    /// Fires above this value.
    pub fire: f64,
    /// Is over at or below this value.
    pub clear: f64,
    /// How long the value must be above before it fires.
    pub for_ms: u64,
    /// How long the value must be clear before it is over.
    pub keep_firing_for_ms: u64,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// The route that says who is told, counted from 0; `null` where the rule does.
    #[schema(required)]
    pub route: Option<u64>,
    /// Who is told.
    pub receivers: Vec<String>,
    /// The silences by which nobody is told now, by their numbers.
    pub silenced_by: Vec<u64>,
    /// The node that is down, of which it would be a consequence; `null` if there is none.
    #[schema(required)]
    pub inhibited_by: Option<String>,
}

/// The most labels by which a silence chooses alerts, and the most patterns of one of them.
const MAX_MATCHERS: usize = 16;
const MAX_PATTERNS: usize = 16;

/// Longest name of a label, longest pattern and longest text of a silence, in bytes.
const MAX_LABEL_BYTES: usize = 64;
const MAX_PATTERN_BYTES: usize = 256;
const MAX_TEXT_BYTES: usize = 1_024;

/// The body of `POST /v1/silences`: nobody is to be told of some alerts for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SilenceRequest {
    /// The labels that an alert must have, each with a value that fits; `rule` and `severity` are labels of every alert. At least one.
    #[serde(deserialize_with = "unique_map::deserialize")]
    #[schema(example = json!({"rule": "disk_*", "node": ["1", "2"]}))]
    pub matchers: BTreeMap<String, LabelPatterns>,
    /// From when, in milliseconds since 1970; from now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "integer::some_whole")]
    #[schema(format = "uint64")]
    pub from_ms: Option<u64>,
    /// Until when, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "integer::some_whole")]
    #[schema(format = "uint64")]
    pub until_ms: Option<u64>,
    /// For how long, in place of `until_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "integer::some_whole")]
    #[schema(format = "uint64")]
    pub duration_ms: Option<u64>,
    /// Who wants it.
    pub author: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

impl SilenceRequest {
    /// Checks that there are matchers, that it is said until when, once, and that texts are not too long.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self) -> Result<(), FieldError> {
        let count = self.matchers.len();
        if !(1..=MAX_MATCHERS).contains(&count) {
            return Err(FieldError::new("matchers", format!("must have 1 to {MAX_MATCHERS} labels, and has {count}")));
        }
        self.matchers.iter().try_for_each(|(label, patterns)| check_matcher(label, patterns))?;
        match (self.until_ms, self.duration_ms) {
            (None, None) => return Err(FieldError::new("until_ms", "is missing: say until when, or `duration_ms`")),
            (Some(_), Some(_)) => {
                return Err(FieldError::new("duration_ms", "says the same as `until_ms`: give one of them"));
            }
            (None, Some(0)) => return Err(FieldError::new("duration_ms", "must be at least 1")),
            (Some(_), None) | (None, Some(_)) => {}
        }
        if self.author.trim().is_empty() {
            return Err(FieldError::new("author", "must say who wants it"));
        }
        check_text(("author", &self.author, MAX_TEXT_BYTES))?;
        check_text(("comment", &self.comment, MAX_TEXT_BYTES))
    }
}

fn check_matcher(label: &str, patterns: &LabelPatterns) -> Result<(), FieldError> {
    let of = |problem: String| FieldError::new(format!("matchers.{label}"), problem);
    if label.is_empty() || label.len() > MAX_LABEL_BYTES {
        return Err(of(format!("a label has 1 to {MAX_LABEL_BYTES} bytes")));
    }
    if patterns.as_slice().len() > MAX_PATTERNS {
        return Err(of(format!("must have at most {MAX_PATTERNS} values")));
    }
    if label.contains(char::is_control) {
        return Err(FieldError::new("matchers", "a label must not hold control characters"));
    }
    let mut patterns = patterns.as_slice().iter();
    patterns.try_for_each(|pattern| check_text((&format!("matchers.{label}"), pattern, MAX_PATTERN_BYTES)))
}

fn check_text((field, text, most_bytes): (&str, &String, usize)) -> Result<(), FieldError> {
    if text.len() > most_bytes {
        return Err(FieldError::new(field, format!("must have at most {most_bytes} bytes")));
    }
    // They are shown on terminals.
    if text.contains(char::is_control) {
        return Err(FieldError::new(field, "must not hold control characters"));
    }
    Ok(())
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a silence")]
pub struct SilenceAnswer {
    /// Its number.
    pub id: u64,
    /// The labels that an alert must have, each with a value that fits.
    pub matchers: BTreeMap<String, LabelPatterns>,
    /// From when, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when, in milliseconds since 1970.
    pub until_ms: i64,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Whether it has begun.
    pub active: bool,
}

/// The answer to `GET /v1/silences`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "silences")]
pub struct SilenceList {
    /// The silences that last, or begin later, in the order of their numbers.
    pub silences: Vec<SilenceAnswer>,
}
