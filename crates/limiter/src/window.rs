//! Counting windows: sliding, fixed, calendar.

use serde::{Deserialize, Serialize};

use crate::gcra::MAX_SPAN_NS;
use crate::{Algorithm, Calendar, LimitError, ShardTime};

/// Into how many slices a sliding window is cut. The price is at most 1/32 of the window's length, by which units may be
/// counted too long; never too short.
const SLICES: i64 = 32;

/// So many units in each window.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Quota {
    units: u64,
    window_ns: i64,
}

impl Quota {
    /// `units` in each window of `window_ns` nanoseconds.
    ///
    /// # Errors
    /// No units, or a window that is not between 1 ns and 100 years.
    pub fn new(units: u64, window_ns: i64) -> Result<Self, LimitError> {
        if units == 0 {
            return Err(LimitError::new("rate", "must be at least 1"));
        }
        if !(1..=MAX_SPAN_NS).contains(&window_ns) {
            return Err(LimitError::new("per", "must be between 1ns and 100 years"));
        }
        Ok(Self { units, window_ns })
    }

    /// The most units in a window; at least 1.
    pub fn units(self) -> u64 {
        self.units
    }

    /// The window's length in nanoseconds; at least 1.
    pub fn window_ns(self) -> i64 {
        self.window_ns
    }
}

/// Where windows begin and how long units count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WindowRule {
    Sliding(Quota),
    Fixed(Quota, Option<Calendar>),
}

/// A stretch of time whose units are counted together, `[start, end)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Slice {
    pub(crate) start: ShardTime,
    pub(crate) end: ShardTime,
}

impl WindowRule {
    /// The rule of an algorithm that counts in windows.
    pub(crate) fn of(algorithm: &Algorithm) -> Option<Self> {
        match *algorithm {
            Algorithm::SlidingWindow(quota) => Some(Self::Sliding(quota)),
            Algorithm::FixedWindow(quota, calendar) => Some(Self::Fixed(quota, calendar)),
            Algorithm::TokenBucket(_) | Algorithm::LeakyBucket(_) | Algorithm::Concurrency { .. } => None,
        }
    }

    pub(crate) fn quota(self) -> Quota {
        match self {
            Self::Sliding(quota) | Self::Fixed(quota, _) => quota,
        }
    }

    /// The slice that holds `at`.
    pub(crate) fn slice(self, at: ShardTime) -> Slice {
        match self {
            Self::Sliding(quota) => aligned(at, (quota.window_ns / SLICES).max(1)),
            Self::Fixed(quota, None) => aligned(at, quota.window_ns),
            Self::Fixed(_, Some(calendar)) => {
                let (start, end) = calendar.window(at);
                Slice { start, end }
            }
        }
    }

    /// Until when units that were last spent at `last`, in a slice that ends at `end`, count.
    fn counts_until(self, last: ShardTime, end: ShardTime) -> ShardTime {
        match self {
            Self::Sliding(quota) => last.plus(quota.window_ns),
            Self::Fixed(..) => end,
        }
    }

    /// Until when units granted for a slice that ends at `end` may count.
    pub(crate) fn grant_counts_until(self, end: ShardTime) -> ShardTime {
        self.counts_until(end.plus(-1), end)
    }

    /// Whether both cut time alike, so that what is counted under one is counted rightly under the other.
    pub(crate) fn cuts_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Sliding(left), Self::Sliding(right)) => left.window_ns == right.window_ns,
            (Self::Fixed(left, left_calendar), Self::Fixed(right, right_calendar)) => {
                left.window_ns == right.window_ns && left_calendar == right_calendar
            }
            (Self::Sliding(_), Self::Fixed(..)) | (Self::Fixed(..), Self::Sliding(_)) => false,
        }
    }
}

fn aligned(at: ShardTime, length_ns: i64) -> Slice {
    let start = at.nanos() - at.nanos().rem_euclid(length_ns).min(at.nanos().saturating_sub(i64::MIN));
    Slice { start: ShardTime::from_nanos(start), end: ShardTime::from_nanos(start.saturating_add(length_ns)) }
}

/// The units that a leader may spend, or must take as spent, in one slice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SliceGrant {
    pub(crate) start: ShardTime,
    pub(crate) end: ShardTime,
    pub(crate) units: u64,
}

/// What a bucket has spent in the slices that still count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WindowUse {
    slices: Vec<SliceUse>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct SliceUse {
    start: ShardTime,
    end: ShardTime,
    /// The latest instant at which a unit of it was spent: all its units count from there.
    last: ShardTime,
    units: u64,
}

impl WindowUse {
    /// What must be taken as spent when only the grants are known: all of it, as late as could be.
    pub(crate) fn from_grants(grants: &[SliceGrant]) -> Self {
        let taken = |grant: &SliceGrant| SliceUse {
            start: grant.start,
            end: grant.end,
            last: grant.end.plus(-1),
            units: grant.units,
        };
        Self { slices: grants.iter().map(taken).collect() }
    }

    /// Forgets the slices that no longer count.
    pub(crate) fn prune(&mut self, rule: WindowRule, now: ShardTime) {
        self.slices.retain(|slice| rule.counts_until(slice.last, slice.end) > now);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Units that count now.
    pub(crate) fn units(&self) -> u64 {
        self.slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.units))
    }

    /// Units spent in the slice that begins at `start`.
    pub(crate) fn units_in(&self, start: ShardTime) -> u64 {
        self.slices.iter().find(|slice| slice.start == start).map_or(0, |slice| slice.units)
    }

    /// Nanoseconds until `units` more fit; 0 when they fit now. Expects a pruned use.
    pub(crate) fn wait_ns(&self, rule: WindowRule, units: u64, now: ShardTime) -> i64 {
        let mut excess = self.units().saturating_add(units).saturating_sub(rule.quota().units);
        let mut leaving: Vec<_> =
            self.slices.iter().map(|slice| (rule.counts_until(slice.last, slice.end), slice.units)).collect();
        leaving.sort_unstable();
        let mut wait_ns = 0;
        for (until, units) in leaving {
            if excess == 0 {
                break;
            }
            wait_ns = until.since(now).max(0);
            excess = excess.saturating_sub(units);
        }
        wait_ns
    }

    /// Nanoseconds until nothing counts any more.
    pub(crate) fn reset_ns(&self, rule: WindowRule, now: ShardTime) -> i64 {
        let ends = self.slices.iter().map(|slice| rule.counts_until(slice.last, slice.end).since(now));
        ends.max().unwrap_or(0).max(0)
    }

    /// Spends `units` at `now`.
    pub(crate) fn spend(&mut self, rule: WindowRule, units: u64, now: ShardTime) {
        let Slice { start, end } = rule.slice(now);
        match self.slices.iter_mut().find(|slice| slice.start == start) {
            Some(slice) => {
                slice.last = slice.last.max(now);
                slice.units = slice.units.saturating_add(units);
            }
            None => self.slices.push(SliceUse { start, end, last: now, units }),
        }
    }

    /// Gives back `units` that were spent in the slice that begins at `start`, if it still counts. Returns how many that were.
    pub(crate) fn give_back(&mut self, start: ShardTime, units: u64) -> u64 {
        let Some(slice) = self.slices.iter_mut().find(|slice| slice.start == start) else { return 0 };
        let back = units.min(slice.units);
        slice.units -= back;
        self.slices.retain(|slice| slice.units > 0);
        back
    }

    /// What was spent, slice by slice, as grants that leave nothing over.
    pub(crate) fn as_grants(&self) -> impl Iterator<Item = SliceGrant> {
        self.slices.iter().map(|slice| SliceGrant { start: slice.start, end: slice.end, units: slice.units })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(ns: i64) -> ShardTime {
        ShardTime::from_nanos(ns)
    }

    #[test]
    fn windows_hold_their_first_instant_and_not_their_last() {
        let rule = WindowRule::Fixed(Quota::new(5, SECOND).expect("legal"), None);
        for (now, start) in [(0, 0), (SECOND - 1, 0), (SECOND, SECOND), (-1, -SECOND), (-SECOND, -SECOND)] {
            assert_eq!(rule.slice(at(now)), Slice { start: at(start), end: at(start + SECOND) }, "at {now}");
        }
    }

    #[test]
    fn units_of_a_fixed_window_count_to_its_edge_and_no_longer() {
        let rule = WindowRule::Fixed(Quota::new(5, SECOND).expect("legal"), None);
        let mut used = WindowUse::default();
        used.spend(rule, 5, at(SECOND - 1));
        assert_eq!(used.wait_ns(rule, 1, at(SECOND - 1)), 1);
        used.prune(rule, at(SECOND));
        assert!(used.is_empty());
    }

    #[test]
    fn units_of_a_sliding_window_count_for_its_whole_length() {
        let rule = WindowRule::Sliding(Quota::new(5, SECOND).expect("legal"));
        let mut used = WindowUse::default();
        used.spend(rule, 3, at(100));
        used.spend(rule, 2, at(SECOND / 2));
        assert_eq!(used.wait_ns(rule, 1, at(SECOND / 2)), SECOND / 2 + 100);
        assert_eq!(used.wait_ns(rule, 4, at(SECOND / 2)), SECOND);
        used.prune(rule, at(SECOND + 99));
        assert_eq!(used.units(), 5);
        used.prune(rule, at(SECOND + 100));
        assert_eq!(used.units(), 2);
        used.prune(rule, at(SECOND + SECOND / 2));
        assert_eq!(used.units(), 0);
    }

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        for rule in [
            WindowRule::Sliding(Quota::new(u64::MAX, MAX_SPAN_NS).expect("legal")),
            WindowRule::Fixed(Quota::new(u64::MAX, MAX_SPAN_NS).expect("legal"), None),
            WindowRule::Fixed(Quota::new(u64::MAX, 1).expect("legal"), None),
        ] {
            for now in [ShardTime::MIN, at(0), ShardTime::MAX] {
                let mut used = WindowUse::default();
                used.spend(rule, u64::MAX, now);
                used.spend(rule, u64::MAX, now);
                assert_eq!(used.units(), u64::MAX);
                assert!(used.wait_ns(rule, 1, now) >= 0 && used.reset_ns(rule, now) >= 0);
            }
        }
    }
}
