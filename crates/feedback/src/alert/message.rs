//! What a receiver is told.

use serde::{Deserialize, Serialize};

use super::{Labels, Severity, Signal};

/// The most alerts that a message names; of more it says how many there are.
pub const MOST_NAMED: usize = 10;

/// A message on its way to a receiver.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Message {
    /// The receiver's name.
    pub receiver: String,
    /// When it was written, in Unix milliseconds.
    pub at_ms: i64,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Content {
    /// How alerts of a rule stand.
    Alerts(Alerts),
    /// What could not be told somebody else, and why.
    Undelivered {
        /// Whom.
        receiver: String,
        /// Of which rule; `None` if it was a digest.
        rule: Option<String>,
        /// Why, in words.
        reason: String,
    },
    /// What happened in the day that is over.
    Digest(Digest),
    /// A test: somebody wants to see whether the receiver is reached.
    Test,
}

/// How alerts of a rule stand.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Alerts {
    /// The rule's name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// How they stand.
    pub status: Status,
    /// The number of the episode: what was told of it before has the same, and no other.
    pub episode: u64,
    /// When the first of them fired, in Unix milliseconds.
    pub since_ms: i64,
    /// Those that fire, the first ones; of what is over, those that fired last.
    pub named: Vec<Named>,
    /// How many more there are.
    pub more: u64,
}

/// How alerts stand.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Status {
    /// Something fires.
    Firing,
    /// All is over.
    Resolved,
    /// Something goes on and off. Nothing more is said of it until it is steady.
    Flapping,
}

/// An alert as a message names it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Named {
    /// What it is about.
    pub labels: Labels,
    /// What was looked at.
    pub signal: Signal,
    /// Which value it had when it changed last.
    pub value: f64,
    /// Since when it fires, in Unix milliseconds.
    pub since_ms: i64,
    /// Whether it goes on and off.
    pub flaps: bool,
}

/// What happened in a day.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Digest {
    /// The day, as `2026-11-23`.
    pub day: String,
    /// The rules of which something fired in it or still does, in the order of their names.
    pub rules: Vec<DigestedRule>,
    /// Messages that could not be delivered in it.
    pub undelivered: u64,
}

/// What a digest says of a rule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DigestedRule {
    /// The rule's name.
    pub rule: String,
    /// How many alerts of it fired in the day.
    pub fired: u64,
    /// How many fire when the digest is written.
    pub firing: u64,
}

impl Content {
    /// How urgent it is; of a digest, least.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Alerts(alerts) => alerts.severity,
            Self::Undelivered { .. } => Severity::Error,
            Self::Digest(_) | Self::Test => Severity::Info,
        }
    }

    /// The rule that it is of.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Alerts(alerts) => Some(&alerts.rule),
            Self::Undelivered { rule, .. } => rule.as_deref(),
            Self::Digest(_) | Self::Test => None,
        }
    }
}
