//! What the leader has spent of one limit's buckets.

use super::refunds::Refunds;
use super::wanted::Want;
use super::{Bucket, LeaderOptions, paced, windowed};
use crate::state::{LimitState, pace_of};
use crate::window::{SliceGrant, WindowRule, WindowUse};
use crate::{Algorithm, Grants, Key, LimitId, Pace, Receipt, ShardTime, SpentAt, Table};

/// The buckets of one limit, beside the algorithm that their figures are of. A bucket that is missing stands where
/// [`LimitState`] says that it starts: at all that was ever granted.
#[derive(Debug)]
pub(super) enum Spending {
    /// Each bucket's arrival, and what was given back.
    Paced(Algorithm, Table<ShardTime>, Refunds),
    /// What each bucket has spent, slice by slice.
    Windowed(Algorithm, Table<WindowUse>),
    /// Permits stand in the replicated state only.
    Permitted,
}

impl Spending {
    pub(super) fn new(limit: &LimitState) -> Self {
        match limit.algorithm {
            Algorithm::TokenBucket(_) | Algorithm::LeakyBucket(_) => {
                Self::Paced(limit.algorithm, Table::default(), Refunds::default())
            }
            Algorithm::SlidingWindow(_) | Algorithm::FixedWindow(..) => {
                Self::Windowed(limit.algorithm, Table::default())
            }
            Algorithm::Concurrency { .. } => Self::Permitted,
        }
    }

    /// The same spending under the limit's new algorithm.
    pub(super) fn reshaped(self, limit: &LimitState) -> Self {
        let new = limit.algorithm;
        match self {
            Self::Paced(old, mut arrivals, refunds) => {
                let (Some(old), Some(pace)) = (pace_of(&old), pace_of(&new)) else { return Self::new(limit) };
                let rescaled = |arrival| old.rescaled(arrival, limit.changed, pace);
                arrivals.iter_mut().for_each(|(_, arrival)| *arrival = rescaled(*arrival));
                // Receipts of another pace are void, and their ends mean something else.
                let refunds = if old == pace { refunds } else { Refunds::default() };
                Self::Paced(new, arrivals, refunds)
            }
            Self::Windowed(old, uses) => match (WindowRule::of(&old), WindowRule::of(&new)) {
                (Some(old), Some(rule)) if old.cuts_like(rule) => Self::Windowed(new, uses),
                // Other slices: each bucket starts from its grants, which the state has moved to the new ones.
                _ => Self::new(limit),
            },
            Self::Permitted => Self::new(limit),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Paced(_, arrivals, _) => arrivals.len(),
            Self::Windowed(_, uses) => uses.len(),
            Self::Permitted => 0,
        }
    }

    /// Bytes that the buckets take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Paced(_, arrivals, _) => arrivals.bytes(),
            Self::Windowed(_, uses) => uses.bytes(),
            Self::Permitted => 0,
        }
    }

    /// Reads where the bucket would lie.
    pub(super) fn touch(&self, key: Key) -> u64 {
        match self {
            Self::Paced(_, arrivals, _) => arrivals.touch(key),
            Self::Windowed(_, uses) => uses.touch(key),
            Self::Permitted => 0,
        }
    }

    /// Gives back `units`, as far as they have not refilled, and returns how many that were.
    pub(super) fn give_back(&mut self, granted: &LimitState, receipt: &Receipt, units: u64, now: ShardTime) -> u64 {
        match (self, receipt.spent) {
            (Self::Paced(algorithm, arrivals, refunds), SpentAt::Interval { end: named }) => {
                let Some(pace) = pace_of(algorithm) else { return 0 };
                let arrival = arrivals.get(receipt.key).copied().unwrap_or_else(|| granted.start(receipt.key));
                let end = refunds.end_now(receipt.key, named);
                let lowered = pace.refunded(arrival, end, units, now);
                if lowered != arrival {
                    refunds.note(receipt.key, named, arrival, arrival.since(lowered));
                    arrivals.insert(receipt.key, lowered);
                }
                (arrival.since(lowered) / pace.interval_ns()).unsigned_abs()
            }
            (Self::Windowed(_, uses), SpentAt::Slice { start }) => {
                uses.get_mut(receipt.key).map_or(0, |used| used.give_back(start, units))
            }
            _ => 0,
        }
    }

    pub(super) fn charge_debt(&mut self, granted: &LimitState, key: Key, units: u64, now: ShardTime) {
        match self {
            Self::Paced(algorithm, arrivals, _) => {
                let Some(pace) = pace_of(algorithm) else { return };
                let arrival = arrivals.get_or_insert_with(key, || granted.start(key));
                *arrival = pace.end(*arrival, now, units);
            }
            Self::Windowed(algorithm, uses) => {
                let Some(rule) = WindowRule::of(algorithm) else { return };
                let used = uses.get_or_insert_with(key, || WindowUse::from_grants(granted.slices(key)));
                used.spend(rule, units, now);
            }
            Self::Permitted => {}
        }
    }

    pub(super) fn reset(&mut self, key: Key) {
        match self {
            Self::Paced(_, arrivals, refunds) => {
                arrivals.insert(key, ShardTime::MIN);
                refunds.reset(key);
            }
            Self::Windowed(_, uses) => {
                uses.insert(key, WindowUse::default());
            }
            Self::Permitted => {}
        }
    }

    /// Looks at about `keys` buckets and forgets those that would come back as they are. Where a right is in flight, or
    /// granted and not used, it would come back as spent. Returns those of which the ceiling is to be trimmed first.
    pub(super) fn forget(
        &mut self,
        granted: &LimitState,
        options: &LeaderOptions,
        now: ShardTime,
        keys: usize,
        is_in_flight: impl Fn(Key) -> bool,
    ) -> Vec<Key> {
        let mut trimmable = Vec::new();
        match self {
            Self::Paced(algorithm, arrivals, refunds) => {
                let Some(pace) = pace_of(algorithm) else { return trimmable };
                arrivals.sweep(keys, |key, arrival| {
                    let is_spare = paced::is_spare(*arrival, granted.start(key), now) && !is_in_flight(key);
                    if !is_spare && is_trimmable(pace, *arrival, granted, key, options) {
                        trimmable.push(key);
                    }
                    is_spare
                });
                refunds.forget(now, keys);
            }
            Self::Windowed(algorithm, uses) => {
                let Some(rule) = WindowRule::of(algorithm) else { return trimmable };
                uses.sweep(keys, |key, used| {
                    used.prune(rule, now);
                    let counts = |slice: &SliceGrant| rule.grant_counts_until(slice.end) > now;
                    used.is_empty() && !granted.slices(key).iter().any(counts) && !is_in_flight(key)
                });
            }
            Self::Permitted => {}
        }
        trimmable
    }

    /// The ceiling that ends where the bucket's spending does, if it is still to be trimmed.
    pub(super) fn trimmed_ceiling(&self, granted: &LimitState, key: Key, options: &LeaderOptions) -> Option<ShardTime> {
        let Self::Paced(algorithm, arrivals, _) = self else { return None };
        let pace = pace_of(algorithm)?;
        arrivals.get(key).copied().filter(|arrival| is_trimmable(pace, *arrival, granted, key, options))
    }

    /// Forgets a bucket if it would come back as it is.
    pub(super) fn forget_if_spare(&mut self, granted: &LimitState, key: Key, now: ShardTime) {
        match self {
            Self::Paced(_, arrivals, _) => {
                if arrivals.get(key).is_some_and(|arrival| paced::is_spare(*arrival, granted.start(key), now)) {
                    arrivals.remove(key);
                }
            }
            Self::Windowed(_, uses) => {
                if uses.get(key).is_some_and(WindowUse::is_empty) && granted.slices(key).is_empty() {
                    uses.remove(key);
                }
            }
            Self::Permitted => {}
        }
    }

    /// Adds the grants that a bucket needs. It gets an entry, since one without counts what it is granted as spent, and one
    /// for which a request waits has its room already.
    pub(super) fn grants_for(
        &mut self,
        grants: &mut Grants,
        bucket: &Bucket<'_>,
        want: Want,
        options: &LeaderOptions,
        covered: ShardTime,
        now: ShardTime,
    ) {
        let (limit, key) = (bucket.limit, bucket.key);
        match self {
            Self::Paced(algorithm, arrivals, _) => {
                let Some(pace) = pace_of(algorithm) else { return };
                let arrival = arrivals.get(key).copied().unwrap_or_else(|| bucket.granted.start(key));
                let right = bucket.ceiling().unwrap_or(ShardTime::MIN).max(covered);
                let ceiling = paced::ceiling_for(pace, arrival, want.units, options.commit_ns, now);
                if ceiling > right || want.units > 0 {
                    arrivals.insert(key, arrival);
                }
                if ceiling > right {
                    grants.ceilings.push((limit, key, ceiling));
                }
            }
            Self::Windowed(algorithm, uses) => {
                let Some(rule) = WindowRule::of(algorithm) else { return };
                let used = uses.get_or_insert_with(key, || WindowUse::from_grants(bucket.slices()));
                used.prune(rule, now);
                let needed = windowed::slices_for(rule, used, want, bucket.slices(), options.commit_ns, now);
                grants.slices.extend(needed.into_iter().map(|slice| (limit, key, slice)));
            }
            Self::Permitted => {}
        }
    }

    /// Adds grants that equal exactly what was spent, for the buckets where more was granted.
    pub(super) fn exact_grants(&self, grants: &mut Grants, limit: LimitId, granted: &LimitState, now: ShardTime) {
        match self {
            Self::Paced(_, arrivals, _) => {
                let rounded_up = |key: Key, arrival: ShardTime| {
                    granted.start(key).max(arrival) > now && granted.ceiling(key) != Some(arrival)
                };
                let buckets = arrivals.iter().filter(|(key, arrival)| rounded_up(*key, **arrival));
                grants.ceilings.extend(buckets.map(|(key, arrival)| (limit, key, *arrival)));
            }
            Self::Windowed(_, uses) => {
                for (key, used) in uses.iter() {
                    let exact = windowed::exact_slices(used, granted.slices(key));
                    grants.slices.extend(exact.into_iter().map(|slice| (limit, key, slice)));
                }
            }
            Self::Permitted => {}
        }
    }
}

/// Whether what is left of a bucket's ceiling is less than a unit, and the bucket so slow that nothing is asked for ahead.
/// Such a bucket needs its entry for a right that nobody can use.
fn is_trimmable(pace: Pace, arrival: ShardTime, granted: &LimitState, key: Key, options: &LeaderOptions) -> bool {
    // The pace first, since a sweep asks this of every bucket and the ceiling is in another table.
    let is_slow = pace.interval_ns() > options.horizon_lead_ns;
    is_slow && granted.ceiling(key).is_some_and(|ceiling| (1..pace.interval_ns()).contains(&ceiling.since(arrival)))
}
