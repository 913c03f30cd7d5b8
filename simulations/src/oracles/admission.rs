//! For every bucket and every window of time: admitted ≤ burst + rate × time.
//!
//! A decision was made at an unknown instant between the request and its answer. So of a window exactly those requests were certainly
//! decided within it that were sent in it and answered in it; others are not counted, nor is what was not answered. What was settled
//! for less is counted for what it was settled for, from when the settlement was asked for: it may have been given back by then. What was
//! settled for more is charged by when that was told, and counts in every window with a request that was sent later, while no leader
//! changes.
//!
//! A limit whose consistency is eventual may admit more when a leader is lost: of such, times without a change of leaders are judged.
//!
//! A limit that changes is accounted for by the most that it can have allowed: the greatest burst of all versions that may have held
//! within the window, and at each instant the greatest rate. Nodes' clocks may run fast by `d` and slow by `d`: then what refills in a
//! span is at most `(1 + d) / (1 − d)` of what would.

use std::collections::BTreeMap;

use tollgate_limiter::{Algorithm, Consistency};

use super::Violation;
use super::charges::{DEPOSED_KNOWS, Leaders};
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::{self, Scenario, bucket_user};
use crate::swarm::MAX_DRIFT;

/// What a unit is counted in where parts of it count.
const BILLIONTHS: u128 = 1_000_000_000;

/// Something that was taken from a bucket.
#[derive(Clone, Copy, Debug)]
struct Taken {
    sent: Ms,
    received: Ms,
    units: u64,
    /// What may have come back of it, and from when.
    returned: Option<(Ms, u64)>,
}

/// Units that were charged, whether or not they fitted.
#[derive(Clone, Copy, Debug)]
struct Debt {
    sent: Ms,
    received: Ms,
    units: u64,
}

/// A bucket: its limit, and its user where it has one.
type Bucket = (String, Option<u64>);

/// A window in which too much was admitted.
struct Excess {
    from: Ms,
    until: Ms,
    admitted: u64,
    allowed: u64,
}

/// Every bucket whose promise was broken.
pub(super) fn judge(scenario: &Scenario, history: &History, leaders: &Leaders) -> Vec<Violation> {
    let versions = Versions::of(history);
    let debts = debts(scenario, history);
    let mut violations = Vec::new();
    for ((name, user), mut taken) in taken(scenario, history) {
        let debts = debts.get(&(name.clone(), user)).map_or(&[][..], Vec::as_slice);
        taken.sort_by_key(|taken| (taken.received, taken.sent));
        let limit = scenario.limit(&name);
        let excess = match limit.algorithm {
            Algorithm::TokenBucket(_) if name == "changing" => paced(&taken, &[], &versions, leaders),
            Algorithm::TokenBucket(pace) if limit.consistency == Consistency::Eventual => {
                let steady = steady(&taken, leaders);
                steady.into_iter().find_map(|taken| paced(&taken, &[], &Versions::one(pace), leaders))
            }
            Algorithm::TokenBucket(pace) | Algorithm::LeakyBucket(pace) => {
                paced(&taken, debts, &Versions::one(pace), leaders)
            }
            Algorithm::SlidingWindow(quota) => windowed(&taken, quota.units(), quota.window_ns(), 0),
            Algorithm::FixedWindow(quota, _) => windowed(&taken, quota.units(), quota.window_ns(), 1),
            Algorithm::Concurrency { permits, ttl_ns } => permitted(&taken, permits, ttl_ns),
        };
        if let Some(excess) = excess {
            let Excess { from, until, admitted, allowed } = excess;
            let how = format!("{name} of user {user:?} admitted {admitted} of {allowed} from {from} to {until}");
            violations.push(Violation { promise: "never more than the limit", how });
        }
    }
    violations
}

/// What was taken while nobody led but whom all know: in each time without a change of leaders, from when on the one before knows.
fn steady(taken: &[Taken], leaders: &Leaders) -> Vec<Vec<Taken>> {
    let begins = [0].into_iter().chain(leaders.changes().iter().map(|change| change + DEPOSED_KNOWS));
    let ends = leaders.changes().iter().copied().chain([Ms::MAX]);
    let within = |(from, until): (Ms, Ms)| {
        taken.iter().filter(|taken| taken.sent >= from && taken.received < until).copied().collect()
    };
    begins.zip(ends).map(within).collect()
}

/// What was certainly taken, by bucket.
fn taken(scenario: &Scenario, history: &History) -> BTreeMap<Bucket, Vec<Taken>> {
    let returns = returns(history);
    let mut taken: BTreeMap<Bucket, Vec<Taken>> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let (Ask::Acquire { user, cost, .. }, Some((received, told))) = (&operation.ask, operation.verdict()) else {
            continue;
        };
        if !told.allowed || told.degraded {
            continue;
        }
        for limit in &told.limits {
            let bucket = (limit.name.clone(), bucket_user(scenario.limit(&limit.name), *user));
            let returned = returns.get(&index).copied();
            taken.entry(bucket).or_default().push(Taken { sent: operation.sent, received, units: *cost, returned });
        }
    }
    taken
}

/// What was certainly charged for reservations that were settled for more, by bucket.
fn debts(scenario: &Scenario, history: &History) -> BTreeMap<Bucket, Vec<Debt>> {
    let mut debts: BTreeMap<Bucket, Vec<Debt>> = BTreeMap::new();
    for Operation { sent, ask, answered, .. } in &history.operations {
        let (Ask::Settle { acquired, actual }, Some((received, Answer::Settled))) = (ask, answered) else { continue };
        let reserved = &history.operations[*acquired];
        let (Ask::Acquire { user, cost, .. }, Some((_, told))) = (&reserved.ask, reserved.verdict()) else { continue };
        let units = actual.saturating_sub(*cost);
        for limit in told.limits.iter().filter(|_| units > 0 && !told.degraded) {
            let bucket = (limit.name.clone(), bucket_user(scenario.limit(&limit.name), *user));
            debts.entry(bucket).or_default().push(Debt { sent: *sent, received: *received, units });
        }
    }
    debts
}

/// Of each operation that was settled: from when, and how much of it may have come back at most.
fn returns(history: &History) -> BTreeMap<usize, (Ms, u64)> {
    let mut returns: BTreeMap<usize, (Ms, u64)> = BTreeMap::new();
    for Operation { sent, ask, .. } in &history.operations {
        let Ask::Settle { acquired, actual } = ask else { continue };
        let Ask::Acquire { cost, .. } = history.operations[*acquired].ask else { continue };
        let back = cost.saturating_sub(*actual);
        let entry = returns.entry(*acquired).or_insert((*sent, back));
        *entry = (entry.0.min(*sent), entry.1.max(back));
    }
    returns
}

/// What may have held when, of a limit of which there are several versions.
struct Versions(Vec<Version>);

#[derive(Clone, Copy)]
struct Version {
    from: Ms,
    until: Ms,
    burst: u64,
    /// Units, and the nanoseconds in which so many come back.
    rate: (u64, i64),
}

impl Versions {
    fn one(pace: tollgate_limiter::Pace) -> Self {
        Self(vec![Version { from: 0, until: Ms::MAX, burst: pace.burst(), rate: (pace.rate(), pace.per_ns()) }])
    }

    /// Of the limit `changing`: a version may hold from when it was asked for until a later one, asked for after this one's answer, is
    /// answered.
    fn of(history: &History) -> Self {
        let asked = |operation: &Operation| match (&operation.ask, &operation.answered) {
            (Ask::Change { version }, Some((received, Answer::Changed))) => Some((*version, operation.sent, *received)),
            (Ask::Change { version }, _) => Some((*version, operation.sent, Ms::MAX)),
            _ => None,
        };
        let mut changes: Vec<(u64, Ms, Ms)> = history.operations.iter().filter_map(asked).collect();
        changes.insert(0, (0, 0, 0));
        let version = |(version, sent, received): &(u64, Ms, Ms)| {
            let ends =
                changes.iter().filter(|(other, ..)| other != version).filter(|(_, later, _)| *later >= *received);
            let until = ends.map(|(.., answered)| *answered).min().unwrap_or(Ms::MAX);
            let Algorithm::TokenBucket(pace) = scenario::changing(*version).algorithm else {
                unreachable!("it is paced")
            };
            Version { from: *sent, until, burst: pace.burst(), rate: (pace.rate(), pace.per_ns()) }
        };
        Self(changes.iter().map(version).collect())
    }

    /// The most that may be admitted from `from` to `until`: the greatest burst, and at each instant the greatest rate.
    fn allowed(&self, from: Ms, until: Ms) -> u64 {
        let holding = || self.0.iter().filter(|version| version.from <= until && version.until >= from);
        let burst = holding().map(|version| version.burst).max().unwrap_or(0);
        let mut bounds: Vec<Ms> = holding().flat_map(|version| [version.from, version.until]).collect();
        bounds.extend([from, until]);
        bounds.retain(|bound| (from..=until).contains(bound));
        bounds.sort_unstable();
        let refilled: u128 = bounds.windows(2).map(|span| self.refilled(span[0], span[1])).sum();
        let (fast, slow) = ((1_000_000 + MAX_DRIFT) as u128, (1_000_000 - MAX_DRIFT) as u128);
        burst + (refilled * fast / slow / BILLIONTHS) as u64
    }

    /// What the fastest version refills in a span in which no version begins or ends, in billionths of a unit.
    fn refilled(&self, from: Ms, until: Ms) -> u128 {
        let holding = self.0.iter().filter(|version| version.from <= from && version.until >= until);
        let span_ns = u128::from(until - from) * MS_NS.unsigned_abs() as u128;
        let refilled = |(units, per_ns): (u64, i64)| span_ns * u128::from(units) * BILLIONTHS / per_ns as u128;
        holding.map(|version| refilled(version.rate)).max().unwrap_or(0)
    }
}

/// The first window in which a paced limit admitted too much.
fn paced(taken: &[Taken], debts: &[Debt], versions: &Versions, leaders: &Leaders) -> Option<Excess> {
    windows(taken).find_map(|Window { from, until, asked, admitted }| {
        let allowed = versions.allowed(from, until);
        // Whatever was decided last was decided after this one was asked for. But a leader that was deposed, and does not know it, knows
        // of no debt since.
        let is_charged = |debt: &&Debt| debt.sent >= from && debt.received <= asked;
        let is_known = !leaders.changed(from.saturating_sub(DEPOSED_KNOWS), until);
        let charged = debts.iter().filter(|debt| is_known && is_charged(debt));
        let admitted = admitted + charged.map(|debt| debt.units).sum::<u64>();
        (admitted > allowed).then_some(Excess { from, until, admitted, allowed })
    })
}

/// The first window shorter than the limit's in which it admitted too much; `cuts` is by how many quotas more than one.
fn windowed(taken: &[Taken], quota: u64, length_ns: i64, cuts: u64) -> Option<Excess> {
    let length = (length_ns / MS_NS * (1_000_000 - MAX_DRIFT) / (1_000_000 + MAX_DRIFT)) as u64;
    let allowed = quota * (1 + cuts);
    let short = windows(taken).filter(|window| window.until - window.from < length);
    let mut excess = short.filter(|window| window.admitted > allowed);
    excess.next().map(|Window { from, until, admitted, .. }| Excess { from, until, admitted, allowed })
}

/// A window that begins when a request was sent and ends when one was answered.
struct Window {
    from: Ms,
    until: Ms,
    /// When that was sent that was answered in the end.
    asked: Ms,
    /// What was certainly admitted.
    admitted: u64,
}

/// Every window.
fn windows(taken: &[Taken]) -> impl Iterator<Item = Window> {
    taken.iter().flat_map(move |first| {
        let from = first.sent;
        let within = taken.iter().filter(move |taken| taken.sent >= from);
        let (mut admitted, mut returned) = (0, 0);
        let mut returns: BTreeMap<Ms, u64> = BTreeMap::new();
        within.map(move |taken| {
            admitted += taken.units;
            if let Some((at, units)) = taken.returned {
                *returns.entry(at).or_default() += units;
            }
            while let Some(entry) = returns.first_entry().filter(|entry| *entry.key() <= taken.received) {
                returned += entry.remove();
            }
            let Taken { sent: asked, received: until, .. } = *taken;
            Window { from, until, asked, admitted: admitted.saturating_sub(returned) }
        })
    })
}

/// The first instant at which more permits were out than there are.
fn permitted(taken: &[Taken], permits: u64, ttl_ns: i64) -> Option<Excess> {
    let ttl = (ttl_ns / MS_NS * 1_000_000 / (1_000_000 + MAX_DRIFT)) as u64;
    let held_until = |taken: &Taken| taken.returned.map_or(Ms::MAX, |(at, _)| at).min(taken.sent + ttl);
    taken.iter().find_map(|last| {
        let at = last.received;
        let out = taken.iter().filter(|taken| taken.received <= at && held_until(taken) > at);
        let admitted = out.map(|taken| taken.units).sum();
        (admitted > permits).then_some(Excess { from: at, until: at, admitted, allowed: permits })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_limit_that_changed_each_version_counts_for_as_long_as_it_may_have_held() {
        let second = 1_000;
        let version = |from, until, burst, units| Version { from, until, burst, rate: (units, 1_000 * MS_NS) };
        let versions = Versions(vec![version(0, 2 * second, 5, 10), version(second, Ms::MAX, 7, 40)]);
        let cases = [
            ("the first", 0, second / 2, 5 + 5),
            ("the first, and both", 0, 2 * second, 7 + 10 + 40),
            ("all", 0, 3 * second, 7 + 10 + 40 + 40),
            ("the last", 2 * second + 1, 3 * second + 1, 7 + 40),
            ("an instant", second, second, 7),
        ];
        for (claim, from, until, expected) in cases {
            assert_eq!(versions.allowed(from, until), expected, "{claim}");
        }
    }
}
