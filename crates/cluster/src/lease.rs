//! The right of a node to count by the limits that it has.
//!
//! A change of the limits must hold on every node when it is answered, also where a node is cut off and cannot hear of it. So a
//! node counts by its limits only while it holds a lease (Gray and Cheriton, 1989) of the leader of group 0, which gives one only for
//! the latest version. A change is answered when every node has said that it counts by it, or its lease has run out.
//!
//! A lease ends a fixed time after a quorum of group 0 last confirmed its leader, measured on clocks that only have to run at about
//! the same rate. So a leader that is cut off cannot give leases beyond that time, and its successor, which begins after that
//! confirmation, waits it out before it answers its first change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::consensus::{LeaderId, NodeId};

/// How long a lease lasts: longer than a failover of group 0, so that one costs no answers; and the longest that a change waits
/// for a node that is cut off.
pub(crate) const LEASE: Duration = Duration::from_millis(2_500);

/// How much longer than that a change waits: what clocks may differ by in their rate.
pub(crate) const DRIFT: Duration = Duration::from_millis(100);

/// This node's lease.
pub(crate) struct Lease {
    /// On the node's monotonic clock, in nanoseconds.
    until_mono_ns: AtomicI64,
    wanted: Notify,
}

impl Default for Lease {
    fn default() -> Self {
        Self { until_mono_ns: AtomicI64::new(i64::MIN), wanted: Notify::new() }
    }
}

impl Lease {
    /// Whether the node may count by its limits when its monotonic clock shows `mono_ns`.
    pub(crate) fn is_valid(&self, mono_ns: i64) -> bool {
        mono_ns < self.until_mono_ns.load(Ordering::Acquire)
    }

    /// Somebody waits for a lease: it is to be asked for now, as after a pause of the whole process.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody waits for a lease.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Takes a lease up to `until_mono_ns`, if that is later than the present one.
    pub(crate) fn renew(&self, until_mono_ns: i64) {
        self.until_mono_ns.fetch_max(until_mono_ns, Ordering::AcqRel);
    }
}

/// The leases that this node has given while it leads group 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// The leadership in which they were given, and when it was first seen: leases of earlier ones end [`LEASE`] after that.
    since: Option<(LeaderId, Instant)>,
    leases: BTreeMap<NodeId, GivenLease>,
}

#[derive(Clone, Copy, Debug)]
struct GivenLease {
    /// The version of the limits that the node counted by.
    version: u64,
    until: Instant,
}

impl Given {
    /// This node leads group 0 as `leadership`. Those of another leadership are forgotten.
    pub(crate) fn lead(&mut self, leadership: LeaderId, now: Instant) {
        if self.since.is_none_or(|(known, _)| known != leadership) {
            *self = Self { since: Some((leadership, now)), leases: BTreeMap::new() };
        }
    }

    /// A lease was given to a node that counts by `version`.
    pub(crate) fn give(&mut self, node: NodeId, version: u64, until: Instant) {
        let given = self.leases.entry(node).or_insert(GivenLease { version, until });
        *given = GivenLease { version, until: until.max(given.until) };
    }

    /// When no node counts by a version before `version` any more: those that have said so, and those whose leases have run out.
    /// `None` when that is so already, or the leadership has ended.
    pub(crate) fn outdated_until(&self, nodes: &BTreeSet<NodeId>, version: u64, now: Instant) -> Option<Instant> {
        let (_, since) = self.since?;
        let holders = nodes.union(&self.leases.keys().copied().collect()).copied().collect::<BTreeSet<_>>();
        let ends = holders.into_iter().filter_map(|node| match self.leases.get(&node) {
            Some(given) if given.version >= version => None,
            Some(given) => Some(given.until + DRIFT),
            None => Some(since + LEASE + DRIFT),
        });
        ends.max().filter(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::leadership;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_change_waits_for_every_node_that_may_still_count_otherwise() {
        let start = Instant::now();
        let nodes = BTreeSet::from([1, 2, 3]);
        let mut given = Given::default();
        given.lead(leadership(1), start);
        let later = start + 10 * SECOND;
        (1..=3).for_each(|node| given.give(node, 7, later + LEASE));
        assert_eq!(given.outdated_until(&nodes, 7, later), None, "all count by it");
        assert_eq!(given.outdated_until(&nodes, 8, later), Some(later + LEASE + DRIFT));
        given.give(1, 8, later + LEASE + SECOND);
        given.give(2, 8, later + LEASE + SECOND);
        assert_eq!(given.outdated_until(&nodes, 8, later), Some(later + LEASE + DRIFT), "node 3 has not said so");
        assert_eq!(given.outdated_until(&nodes, 8, later + LEASE + DRIFT), None, "its lease has run out");
        given.give(3, 8, later + LEASE);
        assert_eq!(given.outdated_until(&nodes, 8, later), None);
    }

    #[test]
    fn a_new_leader_waits_for_the_leases_of_its_predecessor() {
        let start = Instant::now();
        let nodes = BTreeSet::from([1, 2]);
        let mut given = Given::default();
        given.lead(leadership(1), start);
        (1..=2).for_each(|node| given.give(node, 3, start + LEASE));
        given.lead(leadership(2), start + SECOND);
        given.give(1, 3, start + LEASE);
        assert_eq!(given.outdated_until(&nodes, 3, start + SECOND), Some(start + SECOND + LEASE + DRIFT));
        given.lead(leadership(2), start + 2 * SECOND);
        assert_eq!(given.outdated_until(&nodes, 3, start + SECOND), Some(start + SECOND + LEASE + DRIFT));
    }

    #[test]
    fn a_node_that_was_forgotten_still_counts_until_its_lease_runs_out() {
        let start = Instant::now();
        let mut given = Given::default();
        given.lead(leadership(1), start);
        given.give(9, 1, start + LEASE);
        assert_eq!(given.outdated_until(&BTreeSet::new(), 2, start), Some(start + LEASE + DRIFT));
    }

    #[test]
    fn a_lease_is_valid_until_it_ends_and_never_ends_earlier_for_a_late_answer() {
        let lease = Lease::default();
        assert!(!lease.is_valid(0), "no lease was given");
        lease.renew(100);
        lease.renew(50);
        assert!(lease.is_valid(99) && !lease.is_valid(100));
    }
}
