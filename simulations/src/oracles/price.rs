//! What a failover costs is no more than is stated: every bucket loses at most a horizon's lead of refill and what its ceiling was ahead
//! (DESIGN §2), and without a failover nothing is lost at all.
//!
//! Each answer is looked at. Every request before it that may have been decided counts as charged, as late as it can have been, at each
//! change of leaders the bucket loses all that it can have been granted, and nothing comes back. If a request would fit even so, and was
//! denied, or if fewer units are said to remain than do even so, something was lost for nothing.

use std::collections::BTreeMap;

use tollgate_cluster::Event;
use tollgate_limiter::{Algorithm, Limit, Pace};

use super::Violation;
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::{FAULTS_UNTIL, Scenario, bucket_user};
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
    /// When a leader first did not know how much time had passed: from then on a clock is late, by how much nobody knows.
    late: Option<Ms>,
    longest_ns: i64,
}

impl Price {
    /// A node told of something.
    pub(super) fn hear(&mut self, event: &Event, now: Ms) {
        match event {
            Event::TookOver { .. } | Event::HandedOver { .. } | Event::ActorRestarted { .. } => self.changes.push(now),
            Event::ClockLate { .. } => {
                self.late.get_or_insert(now);
            }
            Event::Committed { took_ns, .. } if *took_ns > self.longest_ns => {
                self.longest_ns = *took_ns;
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
            if let Some(user) = bucket_of(limit, operation) {
                buckets.entry(user).or_default().push((index, operation));
            }
        }
        let mut violations = Vec::new();
        for (user, operations) in buckets {
            let losses = self.losses(scenario, pace, &operations, &debts(history, &operations));
            let is_judged = |operation: &Operation| {
                self.late.is_none_or(|late| operation.verdict().is_some_and(|(received, _)| received < late))
            };
            let found =
                operations.iter().filter(|(_, operation)| is_judged(operation)).find_map(|(index, operation)| {
                    let how = losses.lost_for_nothing(name, operation)?;
                    Some(format!("{name} of user {user:?} told #{index}, of {}, {how}", operation.sent))
                });
            violations.extend(found.map(|how| Violation { promise: "a failover costs what is stated", how }));
        }
        violations
    }

    /// All that a bucket may have lost.
    fn losses(
        &self,
        scenario: &Scenario,
        pace: Pace,
        operations: &[(usize, &Operation)],
        debts: &BTreeMap<usize, Charge>,
    ) -> Losses {
        let charges = operations.iter().filter_map(|(_, operation)| self.charge(operation));
        let charges: Vec<Charge> = charges.chain(debts.values().copied()).collect();
        Losses::new(
            Bucket {
                interval_ns: pace.interval_ns() + pace.interval_ns() * 2 * MAX_DRIFT / 1_000_000,
                burst: pace.burst() as i64,
                ahead_ns: scenario.horizon_lead.as_nanos() as i64 + COMMITS_A_GRANT * self.longest_ns,
                spare: (pace.burst() / 10).max(1) as i64,
            },
            &charges,
            &self.changes,
        )
    }

    /// What an operation may have taken from the bucket; `None` if nothing.
    fn charge(&self, operation: &Operation) -> Option<Charge> {
        let Ask::Acquire { cost, patience, .. } = operation.ask else { return None };
        let (until, comes_back) = match operation.verdict() {
            Some((received, verdict)) if verdict.allowed && !verdict.degraded => (received, false),
            // Something may have been taken, and given back, or not if a leader changed meanwhile.
            Some((received, verdict)) if !verdict.degraded && verdict.limits.len() > 1 => {
                let back = received + if operation.sent >= CALM { HELD_IN_CALM } else { HELD };
                (back, !self.changes.iter().any(|change| (operation.sent..=back).contains(change)))
            }
            Some((_, verdict)) if !verdict.degraded => return None,
            _ => (operation.sent + patience + LATE, false),
        };
        Some(Charge { from: operation.sent, until, units: cost as i64, comes_back })
    }
}

/// Units that somebody may have taken.
#[derive(Clone, Copy, Debug)]
struct Charge {
    /// When they were taken at the earliest, and at the latest.
    from: Ms,
    until: Ms,
    units: i64,
    /// Whether they have come back by then.
    comes_back: bool,
}

/// What is stated of a bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    interval_ns: i64,
    burst: i64,
    /// A leader that begins counts as spent what another could have: so far ahead of its time, and so many units of a ceiling.
    ahead_ns: i64,
    spare: i64,
}

impl Bucket {
    fn charged(&self, arrival_ns: i64, at: Ms, units: i64) -> i64 {
        arrival_ns.max(at as i64 * MS_NS) + units * self.interval_ns
    }

    fn failed_over(&self, arrival_ns: i64, at: Ms) -> i64 {
        arrival_ns.max(at as i64 * MS_NS + self.ahead_ns) + self.spare * self.interval_ns
    }
}

/// All that a bucket may have lost, so arranged that what it may have lost before a request is found without looking at all of it.
#[derive(Debug)]
struct Losses {
    bucket: Bucket,
    /// What counts as taken by when, one after the other: how far the bucket's arrival is from then on.
    arrivals: Vec<(Ms, i64)>,
    /// Of all charges: how many units could have been taken by when.
    begun: Vec<(Ms, i64)>,
    /// Of all charges: how many units could not be taken any more from when on.
    over: Vec<(Ms, i64)>,
    changes: Vec<Ms>,
}

impl Losses {
    fn new(bucket: Bucket, charges: &[Charge], changes: &[Ms]) -> Self {
        let mut taken: Vec<(Ms, Option<i64>)> = changes.iter().map(|at| (*at, None)).collect();
        let lasting = charges.iter().filter(|charge| !charge.comes_back);
        taken.extend(lasting.map(|charge| (charge.until, Some(charge.units))));
        taken.sort_unstable_by_key(|(at, units)| (*at, units.is_none()));
        let arrival = |arrival_ns: &mut i64, (at, units): (Ms, Option<i64>)| {
            *arrival_ns = match units {
                Some(units) => bucket.charged(*arrival_ns, at, units),
                None => bucket.failed_over(*arrival_ns, at),
            };
            Some((at, *arrival_ns))
        };
        let arrivals = taken.into_iter().scan(i64::MIN / 2, arrival).collect();
        let begun = running_sums(charges.iter().map(|charge| (charge.from, charge.units)));
        let over = running_sums(charges.iter().map(|charge| (charge.until, charge.units)));
        Self { bucket, arrivals, begun, over, changes: changes.to_vec() }
    }

    /// Says what was lost for nothing, if the answer to a request tells of it.
    fn lost_for_nothing(&self, name: &str, operation: &Operation) -> Option<String> {
        let Ask::Acquire { cost, .. } = operation.ask else { return None };
        let (received, told) = operation.verdict().filter(|(_, told)| !told.degraded)?;
        let limit = told.limits.iter().find(|limit| limit.name == name)?;
        let room_ns = self.room_ns(operation.sent, received);
        if told.allowed {
            let remaining = room_ns / self.bucket.interval_ns;
            return (remaining > limit.remaining as i64)
                .then(|| format!("that {} units remained, and there were {remaining}", limit.remaining));
        }
        let spare_ns = room_ns - cost as i64 * self.bucket.interval_ns;
        (!limit.allowed && spare_ns > 0).then(|| format!("no, {} ms after it had to pass", spare_ns / MS_NS))
    }

    /// How much room there was for a request, at the least, in nanoseconds of refill. What may have been taken before it was told is
    /// taken before it asked.
    fn room_ns(&self, sent: Ms, told: Ms) -> i64 {
        let before = latest_before(&self.arrivals, sent).unwrap_or(i64::MIN / 2);
        let begun = latest_before(&self.begun, told + 1).unwrap_or(0);
        let over = latest_before(&self.over, sent).unwrap_or(0);
        let charged = self.bucket.charged(before, sent, begun - over);
        let changes = self.changes.iter().filter(|change| (sent..=told).contains(*change));
        let arrival_ns = changes.fold(charged, |arrival_ns, _| self.bucket.failed_over(arrival_ns, sent));
        self.bucket.burst * self.bucket.interval_ns - (arrival_ns - sent as i64 * MS_NS)
    }
}

/// Each time with the sum of all that is of it or of an earlier one.
fn running_sums(amounts: impl Iterator<Item = (Ms, i64)>) -> Vec<(Ms, i64)> {
    let mut amounts: Vec<(Ms, i64)> = amounts.collect();
    amounts.sort_unstable();
    let sum = |sum: &mut i64, (at, amount): (Ms, i64)| {
        *sum += amount;
        Some((at, *sum))
    };
    amounts.into_iter().scan(0, sum).collect()
}

/// The last of the values, which are in the order of their times, whose time is before this one.
fn latest_before(values: &[(Ms, i64)], time: Ms) -> Option<i64> {
    let count = values.partition_point(|(at, _)| *at < time);
    values.get(count.checked_sub(1)?).map(|(_, value)| *value)
}

/// Of each of these operations that was settled for more than it took: what was charged for that.
fn debts(history: &History, operations: &[(usize, &Operation)]) -> BTreeMap<usize, Charge> {
    let costs: BTreeMap<usize, u64> = operations
        .iter()
        .filter_map(|(index, operation)| match operation.ask {
            Ask::Acquire { cost, .. } => Some((*index, cost)),
            _ => None,
        })
        .collect();
    let mut debts: BTreeMap<usize, Charge> = BTreeMap::new();
    for operation in &history.operations {
        let Ask::Settle { acquired, actual } = operation.ask else { continue };
        let Some(cost) = costs.get(&acquired) else { continue };
        let until = match operation.answered {
            Some((received, Answer::Settled | Answer::SettledBefore)) => received,
            _ => operation.sent + LATE,
        };
        let units = actual.saturating_sub(*cost) as i64;
        let none = Charge { from: operation.sent, until, units, comes_back: false };
        let debt = debts.entry(acquired).or_insert(none);
        (debt.until, debt.units) = (debt.until.max(until), debt.units.max(units));
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
fn bucket_of(limit: &Limit, operation: &Operation) -> Option<Option<u64>> {
    let Ask::Acquire { endpoint, user, .. } = operation.ask else { return None };
    let meets = limit.selectors.iter().flat_map(|selector| &selector.any_of).any(|pattern| pattern.matches(endpoint));
    meets.then(|| bucket_user(limit, user))
}
