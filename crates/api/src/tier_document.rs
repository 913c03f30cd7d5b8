//! A tier as people write it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::integer;

/// A tier of `rate_limits`: a limit for the requests whose label `tier` has its name, one bucket a
/// `user`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a tier: requests_per_minute and burst_limit")]
pub struct TierDocument {
    /// Units that come back every minute.
    #[serde(deserialize_with = "integer::whole")]
    pub requests_per_minute: u64,
    /// Most units that can be taken at once; absent: as many as a minute's.
    #[serde(default, deserialize_with = "integer::some_whole", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub burst_limit: Option<u64>,
}
