//! How a cluster is, as one of its nodes knows it.

use tollgate_limiter::ShardId;

use crate::consensus::NodeId;
use crate::meta::Duty;

/// How the cluster is.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterStatus {
    /// Its nodes, in the order of their numbers.
    pub nodes: Vec<NodeStatus>,
    /// Its shards, all of them.
    pub shards: Vec<ShardStatus>,
    /// Who leads group 0, which holds the limits and the nodes; `None` while nobody is known to.
    pub leader: Option<NodeId>,
    /// The Raft term of group 0.
    pub term: u64,
    /// Whether the node that is asked knows that its limits are the latest.
    pub has_lease: bool,
    /// Whether the node that is asked answers by the cluster's limits.
    pub ready: bool,
}

/// A replica of a group at one position of its log. Replicas at equal positions have equal fingerprints, or a promise is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    /// The group; 0 is the cluster's own, shard `n` is group `n + 1`.
    pub group: u32,
    /// The index of the last entry that is applied.
    pub index: u64,
    /// What tells the state, with the leadership of that entry, from any other.
    pub bits: u128,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Its number.
    pub id: NodeId,
    /// Where its HTTP API is; `None` until it has said so.
    pub http: Option<String>,
    /// Where the other nodes reach it.
    pub peer: String,
    /// Whether it has said something within the last second.
    pub alive: bool,
    /// Shards that it leads.
    pub leads: usize,
    /// What it does.
    pub duty: Duty,
}

/// How a shard is.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardStatus {
    /// The shard.
    pub id: ShardId,
    /// Who leads it; `None` while nobody is known to.
    pub leader: Option<NodeId>,
    /// Whether that is the node that is asked.
    pub leads: bool,
    /// Who keeps it, as its leader says.
    pub replicas: Vec<NodeId>,
    /// Its Raft term.
    pub term: u64,
    /// Whether its group runs here, if it is kept here; one whose disk failed does not.
    pub running: bool,
}
