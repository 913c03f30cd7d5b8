//! When to raise an alarm, and whom to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tollgate_api::{FieldError, LabelPatterns};

use super::checks::in_range;
use super::node::within;
use super::{Receivers, duration};

/// `alerts`: when to raise an alarm, and whom to tell.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of alerts")]
pub struct Alerts {
    /// Failed requests, in percent.
    pub error_rate_threshold: f64,
    /// Use of the queue, in percent.
    pub queue_full_threshold: f64,
    /// Circuits that open, per minute; at least 1.
    pub circuit_trips_threshold: u64,
    /// The 99th percentile of the response time, in milliseconds; at least 1.
    pub response_time_threshold: u64,
    /// Failed batches, in percent.
    pub batch_failure_threshold: f64,
    /// The latency of Redis, in milliseconds; at least 1.
    pub redis_latency_threshold: u64,
    /// Denials of one limit, per minute; at least 1.
    pub breaches_threshold: u64,
    /// Who can be told.
    pub receivers: Receivers,
    /// What differs from the built-in rules or comes beside them, by the name of the rule.
    pub rules: BTreeMap<String, AlertRule>,
    /// Who is told of what, the first that fits; none for what each rule says.
    pub routes: Vec<AlertRoute>,
}

/// What differs from a built-in rule, or a rule of its own. What is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of a rule")]
pub struct AlertRule {
    /// Fires above this value.
    pub fire: Option<f64>,
    /// Clears below this value, which is at most `fire`.
    pub clear: Option<f64>,
    /// For how long the value must be above before it fires; at most 1 day.
    #[serde(rename = "for", deserialize_with = "duration::deserialize_some")]
    pub fires_after: Option<Duration>,
    /// For how long it goes on firing after the value has cleared; at most 1 day.
    #[serde(deserialize_with = "duration::deserialize_some")]
    pub keep_firing_for: Option<Duration>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Who is told.
    pub receivers: Option<Vec<String>>,
}

/// How bad an alert is, in the words of PagerDuty's events.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody must act now.
    Critical,
    /// Something fails.
    Error,
    /// Something may fail soon.
    Warning,
    /// Good to know.
    Info,
}

/// Who is told of the alerts that match.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map of `match` and `to`")]
pub struct AlertRoute {
    /// The labels that an alert must have, each with a value that fits; empty: every alert.
    #[serde(default, rename = "match")]
    pub matches: BTreeMap<String, LabelPatterns>,
    /// Who is told; at least one.
    pub to: Vec<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            error_rate_threshold: 5.0,
            queue_full_threshold: 80.0,
            circuit_trips_threshold: 3,
            response_time_threshold: 500,
            batch_failure_threshold: 10.0,
            redis_latency_threshold: 100,
            breaches_threshold: 100,
            receivers: Receivers::default(),
            rules: BTreeMap::new(),
            routes: Vec::new(),
        }
    }
}

impl Alerts {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        self.check_thresholds()?;
        self.receivers.check().map_err(|error| within("receivers", error))?;
        for (name, rule) in &self.rules {
            self.check_rule(rule).map_err(|error| within(&format!("rules.{name}"), error))?;
        }
        for (index, route) in self.routes.iter().enumerate() {
            self.check_receivers("to", &route.to).map_err(|error| within(&format!("routes[{index}]"), error))?;
        }
        Ok(())
    }

    fn check_thresholds(&self) -> Result<(), FieldError> {
        for (field, percent) in [
            ("error_rate_threshold", self.error_rate_threshold),
            ("queue_full_threshold", self.queue_full_threshold),
            ("batch_failure_threshold", self.batch_failure_threshold),
        ] {
            in_range(field, &percent, &(0.0..=100.0))?;
        }
        for (field, count) in [
            ("circuit_trips_threshold", self.circuit_trips_threshold),
            ("response_time_threshold", self.response_time_threshold),
            ("redis_latency_threshold", self.redis_latency_threshold),
            ("breaches_threshold", self.breaches_threshold),
        ] {
            in_range(field, &count, &(1..=1_000_000_000))?;
        }
        Ok(())
    }

    fn check_rule(&self, rule: &AlertRule) -> Result<(), FieldError> {
        const DAY: Duration = Duration::from_secs(86_400);
        for (field, value) in [("fire", rule.fire), ("clear", rule.clear)] {
            in_range(field, &value.unwrap_or(0.0), &(0.0..=1e12))?;
        }
        for (field, value) in [("for", rule.fires_after), ("keep_firing_for", rule.keep_firing_for)] {
            in_range(field, &value.unwrap_or_default(), &(Duration::ZERO..=DAY))?;
        }
        if let (Some(fire), Some(clear)) = (rule.fire, rule.clear)
            && clear > fire
        {
            return Err(FieldError::new("clear", "must be at most `fire`"));
        }
        rule.receivers.as_ref().map_or(Ok(()), |receivers| self.check_receivers("receivers", receivers))
    }

    fn check_receivers(&self, field: &str, names: &[String]) -> Result<(), FieldError> {
        if names.is_empty() {
            return Err(FieldError::new(field, "must name at least one receiver"));
        }
        let configured = self.receivers.names();
        match names.iter().position(|name| !configured.contains(&name.as_str())) {
            Some(index) => {
                Err(FieldError::new(format!("{field}[{index}]"), "is not one of the keys of `alerts.receivers`"))
            }
            None => Ok(()),
        }
    }
}
