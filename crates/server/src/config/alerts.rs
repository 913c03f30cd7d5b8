//! When to raise an alarm, and whom to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tollgate_api::{FieldError, LabelPatterns};
use tollgate_feedback::alert::{Rule, Severity, Signal};

use super::checks::in_range;
use super::deserializer::nearest;
use super::node::within;
use super::{Receivers, duration};
use crate::receivers::check_summary;

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
    /// The 99th percentile of the response time, in milliseconds; from 1 to 999.
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
    /// Whether it is looked at; `None` means yes.
    pub enabled: Option<bool>,
    /// What a rule of its own looks at, by a signal's name; `None` for a built-in rule, which has its own.
    pub metric: Option<String>,
    /// Fires above this value.
    pub fire: Option<f64>,
    /// Clears at or below this value, which is at most `fire`.
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
    /// A template of the line that says what happened, in the notation of Jinja; `None` for the built-in line.
    pub template: Option<String>,
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
            self.check_rule(name, rule).map_err(|error| within(&format!("rules.{name}"), error))?;
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
        check_measurable("response_time_threshold", Signal::ResponseTime, self.thresholds().response_time)
    }

    fn check_rule(&self, name: &str, rule: &AlertRule) -> Result<(), FieldError> {
        const DAY: Duration = Duration::from_secs(86_400);
        for (field, value) in [("fire", rule.fire), ("clear", rule.clear)] {
            in_range(field, &value.unwrap_or(0.0), &(0.0..=1e12))?;
        }
        for (field, value) in [("for", rule.fires_after), ("keep_firing_for", rule.keep_firing_for)] {
            in_range(field, &value.unwrap_or_default(), &(Duration::ZERO..=DAY))?;
        }
        let mut built_in = Rule::built_in(&self.thresholds());
        built_in.retain(|built_in| built_in.name == name);
        check_clear(rule, &built_in)?;
        rule.receivers.as_ref().map_or(Ok(()), |receivers| self.check_receivers("receivers", receivers))?;
        check_metric(rule, &built_in)?;
        let template = rule.template.as_deref().map_or(Ok(()), check_summary);
        template.map_err(|problem| FieldError::new("template", problem))
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

/// Expects a rule to clear at or below every value at which it fires, be that its own or a built-in one.
fn check_clear(rule: &AlertRule, built_in: &[Rule]) -> Result<(), FieldError> {
    let Some(clear) = rule.clear else { return Ok(()) };
    match rule.fire {
        Some(fire) if clear > fire => Err(FieldError::new("clear", "must be at most `fire`")),
        Some(_) => Ok(()),
        None => built_in.iter().find(|built_in| clear > built_in.fire).map_or(Ok(()), |built_in| {
            Err(FieldError::new("clear", format!("must be at most `fire`, which is {} by default", built_in.fire)))
        }),
    }
}

/// Expects a rule of its own to say what it looks at and when it fires, and a built-in one to look at what it always does.
fn check_metric(rule: &AlertRule, built_in: &[Rule]) -> Result<(), FieldError> {
    let signals = match &rule.metric {
        Some(_) if !built_in.is_empty() => {
            return Err(FieldError::new("metric", "is given to a built-in rule: give the rule another name"));
        }
        Some(metric) => vec![signal_named(metric)?],
        None if built_in.is_empty() => {
            return Err(FieldError::new(
                "metric",
                "is missing: no built-in rule has this name, so say what to look at",
            ));
        }
        None => built_in.iter().map(|built_in| built_in.signal).collect(),
    };
    if signals.len() > 1 && (rule.fire.is_some() || rule.clear.is_some()) {
        let field = if rule.fire.is_some() { "fire" } else { "clear" };
        return Err(FieldError::new(field, "is given to a rule of several metrics: give each a rule of its own"));
    }
    match rule.fire {
        Some(fire) => signals.into_iter().try_for_each(|signal| check_measurable("fire", signal, fire)),
        None if built_in.is_empty() => {
            Err(FieldError::new("fire", "is missing: no built-in rule has this name, so say when it fires"))
        }
        None => Ok(()),
    }
}

/// The signal of a name, or an error that says which was probably meant, or which there are.
fn signal_named(metric: &str) -> Result<Signal, FieldError> {
    let names = Signal::ALL.map(Signal::name);
    Signal::named(metric).ok_or_else(|| {
        let problem = match nearest(metric, &names) {
            Some(name) => format!("is not a metric: did you mean `{name}`?"),
            None => format!("is not a metric, of which there are {}", names.join(", ")),
        };
        FieldError::new("metric", problem)
    })
}

/// Expects that a signal can show more than `fire`.
fn check_measurable(field: &str, signal: Signal, fire: f64) -> Result<(), FieldError> {
    match signal.greatest() {
        Some(greatest) if fire >= greatest => {
            let problem =
                format!("must be below {greatest}, the most that `{}` ever shows: it would never fire", signal.name());
            Err(FieldError::new(field, problem))
        }
        Some(_) | None => Ok(()),
    }
}
