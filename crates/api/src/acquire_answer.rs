//! The answer to an acquire: may it pass, and how every limit stands.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The decision on one request. Its figures are those of the most restrictive limit that matched.
///
/// The body of a 200; a 429 says the same and adds a problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an answer to an acquire")]
pub struct AcquireAnswer {
    /// Whether the request may pass. If not, nothing was taken from any limit.
    pub allowed: bool,
    /// Units that could be taken at once after this; `null` when no limit matched, so that none
    /// applies.
    #[schema(required)]
    pub remaining: Option<u64>,
    /// When to ask again, in milliseconds from now, rounded up: alone, the same request is then
    /// allowed. 0 if allowed.
    pub retry_after_ms: u64,
    /// When every limit would be unspent again if nothing more were taken, in milliseconds from
    /// now, rounded up.
    pub reset_after_ms: u64,
    /// Whether a limit decided on its own because its group could not be reached
    /// (`on_unavailable`).
    pub degraded: bool,
    /// Every limit that matched, shadows too; empty if none did.
    pub limits: Vec<LimitAnswer>,
    /// Names what was reserved, for `POST /v1/settle`; absent unless something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// How long the reservation can be settled, in milliseconds from now; then it counts as spent
    /// in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// How one limit stands after the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a limit")]
pub struct LimitAnswer {
    /// Name of the limit.
    pub name: String,
    /// Whether this limit had room for the request. In a denied answer, `false` says who denied.
    pub allowed: bool,
    /// Most units that the limit ever gives at once: its burst, or the quota of its window.
    pub limit: u64,
    /// Units that could be taken at once after this.
    pub remaining: u64,
    /// When this limit would allow the request, in milliseconds from now, rounded up; 0 if it does.
    pub retry_after_ms: u64,
    /// When this limit would be unspent again, in milliseconds from now, rounded up.
    pub reset_after_ms: u64,
    /// The shard that holds the bucket: its leader (`GET /v1/cluster`) answers soonest.
    pub shard: u32,
    /// Whether the limit only watches: it is counted and reported but never denies. Absent when
    /// `false`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shadow: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}
