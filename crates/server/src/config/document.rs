//! The configuration as it is written, with every key that there is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use tollgate_api::{FieldError, LimitDocument, TierDocument};
use tollgate_limiter::{Limit, LimitName};
use tracing_subscriber::EnvFilter;

use super::checks::in_range;
use super::node::within;
use super::{Address, Alerts, CircuitBreaker, Cluster, Metrics, Queue, Redis};
use crate::rules::{limit_from_document, limit_from_tier};

const DEFAULT_DATA: &str = "./tollgate-data";
const DEFAULT_HTTP: &str = "127.0.0.1:8080";
/// As many as fit in about 640 MB.
const DEFAULT_MAX_BUCKETS: u64 = 10_000_000;

/// All that can be written; [`super::Config`] says what each key means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of settings")]
pub(super) struct Document {
    pub(super) http: Address,
    pub(super) data: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) max_buckets: u64,
    rate_limits: BTreeMap<String, TierDocument>,
    limits: Vec<LimitDocument>,
    pub(super) redis: Option<Redis>,
    pub(super) circuit_breaker: CircuitBreaker,
    pub(super) queue: Queue,
    pub(super) alerts: Alerts,
    pub(super) metrics: Metrics,
    pub(super) log: String,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            http: DEFAULT_HTTP.parse().expect("the default is an address"),
            data: DEFAULT_DATA.into(),
            cluster: Cluster::default(),
            max_buckets: DEFAULT_MAX_BUCKETS,
            rate_limits: BTreeMap::new(),
            limits: Vec::new(),
            redis: None,
            circuit_breaker: CircuitBreaker::default(),
            queue: Queue::default(),
            alerts: Alerts::default(),
            metrics: Metrics::default(),
            log: "info".to_owned(),
        }
    }
}

impl Document {
    /// Checks everything but the limits.
    ///
    /// # Errors
    /// The path of the first value that cannot be.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        if self.data.as_os_str().is_empty() {
            return Err(FieldError::new("data", "must be a directory"));
        }
        in_range("max_buckets", &self.max_buckets, &(1..=1_000_000_000_000))?;
        self.cluster.check().map_err(|error| within("cluster", error))?;
        self.redis.as_ref().map_or(Ok(()), Redis::check).map_err(|error| within("redis", error))?;
        self.circuit_breaker.check().map_err(|error| within("circuit_breaker", error))?;
        self.queue.check().map_err(|error| within("queue", error))?;
        self.alerts.check().map_err(|error| within("alerts", error))?;
        EnvFilter::try_new(&self.log)
            .map(drop)
            .map_err(|_| FieldError::new("log", "must be a filter such as `info` or `warn,tollgate_server=debug`"))
    }

    /// The tiers and the limits, all as limits.
    ///
    /// # Errors
    /// The path of the first key that cannot be, or of the second limit of one name.
    pub(super) fn limits(&self) -> Result<Vec<Limit>, FieldError> {
        let tiers = self.rate_limits.iter().map(|(name, tier)| {
            let path = format!("rate_limits.{name}");
            limit_from_tier(name, tier).map_err(|error| tier_error(&path, error)).map(|limit| (path, limit))
        });
        let limits = self.limits.iter().enumerate().map(|(index, document)| {
            let path = format!("limits[{index}]");
            limit_from_document(document).map_err(|error| within(&path, error)).map(|limit| (path, limit))
        });
        let mut paths = BTreeMap::<LimitName, String>::new();
        tiers
            .chain(limits)
            .map(|limit| limit.and_then(|(path, limit)| only_of_its_name(&mut paths, path, limit)))
            .collect()
    }
}

/// A tier has no key `name`: its key is its name.
fn tier_error(path: &str, error: FieldError) -> FieldError {
    if error.field == "name" {
        FieldError::new(path, format!("the name {}", error.problem))
    } else {
        within(path, error)
    }
}

/// Passes `limit` on if it is the first of its name.
fn only_of_its_name(paths: &mut BTreeMap<LimitName, String>, path: String, limit: Limit) -> Result<Limit, FieldError> {
    if let Some(earlier) = paths.get(&limit.name) {
        let problem = format!("is the name of `{earlier}`, too: every tier and limit needs a name of its own");
        return Err(FieldError::new(format!("{path}.name"), problem));
    }
    paths.insert(limit.name.clone(), path);
    Ok(limit)
}
