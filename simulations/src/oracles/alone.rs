//! What nodes decide without the group they decide as `on_unavailable` says: by a limit that denies then nothing passes, by one that
//! allows everything, and by one that is shared no process lets more pass than one of so many nodes may (DESIGN §2).

use std::collections::BTreeMap;

use tollgate_cluster::NodeId;
use tollgate_limiter::{Algorithm, OnUnavailable, Pace};

use super::Violation;
use crate::history::{Ask, History};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::Scenario;
use crate::swarm::MAX_DRIFT;

/// What one process admitted alone to one user of one endpoint: when each request was sent and answered, and its cost.
type Share = Vec<(Ms, Ms, u64)>;

/// Every request that no node should have let pass by itself, or not have let pass; there were always as many `nodes` at least.
pub(super) fn judge(scenario: &Scenario, history: &History, nodes: u64) -> Vec<Violation> {
    let mut shares: BTreeMap<(NodeId, u64, &str, u64), Share> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let Some((received, told)) = operation.verdict().filter(|(_, told)| told.degraded) else { continue };
        let Ask::Acquire { endpoint, user, cost, .. } = operation.ask else { continue };
        let of_all = |on_unavailable: OnUnavailable| {
            scenario.limits_of(endpoint).all(|limit| limit.on_unavailable == on_unavailable)
        };
        if told.allowed && of_all(OnUnavailable::Deny) || !told.allowed && of_all(OnUnavailable::Allow) {
            violations.push(violation(format!("#{index}, to {endpoint}, was told {told:?}")));
        }
        if !told.allowed {
            continue;
        }
        let share = shares.entry((operation.node, operation.process, endpoint, user)).or_default();
        share.push((operation.sent, received, cost));
    }
    for ((node, _, endpoint, user), share) in shares {
        let shared = scenario.limits_of(endpoint).filter(|limit| limit.on_unavailable == OnUnavailable::Local);
        let paces = shared.filter_map(|limit| match limit.algorithm {
            Algorithm::TokenBucket(pace) => Some(pace),
            _ => None,
        });
        let excess = paces.filter_map(|pace| excess(&share, pace, nodes));
        violations.extend(excess.map(|how| violation(format!("node {node}, {endpoint} of user {user}: {how}"))));
    }
    violations
}

/// Says in which window more was admitted than one of so many nodes may.
fn excess(share: &[(Ms, Ms, u64)], pace: Pace, nodes: u64) -> Option<String> {
    share.iter().find_map(|(from, ..)| {
        let mut within: Vec<(Ms, u64)> =
            share.iter().filter(|(sent, ..)| sent >= from).map(|(_, received, cost)| (*received, *cost)).collect();
        within.sort_unstable();
        let mut admitted = 0;
        within.into_iter().find_map(|(until, cost)| {
            admitted += cost;
            let span_ns = (until - from) as i64 * MS_NS;
            let refilled = (span_ns + span_ns / 1_000_000 * 2 * MAX_DRIFT) / pace.interval_ns() + 1;
            let allowed = (pace.burst() + refilled.unsigned_abs()) / nodes;
            (admitted > allowed).then(|| format!("admitted {admitted} of {allowed} alone, from {from} to {until}"))
        })
    })
}

fn violation(how: String) -> Violation {
    Violation { promise: "nodes admit alone what they are told to", how }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Operation, Told};

    /// A request to one node that was let pass without the group, answered in the next millisecond.
    fn passed(endpoint: &'static str, process: u64, sent: Ms) -> Operation {
        answered(endpoint, process, sent, true)
    }

    fn answered(endpoint: &'static str, process: u64, sent: Ms, allowed: bool) -> Operation {
        let told = Told { allowed, degraded: true, limits: Vec::new() };
        let ask = Ask::Acquire { endpoint, user: 0, cost: 1, patience: 0 };
        Operation { node: 1, process, sent, answered: Some((sent + 1, Answer::Verdict(told))), ask }
    }

    #[test]
    fn a_node_alone_admits_its_share_of_a_shared_limit_and_nothing_by_one_that_denies() {
        let mut scenario = Scenario::new(1);
        let pace = Pace::new(3, 1_000 * MS_NS, 9).expect("a legal pace");
        let local = scenario.limits.iter_mut().find(|limit| limit.name.as_str() == "local");
        local.expect("there is one").algorithm = Algorithm::TokenBucket(pace);
        let at_once = |count: usize, process| vec![passed("local", process, 10); count];
        let cases = [
            ("a third of the burst", at_once(3, 1), 0),
            ("more than that", at_once(4, 1), 1),
            ("more than that, by two processes", [at_once(3, 1), at_once(3, 2)].concat(), 0),
            ("one more a second later", [at_once(3, 1), vec![passed("local", 1, 1_011)]].concat(), 0),
            ("two more a second later", [at_once(3, 1), vec![passed("local", 1, 1_011); 2]].concat(), 1),
            ("one by a limit that denies", vec![passed("paced", 1, 10)], 1),
            ("one by two limits that deny", vec![passed("both", 1, 10)], 1),
            ("any by a limit that allows", vec![passed("eventual", 1, 10); 100], 0),
            ("none by one that allows", vec![answered("eventual", 1, 10, false)], 1),
            ("none by any other", vec![answered("paced", 1, 10, false), answered("local", 1, 10, false)], 0),
        ];
        for (claim, operations, violations) in cases {
            let history = History { operations };
            assert_eq!(judge(&scenario, &history, 3).len(), violations, "{claim}");
        }
    }
}
