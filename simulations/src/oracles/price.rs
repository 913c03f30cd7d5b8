//! What a failover costs is no more than is stated: every bucket loses at most a horizon's lead of refill and what its ceiling was ahead
//! (DESIGN §2), and without a failover nothing is lost at all.
//!
//! Each answer is looked at. Every request before it that may have been decided counts as charged, as late as it can have been, at each
//! change of leaders the bucket loses all that it can have been granted, and nothing comes back. If a request would fit even so, and was
//! denied, or if fewer units are said to remain than do even so, something was lost for nothing.

use tollgate_limiter::{Algorithm, Limit, Pace};

use super::Violation;
use super::charges::{Bucket, Charge, Leaders};
use crate::history::{Ask, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::Scenario;
use crate::swarm::MAX_DRIFT;

/// How many commits a ceiling is granted ahead for.
const COMMITS_A_GRANT: i64 = 20;

/// Everything that was lost for nothing.
pub(super) fn judge(scenario: &Scenario, buckets: &[Bucket<'_>], leaders: &Leaders) -> Vec<Violation> {
    let paced = buckets.iter().filter_map(|bucket| Some((bucket, constant_pace(bucket.limit)?)));
    paced.filter_map(|(bucket, pace)| judge_bucket(scenario, bucket, pace, leaders)).collect()
}

fn judge_bucket(scenario: &Scenario, bucket: &Bucket<'_>, pace: Pace, leaders: &Leaders) -> Option<Violation> {
    let (name, user) = (bucket.limit.name.as_str(), bucket.user);
    let price = Price {
        interval_ns: pace.interval_ns() + pace.interval_ns() * 2 * MAX_DRIFT / 1_000_000,
        burst: pace.burst() as i64,
        ahead_ns: scenario.horizon_lead.as_nanos() as i64 + COMMITS_A_GRANT * leaders.commit_ns,
        spare: (pace.burst() / 10).max(1) as i64,
    };
    let losses = Losses::new(price, &bucket.charges, leaders);
    let is_judged =
        |operation: &Operation| operation.verdict().is_some_and(|(received, _)| leaders.knew_the_time(received));
    let judged = bucket.operations.iter().filter(|(_, operation)| is_judged(operation));
    let how = judged.into_iter().find_map(|(index, operation)| {
        let how = losses.lost_for_nothing(name, operation)?;
        Some(format!("{name} of user {user:?} told #{index}, of {}, {how}", operation.sent))
    });
    how.map(|how| Violation { promise: "a failover costs what is stated", how })
}

/// What is stated of a bucket.
#[derive(Clone, Copy, Debug)]
struct Price {
    interval_ns: i64,
    burst: i64,
    /// A leader that begins counts as spent what another could have: so far ahead of its time, and so many units of a ceiling.
    ahead_ns: i64,
    spare: i64,
}

impl Price {
    fn charged(&self, arrival_ns: i64, at: Ms, units: i64) -> i64 {
        arrival_ns.max(at as i64 * MS_NS) + units * self.interval_ns
    }

    fn failed_over(&self, arrival_ns: i64, at: Ms) -> i64 {
        arrival_ns.max(at as i64 * MS_NS + self.ahead_ns) + self.spare * self.interval_ns
    }
}

/// All that a bucket may have lost, so arranged that what it may have lost before a request is found without looking at all of it.
struct Losses<'a> {
    price: Price,
    /// What counts as taken by when, one after the other: how far the bucket's arrival is from then on.
    arrivals: Vec<(Ms, i64)>,
    /// Of all charges: how many units could have been taken by when.
    begun: Vec<(Ms, i64)>,
    /// Of all charges: how many units could not be taken any more from when on.
    over: Vec<(Ms, i64)>,
    leaders: &'a Leaders,
}

impl<'a> Losses<'a> {
    fn new(price: Price, charges: &[Charge], leaders: &'a Leaders) -> Self {
        let mut taken: Vec<(Ms, Option<i64>)> = leaders.changes().iter().map(|at| (*at, None)).collect();
        let lasting = charges.iter().filter(|charge| !charge.comes_back);
        taken.extend(lasting.map(|charge| (charge.until, Some(charge.units))));
        taken.sort_unstable_by_key(|(at, units)| (*at, units.is_none()));
        let arrival = |arrival_ns: &mut i64, (at, units): (Ms, Option<i64>)| {
            *arrival_ns = match units {
                Some(units) => price.charged(*arrival_ns, at, units),
                None => price.failed_over(*arrival_ns, at),
            };
            Some((at, *arrival_ns))
        };
        let arrivals = taken.into_iter().scan(i64::MIN / 2, arrival).collect();
        let begun = running_sums(charges.iter().map(|charge| (charge.from, charge.units)));
        let over = running_sums(charges.iter().map(|charge| (charge.until, charge.units)));
        Self { price, arrivals, begun, over, leaders }
    }

    /// Says what was lost for nothing, if the answer to a request tells of it.
    fn lost_for_nothing(&self, name: &str, operation: &Operation) -> Option<String> {
        let Ask::Acquire { cost, .. } = operation.ask else { return None };
        let (received, told) = operation.verdict().filter(|(_, told)| !told.degraded)?;
        let limit = told.limits.iter().find(|limit| limit.name == name)?;
        let room_ns = self.room_ns(operation.sent, received);
        if told.allowed {
            let remaining = room_ns / self.price.interval_ns;
            return (remaining > limit.remaining as i64)
                .then(|| format!("that {} units remained, and there were {remaining}", limit.remaining));
        }
        let spare_ns = room_ns - cost as i64 * self.price.interval_ns;
        (!limit.allowed && spare_ns > 0).then(|| format!("no, {} ms after it had to pass", spare_ns / MS_NS))
    }

    /// How much room there was for a request, at the least, in nanoseconds of refill. What may have been taken before it was told is
    /// taken before it asked.
    fn room_ns(&self, sent: Ms, told: Ms) -> i64 {
        let before = latest_before(&self.arrivals, sent).unwrap_or(i64::MIN / 2);
        let begun = latest_before(&self.begun, told + 1).unwrap_or(0);
        let over = latest_before(&self.over, sent).unwrap_or(0);
        let charged = self.price.charged(before, sent, begun - over);
        let changes = self.leaders.changes_within(sent, told);
        let arrival_ns = changes.iter().fold(charged, |arrival_ns, _| self.price.failed_over(arrival_ns, sent));
        self.price.burst * self.price.interval_ns - (arrival_ns - sent as i64 * MS_NS)
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

/// The pace of a limit that has one, lets bursts pass, and is not changed.
fn constant_pace(limit: &Limit) -> Option<Pace> {
    match limit.algorithm {
        Algorithm::TokenBucket(pace) if limit.name.as_str() != "changing" => Some(pace),
        _ => None,
    }
}
