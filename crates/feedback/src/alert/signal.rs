//! What rules look at.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What an alert is about beside its rule: a node, a shard, a limit. Empty for the whole cluster.
pub type Labels = BTreeMap<String, String>;

/// The label of what is about a node: the node's number.
pub(crate) const NODE_LABEL: &str = "node";

/// What all signals show now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// By what each is about; `None` where it cannot be told. What is absent shows 0. A signal that is absent altogether was not
    /// measured.
    pub values: BTreeMap<Signal, Values>,
    /// Signals of which a part is not known: they show at least this.
    pub partial: BTreeSet<Signal>,
}

/// What a signal shows, by what it is about.
pub type Values = BTreeMap<Labels, Option<f64>>;

/// Something that is measured continuously, of the whole cluster unless said otherwise. Rates are over the last minute.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Requests that got no decision, in percent of all.
    ErrorRate,
    /// The fullest queue, in percent of its limit.
    QueueFull,
    /// Circuits that opened, per minute.
    CircuitTrips,
    /// The 99th percentile of the time that decisions took, in milliseconds.
    ResponseTime,
    /// Batches of which something failed, in percent of all.
    BatchFailures,
    /// The greatest latency of Redis that a node sees, in milliseconds.
    RedisLatency,
    /// For how long a node has not reached its Redis, in seconds; of each node.
    RedisUnavailable,
    /// Denials per minute; of each limit.
    Breaches,
    /// Denials of one key per minute; of each limit and key of those that are denied most.
    KeyDenials,
    /// How unusual an endpoint's request rate is against its own history, see [`Spike`](super::Spike); of each endpoint.
    UsageSpike,
    /// In how many seconds of the last minute requests were decided without their group; of the node that did so most often.
    Degraded,
    /// For how long a shard has had no leader, in seconds; of each shard.
    Leaderless,
    /// 1 where a disk takes no writes any more; of each node.
    DiskFailed,
    /// How full the disk is, in percent; of each node.
    DiskFull,
    /// 1 where a node has not been heard of for five seconds; of each node.
    NodeDown,
    /// The mode of the cluster: 0 normal, 1 reduced, 2 emergency.
    Mode,
}

impl Signal {
    /// The label that tells the alerts of rules of one name from each other: the signal's name.
    pub const LABEL: &str = "signal";

    /// All signals.
    pub const ALL: [Self; 16] = [
        Self::ErrorRate,
        Self::QueueFull,
        Self::CircuitTrips,
        Self::ResponseTime,
        Self::BatchFailures,
        Self::RedisLatency,
        Self::RedisUnavailable,
        Self::Breaches,
        Self::KeyDenials,
        Self::UsageSpike,
        Self::Degraded,
        Self::Leaderless,
        Self::DiskFailed,
        Self::DiskFull,
        Self::NodeDown,
        Self::Mode,
    ];

    /// Its name, as rules of the configuration name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::QueueFull => "queue_full",
            Self::CircuitTrips => "circuit_trips",
            Self::ResponseTime => "response_time",
            Self::BatchFailures => "batch_failures",
            Self::RedisLatency => "redis_latency",
            Self::RedisUnavailable => "redis_unavailable",
            Self::Breaches => "breaches",
            Self::KeyDenials => "key_denials",
            Self::UsageSpike => "usage_spike",
            Self::Degraded => "degraded",
            Self::Leaderless => "leaderless",
            Self::DiskFailed => "disk_failed",
            Self::DiskFull => "disk_full",
            Self::NodeDown => "node_down",
            Self::Mode => "mode",
        }
    }

    /// The signal of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// The greatest value that it can show; `None` if there is none. A rule that fires at or above it would never fire.
    #[must_use]
    pub fn greatest(self) -> Option<f64> {
        match self {
            Self::ErrorRate | Self::QueueFull | Self::BatchFailures | Self::DiskFull => Some(100.0),
            // The last class of latencies has no upper bound, and counts as its lower one.
            Self::ResponseTime => Some(1_000.0),
            Self::UsageSpike => Some(super::spike::CEILING),
            Self::Degraded => Some(60.0),
            Self::DiskFailed | Self::NodeDown => Some(1.0),
            Self::Mode => Some(2.0),
            Self::CircuitTrips
            | Self::RedisLatency
            | Self::RedisUnavailable
            | Self::Breaches
            | Self::KeyDenials
            | Self::Leaderless => None,
        }
    }

    /// What its values are counted in, as it stands behind a number.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::ErrorRate | Self::QueueFull | Self::BatchFailures | Self::DiskFull => " %",
            Self::CircuitTrips | Self::Breaches | Self::KeyDenials => " per minute",
            Self::ResponseTime | Self::RedisLatency => " ms",
            Self::Leaderless | Self::RedisUnavailable => " s",
            Self::Degraded => " s of the last minute",
            Self::UsageSpike => " standard deviations in excess",
            Self::DiskFailed | Self::NodeDown | Self::Mode => "",
        }
    }
}
