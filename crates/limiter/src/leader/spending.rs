//! What the leader has spent of one limit's buckets.

use std::hint::black_box;

use super::refunds::Refunds;
use super::wanted::Want;
use super::{Bucket, LeaderOptions, paced, windowed};
use crate::state::{LimitState, pace_of};
use crate::window::{SliceGrant, WindowRule, WindowUse};
use crate::{Algorithm, Grants, Key, LimitId, Receipt, ShardTime, SpentAt, Table};

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

    pub(super) fn fetch(&self, key: Key) {
        let is_known = match self {
            Self::Paced(_, arrivals, _) => arrivals.get(key).is_some(),
            Self::Windowed(_, uses) => uses.get(key).is_some(),
            Self::Permitted => false,
        };
        black_box(is_known);
    }

    pub(super) fn give_back(&mut self, granted: &LimitState, receipt: &Receipt, units: u64, now: ShardTime) {
        match (self, receipt.spent) {
            (Self::Paced(algorithm, arrivals, refunds), SpentAt::Interval { end }) => {
                let Some(pace) = pace_of(algorithm) else { return };
                let arrival = arrivals.get(receipt.key).copied().unwrap_or_else(|| granted.start(receipt.key));
                let end = refunds.end_now(receipt.key, end);
                let lowered = pace.refunded(arrival, end, units, now);
                if lowered != arrival {
                    refunds.note(receipt.key, arrival, arrival.since(lowered));
                    arrivals.insert(receipt.key, lowered);
                }
            }
            (Self::Windowed(_, uses), SpentAt::Slice { start }) => {
                if let Some(used) = uses.get_mut(receipt.key) {
                    used.give_back(start, units);
                }
            }
            _ => {}
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
            Self::Paced(_, arrivals, _) => {
                arrivals.insert(key, ShardTime::MIN);
            }
            Self::Windowed(_, uses) => {
                uses.insert(key, WindowUse::default());
            }
            Self::Permitted => {}
        }
    }

    /// Looks at about `keys` buckets and forgets those that would come back as they are. Where a right is in flight, or
    /// granted and not used, it would come back as spent.
    pub(super) fn forget(
        &mut self,
        granted: &LimitState,
        now: ShardTime,
        keys: usize,
        is_in_flight: impl Fn(Key) -> bool,
    ) {
        match self {
            Self::Paced(algorithm, arrivals, refunds) => {
                let Some(pace) = pace_of(algorithm) else { return };
                arrivals.sweep(keys, |key, arrival| {
                    paced::is_spare(pace, *arrival, granted.start(key), now) && !is_in_flight(key)
                });
                refunds.forget(now, keys, |key| arrivals.get(key).copied().unwrap_or_else(|| granted.start(key)));
            }
            Self::Windowed(algorithm, uses) => {
                let Some(rule) = WindowRule::of(algorithm) else { return };
                uses.sweep(keys, |key, used| {
                    used.prune(rule, now);
                    let counts = |slice: &SliceGrant| rule.grant_counts_until(slice.end) > now;
                    used.is_empty() && !granted.slices(key).iter().any(counts) && !is_in_flight(key)
                });
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
