//! One bucket, looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /v1/buckets/{limit}`: how a limit stands for one combination of label values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a bucket")]
pub struct BucketAnswer {
    /// Name of the limit.
    pub name: String,
    /// Prefix that the bucket belongs to.
    pub prefix: String,
    /// The labels that the limit counts by, with this bucket's values.
    pub labels: BTreeMap<String, String>,
    /// Most units that the bucket ever gives at once.
    pub limit: u64,
    /// Units that could be taken at once now.
    pub remaining: u64,
    /// When one unit could be taken, in milliseconds from now, rounded up; 0 if it can.
    pub retry_after_ms: u64,
    /// When the bucket would be unspent again, in milliseconds from now, rounded up; 0 if it is.
    pub reset_after_ms: u64,
}
