//! Every metric that a node serves: its name, unit and meaning.

/// A metric's name and what it says.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
}

const fn metric(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help }
}

// Kept from older systems, to the letter.
pub(crate) const TOKENS_CONSUMED: Metric =
    metric("rate_limiter_tokens_consumed", "Units admitted, by the request's label `tier`.");
pub(crate) const BREACHES: Metric = metric("rate_limiter_breaches", "Requests denied, by the request's label `tier`.");
pub(crate) const REDIS_LATENCY: Metric =
    metric("redis_operation_latency_ms", "Latency of the last Redis operation in milliseconds; 0 without Redis.");

pub(crate) const REQUESTS: Metric = metric("tollgate_requests_total", "Requests decided or refused, by outcome.");
pub(crate) const SHADOW_DENIALS: Metric =
    metric("tollgate_shadow_denials_total", "Requests that a limit in shadow would have denied.");
pub(crate) const DEGRADED: Metric =
    metric("tollgate_degraded_total", "Requests that were decided without the shard's group.");
pub(crate) const DECISION_SECONDS: Metric =
    metric("tollgate_decision_seconds", "From a parsed request to its decision, waiting for its turn included.");
pub(crate) const COMMITS: Metric = metric("tollgate_commits_total", "Entries that bucket actors had committed.");
pub(crate) const COMMIT_SECONDS: Metric = metric("tollgate_commit_seconds", "From a proposal to its commit.");
pub(crate) const BUCKETS: Metric = metric("tollgate_buckets", "Buckets held in memory.");
pub(crate) const LIMITS: Metric = metric("tollgate_limits", "Limits that hold.");
pub(crate) const SHARDS_LED: Metric = metric("tollgate_shards_led", "Shards whose leader answers on this node.");
pub(crate) const TAKEOVERS: Metric = metric("tollgate_takeovers_total", "Leaderships that began on this node.");
pub(crate) const CLOCKS_LATE: Metric = metric(
    "tollgate_clocks_late_total",
    "Leaderships that began without knowing how much time had passed: buckets have not refilled meanwhile.",
);
pub(crate) const ACTOR_RESTARTS: Metric =
    metric("tollgate_actor_restarts_total", "Actors that failed and were started anew.");
pub(crate) const GROUPS_FAILED: Metric =
    metric("tollgate_groups_failed_total", "Raft groups that stopped for good because their disk failed.");
pub(crate) const SNAPSHOTS: Metric = metric("tollgate_snapshots_total", "Snapshots saved.");
pub(crate) const STORE_HEALTHY: Metric = metric("tollgate_store_healthy", "1 while writes to disk go through, else 0.");
