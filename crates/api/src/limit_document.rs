//! A limit as people write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{FieldError, LabelPatterns, Period, integer, sizes, unique_map, validate_prefix};

/// A limit as in the configuration file and in `PUT /v1/limits/{name}`.
///
/// It says only what was written. Which fields go together, and what an absent one means, depends
/// on the algorithm and is decided by the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a limit: an object with `name`, a rate, and what it matches")]
pub struct LimitDocument {
    /// Name of the limit, in answers, headers and metrics. Empty where a PUT left it to the path.
    #[serde(default)]
    pub name: String,
    /// Matches only requests of this prefix; absent: of every prefix.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
    pub prefix: Option<String>,
    /// Matches only requests that have all these labels, each with a value that fits; empty: every
    /// request.
    #[serde(
        default,
        rename = "match",
        deserialize_with = "unique_map::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub matches: BTreeMap<String, LabelPatterns>,
    /// Counts apart for every combination of these labels' values; empty: one bucket for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// How it counts.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Units a minute; short for `rate` with `per: 1m`.
    #[serde(default, deserialize_with = "integer::some_whole", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub requests_per_minute: Option<u64>,
    /// Units for every `per`; for `concurrency`, permits that may be out at once.
    #[serde(default, deserialize_with = "integer::some_whole", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rate: Option<u64>,
    /// The time that `rate` is for. `1mo` needs `calendar`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub per: Option<Period>,
    /// Most units that can be taken at once.
    #[serde(default, deserialize_with = "integer::some_whole", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub burst_limit: Option<u64>,
    /// Whose days, weeks and months a window follows; absent: windows are counted from the epoch.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub calendar: Option<Calendar>,
    /// How long a reservation can be settled; for `concurrency`, how long a permit lives.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ttl: Option<Period>,
    /// What holds when a node dies.
    #[serde(default)]
    pub consistency: Consistency,
    /// What decides while the limit's group cannot be reached.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,
    /// Counts and reports but never denies.
    #[serde(default)]
    pub shadow: bool,
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Units come back steadily and add up to the burst (GCRA, the generic cell rate algorithm of
    /// ITU-T I.371).
    #[default]
    TokenBucket,
    /// At most the rate within any window, estimated from the current and the previous window.
    SlidingWindow,
    /// At most the rate within each window.
    FixedWindow,
    /// Requests queue and pass in order, evenly spaced; `wait_ms` is their patience.
    LeakyBucket,
    /// At most so many at once; a permit is given back by settling it, or dies with its `ttl`.
    Concurrency,
}

/// Whose days, weeks and months a window follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// Those of Coordinated Universal Time.
    Utc,
}

/// What a limit promises across the loss of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// No crash, partition or restart lets more through than the limit says.
    #[default]
    Exact,
    /// Decided from memory and replicated behind; a crash may let some through twice.
    Eventual,
}

/// What decides while a limit's group cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// The node, with its share of the limit; the answer is marked `degraded`.
    #[default]
    Local,
    /// Every request is denied.
    Deny,
    /// Every request is allowed.
    Allow,
}

/// The answer to `GET /v1/limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a list of limits")]
pub struct LimitList {
    /// Every limit in force, in the order in which they are tried.
    pub limits: Vec<LimitDocument>,
}

impl LimitDocument {
    /// Checks the sizes and characters of the prefix and of the labels in `match` and `by`.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self) -> Result<(), FieldError> {
        self.prefix.as_deref().map_or(Ok(()), validate_prefix)?;
        self.matches.iter().try_for_each(|(name, patterns)| validate_patterns(name, patterns))?;
        self.by.iter().enumerate().try_for_each(|(index, name)| self.validate_by(index, name))
    }

    fn validate_by(&self, index: usize, name: &str) -> Result<(), FieldError> {
        sizes::validate_label_name("by", name)?;
        if self.by.iter().take(index).any(|earlier| earlier == name) {
            return Err(FieldError::new("by", format!("names the label `{name}` twice")));
        }
        Ok(())
    }
}

fn validate_patterns(name: &str, patterns: &LabelPatterns) -> Result<(), FieldError> {
    sizes::validate_label_name("match", name)?;
    let mut values = patterns.as_slice().iter();
    let validate = if name == "endpoint" { sizes::validate_endpoint_pattern } else { sizes::validate_label_value };
    values
        .try_for_each(|pattern| validate(pattern))
        .map_err(|problem| FieldError::new(format!("match.{name}"), problem))
}

/// Reads a field that may be absent but, when present, may not be `null`: an empty line in a
/// configuration file would otherwise quietly drop the setting.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
