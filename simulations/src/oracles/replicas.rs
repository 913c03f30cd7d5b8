//! The replicas of a group have equal states at equal positions of their log, for ever: what was committed once is not replaced, and
//! all apply it alike. The logs themselves have equal entries as far as they were applied. Of the leaders of a shard no two have the
//! same number, and no node votes for less than it voted for before: by openraft's order of leaders, a later term first, and within a
//! term the higher node.

use std::collections::BTreeMap;

use tollgate_cluster::{Event, NodeId};
use tollgate_storage::GroupId;

use super::Violation;
use crate::kernel::{Ms, World};
use crate::machine::Machine;

/// How often states are compared.
const PERIOD: Ms = 30;

/// How often logs are; a multiple of [`PERIOD`].
const LOGS_PERIOD: Ms = 300;

/// What was seen of all groups.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// By node, how often it had been started, and group: the position at which it was looked at last.
    positions: BTreeMap<(NodeId, u64, u32), u64>,
    /// By group and position: the state, and the node that had it first.
    states: BTreeMap<(u32, u64), (u128, NodeId)>,
    /// As `positions`: up to where the log was compared.
    compared: BTreeMap<(NodeId, u64, u32), u64>,
    /// By group and position: the entry, and the node that was seen to have applied it first.
    entries: BTreeMap<(u32, u64), (Vec<u8>, NodeId)>,
    /// By shard and number: who leads.
    leaders: BTreeMap<(u32, u64), NodeId>,
    /// By node and group: the highest vote that it told, by term and candidate.
    votes: BTreeMap<(NodeId, u32), (u64, NodeId)>,
}

impl Replicas {
    /// Compares what the nodes have now.
    pub(super) fn look(&mut self, world: &World) -> Vec<Violation> {
        if !world.now.is_multiple_of(PERIOD) {
            return Vec::new();
        }
        let nodes = world.machines.values().filter_map(|machine| Some((machine, machine.node()?)));
        let mut violations: Vec<Violation> = nodes.flat_map(|(machine, node)| self.compare(machine, &node)).collect();
        if world.now.is_multiple_of(LOGS_PERIOD) {
            violations.extend(self.compare_logs(world));
        }
        violations
    }

    fn compare(&mut self, machine: &Machine, node: &tollgate_cluster::Node) -> Vec<Violation> {
        let mut violations = Vec::new();
        let (id, positions) = (machine.id, &mut self.positions);
        let has_moved = |group, index| positions.insert((id, machine.starts, group), index) != Some(index);
        for fingerprint in node.fingerprints(has_moved) {
            let (group, index) = (fingerprint.group, fingerprint.index);
            let (bits, first) = *self.states.entry((group, index)).or_insert((fingerprint.bits, id));
            if bits != fingerprint.bits {
                let how = format!("nodes {first} and {id} differ in group {group} at {index}");
                violations.push(Violation { promise: "replicas are equal", how });
            }
        }
        violations
    }

    /// Compares what was added to the logs, each up to where its node was seen to have applied it.
    fn compare_logs(&mut self, world: &World) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ((node, starts, group), applied) in &self.positions {
            // What was applied need not be durable where it was, so a log is looked at while its process lives.
            let lives = |machine: &&Machine| machine.starts == *starts && machine.node().is_some();
            let Some(machine) = world.machines.get(node).filter(lives) else { continue };
            let compared = self.compared.insert((*node, *starts, *group), *applied).unwrap_or(0);
            for (index, bytes) in machine.disk.log(GroupId(*group), compared + 1..applied + 1) {
                let (entry, first) = self.entries.entry((*group, index)).or_insert_with(|| (bytes.clone(), *node));
                if *entry != bytes {
                    let how = format!("nodes {first} and {node} have other entries in group {group} at {index}");
                    violations.push(Violation { promise: "replicas are equal", how });
                }
            }
        }
        violations
    }

    /// A node told of something.
    pub(super) fn hear(&mut self, node: NodeId, event: &Event) -> Option<Violation> {
        match *event {
            Event::TookOver { shard, leadership } => {
                let first = *self.leaders.entry((shard, leadership)).or_insert(node);
                (first != node).then(|| Violation {
                    promise: "one leader",
                    how: format!("nodes {first} and {node} both lead shard {shard} as number {leadership}"),
                })
            }
            Event::Voted { group, term, candidate } => {
                let last = self.votes.insert((node, group), (term, candidate));
                last.filter(|last| *last > (term, candidate)).map(|last| Violation {
                    promise: "a vote is never taken back",
                    how: format!(
                        "node {node} voted for {last:?} in group {group}, and then for {:?}",
                        (term, candidate)
                    ),
                })
            }
            _ => None,
        }
    }
}
