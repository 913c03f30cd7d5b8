//! When to stop calling something that fails.

use std::time::Duration;

use serde::Deserialize;
use tollgate_api::FieldError;

use super::checks::in_range;
use super::duration;

/// `circuit_breaker`: when to stop calling something that fails.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of circuit breakers")]
pub struct CircuitBreaker {
    /// Failures in a row that open it, 1 to 1000000.
    pub threshold: u64,
    /// How long it stays open before it tries again: 1 ms to 1 day; a number without a unit is seconds.
    #[serde(deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { threshold: 5, timeout: Duration::from_secs(60) }
    }
}

impl CircuitBreaker {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        in_range("threshold", &self.threshold, &(1..=1_000_000))?;
        in_range("timeout", &self.timeout, &(Duration::from_millis(1)..=Duration::from_secs(86_400)))
    }
}
