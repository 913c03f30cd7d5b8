//! What a failover costs is no more than is stated: every bucket loses at most a horizon's lead of refill and what its ceiling was ahead
//! (DESIGN §2), and without a failover nothing is lost at all.
//!
//! Each denial is looked at. Every request before it that may have been decided counts as charged, as late as it can have been, at each
//! change of leaders the bucket loses all that it can have been granted, and nothing comes back. If the request would fit even so, it
//! was denied for nothing.

use std::collections::BTreeMap;

use tollgate_cluster::Event;
use tollgate_limiter::{Algorithm, Limit, Pace};

use super::Violation;
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::{FAULTS_UNTIL, Scenario};
use crate::swarm::MAX_DRIFT;

/// How many commits a ceiling is granted ahead for.
const COMMITS_A_GRANT: i64 = 20;

/// How long what was taken of one limit may wait for the others, and somewhat longer: until the hold runs out, or, when all is well, until
/// it is released.
const HELD: Ms = 1_500;
const HELD_IN_CALM: Ms = 100;

/// From when on all is well.
const CALM: Ms = FAULTS_UNTIL + 2_000;

/// How long after it was sent a request that was not answered may still be decided, beside its patience.
const LATE: Ms = 5_000;

/// When leaders changed, and how long commits took.
#[derive(Debug, Default)]
pub(super) struct Price {
    changes: Vec<Ms>,
    /// The longest commit until then.
    commits: BTreeMap<Ms, i64>,
    longest_ns: i64,
}

impl Price {
    /// A node told of something.
    pub(super) fn hear(&mut self, event: &Event, now: Ms) {
        match event {
            Event::TookOver { .. } | Event::HandedOver { .. } | Event::ActorRestarted { .. } => self.changes.push(now),
            Event::Committed { took_ns, .. } if *took_ns > self.longest_ns => {
                self.longest_ns = *took_ns;
                self.commits.insert(now, *took_ns);
            }
            _ => {}
        }
    }

    /// Every denial for nothing.
    pub(super) fn judge(&self, scenario: &Scenario, history: &History) -> Vec<Violation> {
        let paced = scenario.limits.iter().filter_map(|limit| Some((limit, constant_pace(limit)?)));
        paced.flat_map(|(limit, pace)| self.judge_limit(scenario, limit, pace, history)).collect()
    }

    fn judge_limit(&self, scenario: &Scenario, limit: &Limit, pace: Pace, history: &History) -> Vec<Violation> {
        let name = limit.name.as_str();
        let mut buckets: BTreeMap<Option<u64>, Vec<(usize, &Operation)>> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if let Some(user) = bucket_of(name, operation) {
                buckets.entry(user).or_default().push((index, operation));
            }
        }
        let mut violations = Vec::new();
        for (user, operations) in buckets {
            let debts = debts(history, &operations);
            let denied = operations.iter().filter(|(_, operation)| is_denied_by(name, operation));
            let found = denied.into_iter().find_map(|(index, denied)| {
                let how = self.for_nothing(scenario, pace, denied, &operations, &debts)?;
                Some(format!("{name} of user {user:?} denied #{index} at {}, {how}", denied.sent))
            });
            violations.extend(found.map(|how| Violation { promise: "a failover costs what is stated", how }));
        }
        violations
    }

    /// Says how much room there was for a request that was denied, if there was enough.
    fn for_nothing(
        &self,
        scenario: &Scenario,
        pace: Pace,
        denied: &Operation,
        operations: &[(usize, &Operation)],
        debts: &BTreeMap<usize, (Ms, u64)>,
    ) -> Option<String> {
        let (received, _) = denied.verdict()?;
        let now_ns = denied.sent as i64 * MS_NS;
        let interval_ns = pace.interval_ns() + pace.interval_ns() * 2 * MAX_DRIFT / 1_000_000;
        let ahead_ns = scenario.horizon_lead.as_nanos() as i64 + COMMITS_A_GRANT * self.longest_ns;
        let spare = (pace.burst() / 10).max(1);
        let mut losses: Vec<(Ms, Loss)> = charges(denied, operations, debts, received, &self.changes);
        let changes = self.changes.iter().filter(|change| **change <= received);
        losses.extend(changes.map(|change| ((*change).min(denied.sent), Loss::Failover(spare))));
        losses.sort_unstable();
        let mut arrival_ns = i64::MIN / 2;
        for (at, loss) in losses {
            let at_ns = at as i64 * MS_NS;
            arrival_ns = match loss {
                Loss::Charge(units) => arrival_ns.max(at_ns) + units as i64 * interval_ns,
                Loss::Failover(spare) => arrival_ns.max(at_ns + ahead_ns) + spare as i64 * interval_ns,
            };
        }
        let Ask::Acquire { cost, .. } = denied.ask else { return None };
        let end_ns = arrival_ns.max(now_ns) + cost as i64 * interval_ns;
        let room_ns = pace.burst() as i64 * interval_ns - (end_ns - now_ns);
        (room_ns > 0).then(|| format!("{} ms after it had to pass", room_ns / MS_NS))
    }
}

/// What a bucket may have lost.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Loss {
    /// Units that somebody may have taken.
    Charge(u64),
    /// A leader began, and what another could have spent counts as spent: up to its horizon, and so many units of a ceiling.
    Failover(u64),
}

/// What may have been taken from the bucket before the denial was `told`: when at the latest, and how much.
fn charges(
    denied: &Operation,
    operations: &[(usize, &Operation)],
    debts: &BTreeMap<usize, (Ms, u64)>,
    told: Ms,
    changes: &[Ms],
) -> Vec<(Ms, Loss)> {
    let mut charges = Vec::new();
    for (index, operation) in operations {
        let Ask::Acquire { cost, patience, .. } = operation.ask else { continue };
        let until = match operation.verdict() {
            Some((received, verdict)) if verdict.allowed && !verdict.degraded => Some(received),
            // Something may have been taken, and given back, or not if a leader changed meanwhile.
            Some((received, verdict)) if !verdict.degraded && verdict.limits.len() > 1 => {
                let back = received + if operation.sent >= CALM { HELD_IN_CALM } else { HELD };
                let is_lost = changes.iter().any(|change| (operation.sent..=back).contains(change));
                (is_lost || back >= denied.sent).then_some(back)
            }
            Some((_, verdict)) if !verdict.degraded => None,
            _ => Some(operation.sent + patience + LATE),
        };
        if let Some(until) = until.filter(|_| operation.sent <= told) {
            charges.push((until.min(denied.sent), Loss::Charge(cost)));
        }
        charges.extend(debts.get(index).map(|(at, units)| ((*at).min(denied.sent), Loss::Charge(*units))));
    }
    charges
}

/// Of each of these operations that was settled for more than it took: until when that was charged, and how much.
fn debts(history: &History, operations: &[(usize, &Operation)]) -> BTreeMap<usize, (Ms, u64)> {
    let settled = history.operations.iter().filter_map(|operation| {
        let Ask::Settle { acquired, actual } = operation.ask else { return None };
        let until = match operation.answered {
            Some((received, Answer::Settled | Answer::SettledBefore)) => received,
            _ => operation.sent + LATE,
        };
        Some((acquired, until, actual))
    });
    let mut debts: BTreeMap<usize, (Ms, u64)> = BTreeMap::new();
    for (acquired, until, actual) in settled {
        let taken = operations.iter().find(|(index, _)| *index == acquired);
        let Some(Ask::Acquire { cost, .. }) = taken.map(|(_, operation)| &operation.ask) else { continue };
        let debt = debts.entry(acquired).or_default();
        *debt = (debt.0.max(until), debt.1.max(actual.saturating_sub(*cost)));
    }
    debts
}

/// The pace of a limit that has one, lets bursts pass, and is not changed.
fn constant_pace(limit: &Limit) -> Option<Pace> {
    match limit.algorithm {
        Algorithm::TokenBucket(pace) if limit.name.as_str() != "changing" => Some(pace),
        _ => None,
    }
}

/// The bucket of a limit that an operation asks, by its user where it has one.
fn bucket_of(name: &str, operation: &Operation) -> Option<Option<u64>> {
    let Ask::Acquire { endpoint, user, .. } = operation.ask else { return None };
    match name {
        "shared" => (endpoint == "both").then_some(None),
        "slow" => matches!(endpoint, "slow" | "both").then_some(Some(user)),
        _ => (endpoint == name).then_some(Some(user)),
    }
}

fn is_denied_by(name: &str, operation: &Operation) -> bool {
    let is_denied = |told: &crate::history::Told| {
        !told.degraded && told.limits.iter().any(|limit| limit.name == name && !limit.allowed)
    };
    operation.verdict().is_some_and(|(_, told)| is_denied(told))
}
