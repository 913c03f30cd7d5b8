//! How a node is, part by part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /health`: a 200, or a 503 when the node cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the health of a node")]
pub struct Health {
    /// The node as a whole.
    pub status: HealthStatus,
    /// Its parts by name: `raft`, `store`, and `redis` where one is configured.
    pub components: BTreeMap<String, ComponentHealth>,
}

/// How one part of a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the health of a component")]
pub struct ComponentHealth {
    /// Whether it works.
    pub status: HealthStatus,
    /// What is wrong, for people; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It does.
    Ok,
    /// It does, with less than it should have: Redis gone, or limits deciding on their own.
    Degraded,
    /// It does not.
    Unavailable,
}
