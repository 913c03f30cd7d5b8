//! The cluster as one of its nodes knows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /v1/cluster`, and to every call that changes which nodes there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a cluster")]
pub struct ClusterAnswer {
    /// Its nodes, in the order of their numbers.
    pub nodes: Vec<NodeAnswer>,
    /// Its shards, in the order of their numbers.
    pub shards: Vec<ShardAnswer>,
    /// Whether the node that was asked answers by the cluster's limits. If not, what it knows may be old.
    pub ready: bool,
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a node")]
pub struct NodeAnswer {
    /// Its number, at least 1.
    pub id: u64,
    /// Where its HTTP API is, as `host:port`; `null` until it has said so.
    #[schema(required)]
    pub http: Option<String>,
    /// Where the other nodes reach it, as `host:port`.
    pub peer: String,
    /// Whether the node that was asked has heard of it within the last second.
    pub alive: bool,
    /// Shards that it leads.
    pub leads: u64,
    /// What it is there for.
    pub duty: NodeDuty,
}

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeDuty {
    /// It keeps shards and leads some.
    Serving,
    /// It keeps shards and is to lead none.
    Draining,
    /// Its shards are moving to other nodes; then it is no part of the cluster any more.
    Leaving,
}

/// One shard of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the state of a shard")]
pub struct ShardAnswer {
    /// Its number, from 0.
    pub id: u32,
    /// The node that leads it, and so decides what is asked of its buckets; `null` while none is known to.
    #[schema(required)]
    pub leader: Option<u64>,
    /// The nodes that keep it, as its leader says.
    pub replicas: Vec<u64>,
    /// Its Raft term, which grows with every election.
    pub term: u64,
}
