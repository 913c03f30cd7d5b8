//! The cluster as this node knows it: its nodes, and where they keep the shards.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_limiter::ShardId;

use crate::consensus::NodeId;
use crate::meta::{ClusterState, Duty, Member};
use crate::placement::{Placement, ranked};

/// The most voters of group 0. More would make every change of the limits wait for more disks; the other nodes follow it.
const META_VOTERS: usize = 5;

/// What rank group 0's voters have among the nodes: no shard has this number.
const META_RANK: ShardId = ShardId::MAX;

/// Nodes and placement, at one state of group 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) nodes: BTreeMap<NodeId, Member>,
    pub(crate) placement: Placement,
    /// Those that stay in the cluster.
    staying: BTreeSet<NodeId>,
}

impl View {
    pub(crate) fn of(state: &ClusterState) -> Self {
        let (shards, replication) =
            state.identity().map_or((0, 1), |identity| (identity.shards, identity.replication as usize));
        let staying = state.staying();
        let placement = Placement::new(&staying, shards, replication);
        Self { nodes: state.nodes().clone(), placement, staying }
    }

    /// What a node does; `None` when it is not in the cluster.
    pub(crate) fn duty(&self, node: NodeId) -> Option<Duty> {
        self.nodes.get(&node).map(|member| member.duty)
    }

    /// Those that should vote in group 0, best first.
    pub(crate) fn meta_voters(&self) -> BTreeSet<NodeId> {
        meta_voters(&self.staying).into_iter().collect()
    }

    /// Those that should only follow group 0: all nodes need the limits.
    pub(crate) fn meta_learners(&self) -> BTreeSet<NodeId> {
        self.staying.difference(&self.meta_voters()).copied().collect()
    }
}

/// Of these nodes, the voters of group 0, best first.
pub(crate) fn meta_voters(nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
    ranked(nodes, META_RANK, META_VOTERS)
}
