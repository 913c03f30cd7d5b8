//! What a node measured lately.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /v1/stats`: rolling statistics of the node that is asked, or of one endpoint on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the statistics of a node")]
pub struct StatsAnswer {
    /// The endpoint that was asked for; `null` for all requests of the node.
    #[schema(required)]
    pub endpoint: Option<String>,
    /// The number of the node.
    pub node: u64,
    /// What happened, by how long ago.
    pub windows: StatsWindows,
    /// What waits on the node.
    pub queue: QueueStats,
    /// The node's circuit breaker.
    pub breaker: BreakerStats,
    /// How the node works.
    pub mode: NodeMode,
    /// The limits that denied most on the node within the last minute, the one that denied most first; at most 100.
    pub limits: Vec<LimitDenials>,
    /// The keys that were denied most on the node within the last minute, the one that was denied most first; at most 64.
    pub denied_keys: Vec<KeyDenials>,
}

/// Rolling windows, each up to now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the windows of statistics")]
pub struct StatsWindows {
    /// The last minute, to the second.
    #[serde(rename = "1m")]
    pub one_minute: WindowStats,
    /// The last quarter of an hour, to ten seconds.
    #[serde(rename = "15m")]
    pub fifteen_minutes: WindowStats,
    /// The last day, to five minutes.
    #[serde(rename = "24h")]
    pub one_day: WindowStats,
}

/// What happened within a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the statistics of a window")]
pub struct WindowStats {
    /// How much of the window the node knows of, in seconds: less than all of it when the node has just started.
    pub seconds: u64,
    /// Requests that were decided, or failed.
    pub requests: u64,
    /// Requests that may pass.
    pub allowed: u64,
    /// Requests that may not.
    pub denied: u64,
    /// Requests that the node could not decide.
    pub failed: u64,
    /// Of the decided ones, those that were decided without their shard.
    pub degraded: u64,
    /// Requests for each second of `seconds`.
    pub requests_per_second: f64,
    /// Failed requests by all requests, 0 to 1; 0 without requests.
    pub error_rate: f64,
    /// How long decisions took.
    pub latency_ms: LatencyStats,
    /// Batches by how much of them was done; `null` for an endpoint, because they are counted of the node.
    #[schema(required)]
    pub batches: Option<BatchStats>,
}

/// How long decisions took, in milliseconds; each `null` when there were none. From classes, and so exact only at their bounds; what took
/// longer than a second counts as a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "quantiles of latencies")]
pub struct LatencyStats {
    /// Half of all took at most so long.
    #[schema(required)]
    pub p50: Option<f64>,
    /// 95 of 100 took at most so long.
    #[schema(required)]
    pub p95: Option<f64>,
    /// 99 of 100 took at most so long.
    #[schema(required)]
    pub p99: Option<f64>,
}

/// Batches by how much of them was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the statistics of batches")]
pub struct BatchStats {
    /// All of it.
    pub successful: u64,
    /// Some of it.
    pub partial: u64,
    /// Nothing of it.
    pub failed: u64,
}

/// What waits in the fullest queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a queue")]
pub struct QueueStats {
    /// Requests that wait.
    pub length: u64,
    /// Requests that may wait.
    pub limit: u64,
    /// How full it is, 0 to 1.
    pub utilization: f64,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a circuit breaker")]
pub struct BreakerStats {
    /// How it stands.
    pub state: BreakerState,
    /// How often it has opened since the node started.
    pub trips: u64,
}

/// How a circuit breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One call is let through to see whether it succeeds.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// How a node works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeMode {
    /// As configured.
    Normal,
    /// With less than is configured.
    Reduced,
    /// With as little as there must be.
    Emergency,
}

/// How often a limit denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the denials of a limit")]
pub struct LimitDenials {
    /// Name of the limit.
    pub name: String,
    /// How often it denied, at least.
    pub denials: u64,
}

/// How often a key was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the denials of a key")]
pub struct KeyDenials {
    /// Name of the limit that denied it.
    pub limit: String,
    /// The values of the labels that the limit counts by, `-` where a request lacks one; cut after 256 bytes.
    pub key: String,
    /// How often it was denied, at least: an estimate when very many keys are denied.
    pub denials: u64,
}
