//! Which bucket is meant.

use std::collections::BTreeMap;

/// Names one bucket: a limit, and the values of the labels that it counts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketQuery {
    /// Name of the limit.
    pub limit: String,
    /// Prefix that the bucket belongs to; `None` for the default one.
    pub prefix: Option<String>,
    /// A value for every label that the limit counts by.
    pub labels: BTreeMap<String, String>,
}
