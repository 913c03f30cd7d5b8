//! What a node is told at its start: defaults < file < environment < flags.
//!
//! A wrong setting must never be silent, so everything that is written is checked here, before anything starts, and what
//! is wrong is told in one line that names the place, the key and what to write instead. Four steps lead to a [`Config`]:
//!
//! 1. The file becomes a tree of nodes (`node`), each of which knows where it was written (`yaml`).
//! 2. Variables and flags replace nodes of that tree (`environment`, `flags`); keys that name a file of a secret are
//!    replaced by the secret (`secret_file`).
//! 3. The tree is read into types (`deserializer`, `document`), which refuses unknown keys and wrong types.
//! 4. Each section checks its ranges, and what does not go together.
//!
//! Steps 3 and 4 report a key's path only; the tree then says where that key was written. No message quotes a value, since
//! any value may be a secret in the wrong place.

mod address;
mod alert_options;
mod alerts;
mod checks;
mod circuit_breaker;
mod cluster;
mod deserializer;
mod document;
mod duration;
mod environment;
mod error;
mod flags;
mod metrics;
mod node;
mod queue;
mod receivers;
mod redis;
mod secret;
mod secret_file;
mod sources;
mod text_file;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;

use tollgate_limiter::Limit;

pub use address::Address;
pub use alerts::{AlertRoute, AlertRule, Alerts};
pub use circuit_breaker::CircuitBreaker;
pub use cluster::Cluster;
pub use error::{ConfigError, Place};
pub use flags::Flags;
pub use metrics::Metrics;
pub use queue::Queue;
pub use receivers::{Alertmanager, Email, PagerDuty, Receivers, Slack, Webhook};
pub use redis::Redis;
pub use secret::Secret;

use sources::Sources;

/// Everything that a node can be told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP is served; port 0 takes a free one.
    pub http: Address,
    /// The directory of everything that must survive a restart; relative to the working directory.
    pub data: PathBuf,
    /// Who this node is and with whom it works.
    pub cluster: Cluster,
    /// Most buckets that this node keeps; a request that would need one more is refused rather than another forgotten.
    pub max_buckets: u64,
    /// The tiers of `rate_limits` in the order of their names, then `limits` in the order of the file; no name twice.
    pub limits: Vec<Limit>,
    /// The Redis to keep in step with; `None` for no Redis anywhere.
    pub redis: Option<Redis>,
    /// When to stop calling something that fails.
    pub circuit_breaker: CircuitBreaker,
    /// How much may wait for a batch.
    pub queue: Queue,
    /// When to raise an alarm, and whom to tell.
    pub alerts: Alerts,
    /// Which metrics to serve.
    pub metrics: Metrics,
    /// What to log: a filter in the notation of `RUST_LOG`.
    pub log: String,
    /// What was set but means nothing here, a line each; to be logged once the log is there.
    pub warnings: Vec<String>,
    sources: Sources,
}

impl Config {
    /// Reads the configuration: the file named by `--config` or else by the variable `TOLLGATE_CONFIG`, if any, then the
    /// variables of `environment`, then `flags`.
    ///
    /// Variables that are none of ours are not looked at; those with an empty value count as not set.
    ///
    /// # Errors
    /// The first mistake that is found, as one line without any value of the configuration.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Sources::new(flags, environment)?.read()
    }

    /// Reads the same sources again: the files as they are now, the variables and flags as they were at the start.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn reload(&self) -> Result<Self, ConfigError> {
        self.sources.clone().reread()
    }

    /// The keys in which `new` differs and that a running node cannot take over; empty when it can become `new` as it
    /// runs. Limits and alerts can change at any time.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let changed = [
            ("http", self.http != new.http),
            ("data", self.data != new.data),
            ("max_buckets", self.max_buckets != new.max_buckets),
            ("redis", self.redis != new.redis),
            ("circuit_breaker", self.circuit_breaker != new.circuit_breaker),
            ("queue", self.queue != new.queue),
            ("metrics", self.metrics != new.metrics),
            ("log", self.log != new.log),
        ];
        let changed = changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key);
        changed.chain(self.cluster.changed_keys(&new.cluster)).collect()
    }
}

#[cfg(test)]
mod tests;
