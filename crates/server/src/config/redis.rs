//! The Redis to keep in step with.

use serde::Deserialize;
use tollgate_api::FieldError;

use super::Secret;
use super::checks::secret_url;

/// How a Redis, a Redis over TLS, and a Sentinel without and with TLS are addressed.
const SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://"];

/// `redis`: the Redis to keep in step with. Its URLs are secrets, for they may hold a password.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map of the settings of Redis")]
pub struct Redis {
    /// The first to try.
    pub url: Secret,
    /// The next ones, in order.
    #[serde(default)]
    pub failover_urls: Vec<Secret>,
}

impl Redis {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        secret_url("url", &self.url, &SCHEMES)?;
        let mut failover_urls = self.failover_urls.iter().enumerate();
        failover_urls.try_for_each(|(index, url)| secret_url(&format!("failover_urls[{index}]"), url, &SCHEMES))
    }
}
