//! Rules, and those that are there from the beginning.

use super::{Severity, Signal};

/// When something is worth telling, how bad it is, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// By which it is known. Rules of one name and several signals are told of together.
    pub name: String,
    /// What it looks at.
    pub signal: Signal,
    /// Fires above this.
    pub fire: f64,
    /// Is over at or below this; at most `fire`.
    pub clear: f64,
    /// For how long the value must be above before it fires, in milliseconds.
    pub fires_after_ms: i64,
    /// For how long the value must be clear before it is over, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// How bad it is.
    pub severity: Severity,
    /// Who is told, by name, where no route says otherwise.
    pub receivers: Vec<String>,
}

/// The thresholds of the built-in rules that have one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Failed requests, in percent.
    pub error_rate: f64,
    /// Use of the queue, in percent.
    pub queue_full: f64,
    /// Circuits that open, per minute.
    pub circuit_trips: f64,
    /// The 99th percentile of the response time, in milliseconds.
    pub response_time: f64,
    /// Failed batches, in percent.
    pub batch_failures: f64,
    /// The latency of Redis, in milliseconds.
    pub redis_latency: f64,
    /// Denials of one limit, or of one key, per minute.
    pub breaches: f64,
}

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

/// The rule of several signals that says that requests are not decided as they should be.
const LIMITER_FAILING: &str = "limiter_failing";

/// The rule whose alerts silence those of the same node.
pub(crate) const NODE_DOWN: &str = "node_down";

/// Who is told what by default.
const SLACK: &[&str] = &["slack"];
const PAGERDUTY: &[&str] = &["pagerduty"];
const BOTH: &[&str] = &["slack", "pagerduty"];

impl Rule {
    /// The rules that are there from the beginning.
    #[must_use]
    pub fn built_in(thresholds: &Thresholds) -> Vec<Self> {
        use Severity::{Critical, Error, Warning};
        let rule = |name: &str, signal, fire: f64, severity, receivers: &[&str]| Self {
            name: name.to_owned(),
            signal,
            fire,
            clear: fire,
            fires_after_ms: 0,
            keep_firing_for_ms: MINUTE_MS,
            severity,
            receivers: receivers.iter().map(|name| (*name).to_owned()).collect(),
        };
        let after = |fires_after_ms, rule: Self| Self { fires_after_ms, ..rule };
        vec![
            after(30 * SECOND_MS, rule("error_rate", Signal::ErrorRate, thresholds.error_rate, Error, SLACK)),
            after(10 * SECOND_MS, rule("queue_full", Signal::QueueFull, thresholds.queue_full, Warning, SLACK)),
            rule("circuit_trips", Signal::CircuitTrips, thresholds.circuit_trips, Critical, PAGERDUTY),
            rule("circuit_open", Signal::CircuitTrips, 0.0, Error, PAGERDUTY),
            after(
                30 * SECOND_MS,
                rule("response_time", Signal::ResponseTime, thresholds.response_time, Warning, SLACK),
            ),
            after(
                30 * SECOND_MS,
                rule("batch_failures", Signal::BatchFailures, thresholds.batch_failures, Error, SLACK),
            ),
            after(
                30 * SECOND_MS,
                rule("redis_latency", Signal::RedisLatency, thresholds.redis_latency, Warning, SLACK),
            ),
            // Nodes say for how long, so that a new leader of the cluster does not begin to count anew.
            Self { clear: 0.0, ..rule("redis_unavailable", Signal::RedisUnavailable, 300.0, Warning, SLACK) },
            Self { clear: 0.0, ..rule("redis_unavailable_long", Signal::RedisUnavailable, 900.0, Critical, PAGERDUTY) },
            rule("breaches", Signal::Breaches, thresholds.breaches, Warning, SLACK),
            rule("excessive_use", Signal::KeyDenials, thresholds.breaches, Warning, SLACK),
            rule("usage_spike", Signal::UsageSpike, super::spike::FIRE, Warning, SLACK),
            // A failover may leave a few requests to the limits' `on_unavailable`: nobody is woken up for that.
            Self { clear: 0.0, ..rule(LIMITER_FAILING, Signal::Degraded, 5.0, Critical, PAGERDUTY) },
            rule(LIMITER_FAILING, Signal::Leaderless, 5.0, Critical, PAGERDUTY),
            rule(LIMITER_FAILING, Signal::DiskFailed, 0.0, Critical, PAGERDUTY),
            Self { clear: 85.0, ..rule(LIMITER_FAILING, Signal::DiskFull, 90.0, Critical, PAGERDUTY) },
            // Nobody is woken up for a restart.
            after(30 * SECOND_MS, rule(NODE_DOWN, Signal::NodeDown, 0.0, Critical, PAGERDUTY)),
            rule("mode_change", Signal::Mode, 0.5, Warning, SLACK),
            rule("mode_emergency", Signal::Mode, 1.5, Critical, BOTH),
        ]
    }
}
