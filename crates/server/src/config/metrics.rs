//! Which metrics to serve.

use serde::Deserialize;

/// `metrics`: which metrics to serve.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of metrics")]
pub struct Metrics {
    /// Whether the names of the older systems are served beside our own.
    pub legacy_names: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { legacy_names: true }
    }
}
