//! Which nodes keep which shard, and which of them should lead it: pure functions of who takes part.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1998): each shard ranks all nodes by a hash of the pair and is kept by the first of
//! them. So a node that comes or goes moves only the shards that it gains or loses.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_limiter::ShardId;

use crate::consensus::NodeId;

/// The replicas of every shard.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Placement {
    /// By shard, each list in the order of rank.
    replicas: Vec<Vec<NodeId>>,
}

impl Placement {
    /// Places `shards` shards on `nodes`, each on `replication` of them, or on all where there are fewer.
    pub(crate) fn new(nodes: &BTreeSet<NodeId>, shards: u32, replication: usize) -> Self {
        Self { replicas: (0..shards).map(|shard| ranked(nodes, shard, replication)).collect() }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> ShardId {
        self.replicas.len() as ShardId
    }

    /// The nodes that keep `shard`, best first; none for a shard that there is not.
    pub(crate) fn replicas(&self, shard: ShardId) -> &[NodeId] {
        self.replicas.get(shard as usize).map_or(&[], Vec::as_slice)
    }

    /// Who should lead each shard so that those who `may` lead have as even a share as can be; `None` where nobody may.
    pub(crate) fn leaders(&self, may: impl Fn(NodeId) -> bool) -> Vec<Option<NodeId>> {
        let mut led: BTreeMap<NodeId, usize> = BTreeMap::new();
        let pick = |replicas: &Vec<NodeId>| {
            let candidates = replicas.iter().enumerate().filter(|(_, node)| may(**node));
            let least = candidates.min_by_key(|(rank, node)| (led.get(node).copied().unwrap_or(0), *rank));
            let leader = least.map(|(_, node)| *node)?;
            *led.entry(leader).or_default() += 1;
            Some(leader)
        };
        self.replicas.iter().map(pick).collect()
    }
}

/// The first `replication` of `nodes` by their weight for `shard`.
pub(crate) fn ranked(nodes: &BTreeSet<NodeId>, shard: ShardId, replication: usize) -> Vec<NodeId> {
    let mut ranked: Vec<NodeId> = nodes.iter().copied().collect();
    ranked.sort_by_cached_key(|node| std::cmp::Reverse((weight(*node, shard), *node)));
    ranked.truncate(replication);
    ranked
}

fn weight(node: NodeId, shard: ShardId) -> u64 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&node.to_le_bytes());
    bytes[8..].copy_from_slice(&shard.to_le_bytes());
    let hash = blake3::hash(&bytes);
    hash.as_bytes()[..8].iter().fold(0, |weight, byte| (weight << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(numbers: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        numbers.into_iter().collect()
    }

    fn shares(leaders: &[Option<NodeId>]) -> Vec<usize> {
        let mut shares: BTreeMap<NodeId, usize> = BTreeMap::new();
        leaders.iter().flatten().for_each(|leader| *shares.entry(*leader).or_default() += 1);
        shares.into_values().collect()
    }

    #[test]
    fn every_shard_has_as_many_replicas_as_there_can_be() {
        for (count, replication, expected) in [(1, 3, 1), (2, 3, 2), (3, 3, 3), (5, 3, 3), (5, 7, 5)] {
            let placement = Placement::new(&nodes(1..=count), 16, replication);
            for shard in 0..16 {
                let replicas = nodes(placement.replicas(shard).iter().copied());
                assert_eq!(replicas.len(), expected, "{count} nodes, {replication} replicas, shard {shard}");
            }
        }
        assert!(Placement::new(&nodes([]), 16, 3).replicas(0).is_empty());
    }

    #[test]
    fn leaders_are_spread_evenly() {
        for (count, shards) in [(1, 16), (2, 16), (3, 16), (3, 256), (5, 16), (7, 64)] {
            let placement = Placement::new(&nodes(1..=count), shards, 3);
            let shares = shares(&placement.leaders(|_| true));
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert_eq!(shares.len() as u64, count, "every node leads: {shares:?}");
            assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 2, "{count} nodes, {shards} shards: {shares:?}");
        }
    }

    #[test]
    fn those_that_are_left_lead_when_a_node_is_gone() {
        let placement = Placement::new(&nodes(1..=3), 16, 3);
        let leaders = placement.leaders(|node| node != 2);
        assert_eq!(shares(&leaders), [8, 8]);
        assert_eq!(placement.leaders(|_| false), vec![None; 16]);
    }

    #[test]
    fn a_node_that_joins_moves_only_what_it_gains() {
        let (before, after) = (Placement::new(&nodes(1..=5), 64, 3), Placement::new(&nodes(1..=6), 64, 3));
        for shard in 0..64 {
            let (before, after) = (before.replicas(shard), after.replicas(shard));
            let gained: Vec<_> = after.iter().filter(|node| !before.contains(node)).collect();
            assert!(gained.is_empty() || gained == [&6], "shard {shard}: {before:?} to {after:?}");
        }
    }

    #[test]
    fn the_placement_is_the_same_in_every_version_and_on_every_machine() {
        let placement = Placement::new(&nodes(1..=5), 4, 3);
        let replicas: Vec<_> = (0..4).map(|shard| placement.replicas(shard)).collect();
        assert_eq!(replicas, [&[1, 5, 3], &[3, 4, 5], &[4, 2, 1], &[1, 3, 2]]);
    }
}
