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
pub(crate) const LEGACY_TOKENS_CONSUMED: Metric =
    metric("rate_limiter_tokens_consumed", "Units admitted, by the request's label `tier`.");
pub(crate) const LEGACY_BREACHES: Metric =
    metric("rate_limiter_breaches", "Requests denied, by the request's label `tier`.");
pub(crate) const LEGACY_REDIS_LATENCY: Metric =
    metric("redis_operation_latency_ms", "Latency of the last Redis operation in milliseconds; 0 without Redis.");

pub(crate) const TOKENS_CONSUMED: Metric =
    metric("tollgate_tokens_consumed_total", "Units admitted, by the request's label `tier`.");
pub(crate) const BREACHES: Metric =
    metric("tollgate_breaches_total", "Requests denied, by the request's label `tier`.");
pub(crate) const REDIS_LATENCY: Metric =
    metric("tollgate_redis_latency_seconds", "Latency of the last Redis operation; 0 without Redis.");
pub(crate) const REQUESTS: Metric = metric("tollgate_requests_total", "Requests decided or refused, by outcome.");
pub(crate) const SHADOW_DENIALS: Metric =
    metric("tollgate_shadow_denials_total", "Requests that a limit in shadow would have denied.");
pub(crate) const DEGRADED: Metric =
    metric("tollgate_degraded_total", "Requests that were decided without the shard's group.");
pub(crate) const DECISION_SECONDS: Metric =
    metric("tollgate_decision_seconds", "From a parsed request to its decision, waiting for its turn included.");
pub(crate) const ENDPOINT_REQUESTS: Metric = metric(
    "tollgate_endpoint_requests_total",
    "Requests by endpoint and outcome; failed are those that this node could not decide.",
);
pub(crate) const ENDPOINT_DECISION_SECONDS: Metric =
    metric("tollgate_endpoint_decision_seconds", "From a parsed request to its decision, by endpoint.");
pub(crate) const LABEL_VALUES_FOLDED: Metric = metric(
    "tollgate_label_values_folded_total",
    "Values of a label that limits name and that are counted as `other`, because there are too many.",
);
pub(crate) const SAMPLES_DROPPED: Metric =
    metric("tollgate_samples_dropped_total", "Samples that a subscriber of the metric stream lost for being slow.");
pub(crate) const FORWARDED: Metric =
    metric("tollgate_forwarded_total", "Questions to the node that leads the shard of a bucket.");
pub(crate) const DENIAL_CACHE_HITS: Metric = metric(
    "tollgate_denial_cache_hits_total",
    "Denials of which this node knew that the node that leads the shard would say the same.",
);
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
pub(crate) const SNAPSHOT_BYTES: Metric =
    metric("tollgate_snapshot_bytes", "Size of the snapshot that was saved last.");
pub(crate) const STORE_WRITE_SECONDS: Metric =
    metric("tollgate_store_write_seconds", "From when entries are given to the storage until they are durable.");
pub(crate) const DISK_FILL: Metric =
    metric("tollgate_disk_fill_ratio", "How full the disk with the data is, 0 to 1; 0 where that is not known.");
pub(crate) const SHARDS_LEADERLESS: Metric =
    metric("tollgate_shards_leaderless", "Shards that have no leader as far as this node knows.");
pub(crate) const RAFT_TERM: Metric = metric("tollgate_raft_term", "Raft term of group 0, which holds the limits.");
pub(crate) const RAFT_LEADER: Metric = metric("tollgate_raft_leader", "1 while this node leads group 0, else 0.");
pub(crate) const NODES: Metric = metric("tollgate_nodes", "Nodes of the cluster, this one included.");
pub(crate) const NODES_ALIVE: Metric =
    metric("tollgate_nodes_alive", "Nodes of the cluster that this one has heard of within the last second.");

// Of parts that a node may be without: then they stay at 0.
pub(crate) const BATCHES: Metric = metric("tollgate_batches_total", "Batches by how much of them was done.");
pub(crate) const BATCH_SIZE: Metric = metric("tollgate_batch_size", "Items of a batch.");
pub(crate) const BATCH_UTILIZATION: Metric =
    metric("tollgate_batch_utilization_ratio", "Items of the last batch, by as many as it could have had, 0 to 1.");
pub(crate) const QUEUE_LENGTH: Metric = metric("tollgate_queue_length", "Requests that wait in the fullest queue.");
pub(crate) const QUEUE_LIMIT: Metric = metric("tollgate_queue_limit", "Requests that may wait in that queue.");
pub(crate) const BREAKER_STATE: Metric =
    metric("tollgate_breaker_state", "The circuit breaker: 0 closed, 1 half open, 2 open.");
pub(crate) const BREAKER_TRIPS: Metric =
    metric("tollgate_breaker_trips_total", "How often the circuit breaker opened.");
pub(crate) const MODE: Metric = metric("tollgate_mode", "How the node works: 0 normal, 1 reduced, 2 emergency.");
pub(crate) const FALLBACK_ACTIVE: Metric =
    metric("tollgate_fallback_active", "1 while something stands in for what is not reached, else 0.");
pub(crate) const REDIS_AVAILABLE: Metric =
    metric("tollgate_redis_available", "1 while Redis is reached, else 0; 0 without Redis.");
pub(crate) const REDIS_FAILURES: Metric = metric("tollgate_redis_failures_total", "Operations on Redis that failed.");
pub(crate) const ALERTS_FIRING: Metric = metric("tollgate_alerts_firing", "Alerts that are firing, by severity.");
pub(crate) const ALERT_MESSAGES: Metric = metric(
    "tollgate_alert_messages_total",
    "Attempts to deliver messages about alerts, by the kind of receiver and what became of them.",
);
pub(crate) const ALERT_DEAD_LETTERS: Metric = metric(
    "tollgate_alert_dead_letters_total",
    "Messages about alerts that were given up by this node: refused for good, or not taken for a day.",
);
pub(crate) const ALERT_MESSAGES_WAITING: Metric =
    metric("tollgate_alert_messages_waiting", "Messages about alerts that are still to be delivered.");
pub(crate) const ALERTS_OVERLOOKED: Metric =
    metric("tollgate_alerts_overlooked_total", "Alerts that were not looked at, because there were too many.");

// As every exporter of Prometheus names them.
pub(crate) const PROCESS_CPU: Metric =
    metric("tollgate_process_cpu_seconds_total", "Time that the process has spent on processors, in seconds.");
pub(crate) const PROCESS_RESIDENT: Metric =
    metric("tollgate_process_resident_memory_bytes", "Memory of the process that is in the machine's.");
pub(crate) const PROCESS_VIRTUAL: Metric =
    metric("tollgate_process_virtual_memory_bytes", "Memory that the process can address.");
pub(crate) const PROCESS_OPEN_FDS: Metric = metric("tollgate_process_open_fds", "File descriptors that are open.");
pub(crate) const PROCESS_MAX_FDS: Metric = metric("tollgate_process_max_fds", "File descriptors that may be open.");
pub(crate) const PROCESS_THREADS: Metric = metric("tollgate_process_threads", "Threads of the process.");
pub(crate) const PROCESS_START: Metric =
    metric("tollgate_process_start_time_seconds", "When the process started, in seconds since 1970.");
