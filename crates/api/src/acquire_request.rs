//! The question that Tollgate answers: may this request pass?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FieldError, integer, sizes, unique_map, validate_endpoint, validate_labels, validate_prefix};

/// Prefix of a request that names none.
pub const DEFAULT_PREFIX: &str = "app";
/// Longest patience of a request, in milliseconds: ten minutes, beyond which clients and proxies
/// have hung up.
pub const MAX_WAIT_MS: u64 = 600_000;

const DEFAULT_COST: u64 = 1;

/// Asks for units of every limit that matches; the body of `POST /v1/acquire` and of `POST
/// /v1/reserve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct AcquireRequest {
    /// Namespace of the request; equal labels under two prefixes are two buckets.
    #[serde(default = "default_prefix")]
    #[schema(default = "app", pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
    pub prefix: String,
    /// What is asked for, such as `users/list`. It is also the value of the label `endpoint`.
    #[schema(pattern = "^[A-Za-z0-9._/-]{1,128}$")]
    pub endpoint: String,
    /// What is known of the request, for limits to match and count by.
    #[serde(default, deserialize_with = "unique_map::deserialize")]
    #[schema(schema_with = sizes::labels_schema)]
    pub labels: BTreeMap<String, String>,
    /// Units to take from each limit; 0 takes none and only looks.
    #[serde(default = "default_cost", deserialize_with = "integer::whole")]
    #[schema(default = 1, format = "uint64")]
    pub cost: u64,
    /// How long the request may queue for its turn, in milliseconds, up to ten minutes; 0 asks for an answer now.
    #[serde(default, deserialize_with = "integer::whole")]
    #[schema(default = 0, maximum = 600_000)]
    pub wait_ms: u64,
}

impl AcquireRequest {
    /// A request for one unit, with no labels and no patience.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            prefix: default_prefix(),
            endpoint: endpoint.into(),
            labels: BTreeMap::new(),
            cost: DEFAULT_COST,
            wait_ms: 0,
        }
    }

    /// Checks sizes and characters. Allocates nothing if all is well.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self) -> Result<(), FieldError> {
        validate_prefix(&self.prefix)?;
        validate_endpoint(&self.endpoint)?;
        validate_labels(&self.labels)?;
        self.validate_endpoint_label()?;
        self.validate_wait()
    }

    /// Two different endpoints in one request would let it be matched by one and counted by the
    /// other.
    fn validate_endpoint_label(&self) -> Result<(), FieldError> {
        match self.labels.get("endpoint") {
            Some(label) if *label != self.endpoint => {
                Err(FieldError::new("labels.endpoint", "must be left out or be equal to the field `endpoint`"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn validate_wait(&self) -> Result<(), FieldError> {
        if self.wait_ms <= MAX_WAIT_MS {
            return Ok(());
        }
        Err(FieldError::new("wait_ms", format!("must be at most {MAX_WAIT_MS} (ten minutes)")))
    }
}

fn default_prefix() -> String {
    DEFAULT_PREFIX.to_owned()
}

fn default_cost() -> u64 {
    DEFAULT_COST
}
