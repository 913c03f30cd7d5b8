//! Where the leader of each shard is, as the nodes tell each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tollgate_limiter::ShardId;

use crate::consensus::NodeId;
use crate::messages::{Led, Status};

/// Who leads what. Read by every request that is not decided here.
pub(crate) struct Routes {
    leaders: ArcSwap<Vec<Option<NodeId>>>,
    told: Mutex<Told>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Told {
    /// The latest leadership of each shard that some node holds by its latest word.
    leaders: BTreeMap<ShardId, (Led, NodeId)>,
    /// The latest word of each node.
    nodes: BTreeMap<NodeId, Status>,
}

impl Told {
    /// Of each shard the latest of all leaderships that some node says it holds. Of two in one term, that of the higher number is the later.
    fn latest(&self) -> BTreeMap<ShardId, (Led, NodeId)> {
        let mut latest: BTreeMap<ShardId, (Led, NodeId)> = BTreeMap::new();
        let held = self.nodes.iter().flat_map(|(node, status)| status.leads.iter().map(|led| (led, *node)));
        for (led, node) in held {
            if latest.get(&led.shard).is_none_or(|(known, _)| known.term <= led.term) {
                latest.insert(led.shard, (led.clone(), node));
            }
        }
        latest
    }
}

impl Routes {
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            leaders: ArcSwap::from_pointee(vec![None; shards as usize]),
            told: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Who leads the shard; `None` while nobody is known to.
    pub(crate) fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.leaders.load().get(shard as usize).copied().flatten()
    }

    /// Tells of changes from here on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes what `node` says of itself.
    pub(crate) fn heard(&self, node: NodeId, status: Status) {
        let mut told = self.told();
        if told.nodes.get(&node) == Some(&status) {
            return;
        }
        told.nodes.insert(node, status);
        told.leaders = told.latest();
        let mut leaders = vec![None; self.leaders.load().len()];
        for (shard, (_, leader)) in &told.leaders {
            if let Some(place) = leaders.get_mut(*shard as usize) {
                *place = Some(*leader);
            }
        }
        self.leaders.store(Arc::new(leaders));
        drop(told);
        self.changed.send_modify(|version| *version += 1);
    }

    /// The leadership of a shard as it was told last.
    pub(crate) fn led(&self, shard: ShardId) -> Option<(Led, NodeId)> {
        self.told().leaders.get(&shard).cloned()
    }

    /// Whether a node has said that it leads nothing from here on.
    pub(crate) fn is_draining(&self, node: NodeId) -> bool {
        self.told().nodes.get(&node).is_some_and(|status| status.draining)
    }

    /// Whether a node says that it does not hear this other one.
    pub(crate) fn is_deaf_to(&self, node: NodeId, other: NodeId) -> bool {
        self.told().nodes.get(&node).is_some_and(|status| !status.hears.contains(&other))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(leads: &[(ShardId, u64)]) -> Status {
        let led = |(shard, term): &(ShardId, u64)| Led { shard: *shard, term: *term, members: vec![], settled: true };
        Status { leads: leads.iter().map(led).collect(), draining: false, hears: [1, 2].into() }
    }

    #[test]
    fn the_latest_leadership_wins_whenever_it_is_told() {
        let routes = Routes::new(2);
        let cases = [
            (1, status(&[(0, 5), (1, 5)]), [Some(1), Some(1)]),
            (2, status(&[(0, 4)]), [Some(1), Some(1)]),
            (2, status(&[(0, 6)]), [Some(2), Some(1)]),
            (1, status(&[(0, 5), (1, 5)]), [Some(2), Some(1)]),
            (1, status(&[(0, 7), (1, 5)]), [Some(1), Some(1)]),
            (1, status(&[(1, 5)]), [Some(2), Some(1)]),
            (1, status(&[]), [Some(2), None]),
            (2, status(&[(0, 6), (7, 1)]), [Some(2), None]),
        ];
        for (step, (node, status, expected)) in cases.into_iter().enumerate() {
            routes.heard(node, status);
            assert_eq!([routes.leader(0), routes.leader(1)], expected, "step {step}");
        }
        assert_eq!(routes.leader(7), None, "a shard that there is not");
    }
}
