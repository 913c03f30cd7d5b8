//! After all faults have healed, every bucket answers within ten seconds, exactly, at every node.

use super::Violation;
use crate::chaos::Chaos;
use crate::history::History;
use crate::kernel::{Ms, World};
use crate::machine::Start;
use crate::scenario::LENGTH;

/// When requests must have been answered exactly: in the last three seconds.
const LATELY: Ms = 3_000;

/// Every node that did not come back, and every request that was answered without the group in the end.
pub(super) fn judge(world: &World, history: &History, chaos: &Chaos) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, machine) in world.machines.iter().filter(|(id, _)| !chaos.may_be_removed(**id)) {
        let problem = match machine.progress() {
            None => "has no process".to_owned(),
            Some(Start::Starting) => "has not started".to_owned(),
            Some(Start::Ended(reason)) => format!("has ended: {reason}"),
            Some(Start::Running(node)) if node.is_ready() => continue,
            Some(Start::Running(node)) => {
                format!("is not ready: {:?}, {:?}", node.shard_status(), node.cluster_status())
            }
        };
        violations.push(violation(format!("node {id} {problem}, at the end")));
    }
    let late = history.operations.iter().enumerate().filter(|(_, operation)| operation.sent >= LENGTH - LATELY);
    for (index, operation) in
        late.filter(|(_, operation)| operation.sent < LENGTH - LATELY / 3 && !chaos.may_be_removed(operation.node))
    {
        match operation.verdict() {
            Some((_, told)) if !told.degraded => {}
            Some(_) => violations.push(violation(format!("#{index} was degraded at {}", operation.sent))),
            None => {}
        }
    }
    violations
}

fn violation(how: String) -> Violation {
    Violation { promise: "all buckets answer after all has healed", how }
}
