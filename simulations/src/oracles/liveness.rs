//! After all faults have healed, every bucket answers within ten seconds, exactly, at every node.

use super::Violation;
use crate::chaos::Chaos;
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::{Ms, World};
use crate::machine::Start;
use crate::scenario::LENGTH;

/// When requests must have been answered exactly: in the last three seconds.
const LATELY: Ms = 3_000;

/// In the refusal of a request for more than a bucket holds.
const NEVER_FITS: &str = "never";

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
    let is_late = |operation: &Operation| (LENGTH - LATELY..LENGTH - LATELY / 3).contains(&operation.sent);
    let late = history.operations.iter().enumerate().filter(|(_, operation)| is_late(operation));
    for (index, operation) in late.filter(|(_, operation)| !chaos.may_be_removed(operation.node)) {
        let problem =
            problem(operation).map(|problem| violation(format!("#{index}, of {}, {problem}", operation.sent)));
        violations.extend(problem);
    }
    violations
}

/// Why an answer is not what it has to be when all is well.
fn problem(operation: &Operation) -> Option<String> {
    let Ask::Acquire { patience: 0, .. } = operation.ask else { return None };
    match &operation.answered {
        None => Some("was not answered".to_owned()),
        Some((_, Answer::Verdict(told))) => told.degraded.then(|| "was answered without the group".to_owned()),
        Some((_, Answer::Failed(reason))) if reason.contains(NEVER_FITS) => None,
        Some((_, answer)) => Some(format!("was told {answer:?}")),
    }
}

fn violation(how: String) -> Violation {
    Violation { promise: "all buckets answer after all has healed", how }
}
