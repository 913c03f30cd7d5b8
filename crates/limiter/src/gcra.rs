//! The generic cell rate algorithm (GCRA, ITU-T I.371 annex A) on a virtual time axis.
//!
//! A unit of cost takes [`Pace::interval_ns`] of the axis; a request of `n` units at `now` takes
//! `(v − n·interval, v]` with `v = max(arrival, now) + n·interval`, and fits if `v − now ≤ burst·interval`. If every interval
//! is handed out at most once, any span of length `s` admits at most `burst + s/interval` units.

use serde::{Deserialize, Serialize};

use crate::{LimitError, Planted, ShardTime};

/// The longest reach of a bucket (burst × interval) and of a window: 100 years. With the clock ending in 2262, sums of an
/// instant and two of these still fit 63 bits for a century.
pub(crate) const MAX_SPAN_NS: i64 = 100 * 366 * crate::calendar::DAY_NS;

/// How fast a bucket refills and how much it holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pace {
    rate: u64,
    per_ns: i64,
    burst: u64,
    interval_ns: i64,
}

impl Pace {
    /// `rate` units per `per_ns` nanoseconds, at most `burst` at once.
    ///
    /// The interval of a unit is rounded up to a whole nanosecond, so the pace is never faster than asked for and at most
    /// `1/interval_ns` slower (0.1 % at a million a second).
    ///
    /// # Errors
    /// Zero or out-of-range numbers, a rate above one unit a nanosecond, and a burst that takes over 100 years to refill.
    pub fn new(rate: u64, per_ns: i64, burst: u64) -> Result<Self, LimitError> {
        if rate == 0 {
            return Err(LimitError::new("rate", "must be at least 1"));
        }
        if burst == 0 {
            return Err(LimitError::new("burst_limit", "must be at least 1"));
        }
        if !(1..=MAX_SPAN_NS).contains(&per_ns) {
            return Err(LimitError::new("per", "must be between 1ns and 100 years"));
        }
        if i128::from(rate) > i128::from(per_ns) {
            return Err(LimitError::new("rate", "must be at most 1000000000 a second"));
        }
        let interval_ns =
            i128::from(per_ns).div_euclid(i128::from(rate)) + i128::from(i128::from(per_ns) % i128::from(rate) != 0);
        if interval_ns * i128::from(burst) > i128::from(MAX_SPAN_NS) {
            return Err(LimitError::new("burst_limit", "would take more than 100 years to refill at this rate"));
        }
        Ok(Self { rate, per_ns, burst, interval_ns: interval_ns as i64 })
    }

    /// Units per [`Pace::per_ns`].
    pub fn rate(self) -> u64 {
        self.rate
    }

    /// The period of the rate, in nanoseconds.
    pub fn per_ns(self) -> i64 {
        self.per_ns
    }

    /// The most units at once; at least 1.
    pub fn burst(self) -> u64 {
        self.burst
    }

    /// Nanoseconds of the virtual axis that a unit takes; at least 1.
    pub fn interval_ns(self) -> i64 {
        self.interval_ns
    }

    /// How far the arrival may lie ahead: the time in which an empty bucket fills, in nanoseconds.
    pub(crate) fn tolerance_ns(self) -> i64 {
        self.span_ns(self.burst)
    }

    /// What `units` take of the axis, at most [`MAX_SPAN_NS`] × 2 (a debt beyond that is not told apart).
    pub(crate) fn span_ns(self, units: u64) -> i64 {
        let span = i128::from(self.interval_ns) * i128::from(units);
        span.min(i128::from(2 * MAX_SPAN_NS)) as i64
    }

    /// The end of the interval that `units` would take now.
    pub(crate) fn end(self, arrival: ShardTime, now: ShardTime, units: u64) -> ShardTime {
        arrival.max(now).plus(self.span_ns(units))
    }

    /// Nanoseconds until the interval that ends at `end` fits; 0 when it fits now.
    pub(crate) fn wait_ns(self, end: ShardTime, now: ShardTime) -> i64 {
        end.since(now).saturating_sub(self.tolerance_ns()).max(0)
    }

    /// Whole units that are left now.
    pub(crate) fn remaining(self, arrival: ShardTime, now: ShardTime) -> u64 {
        let free_ns = self.tolerance_ns().saturating_sub(arrival.max(now).since(now)).max(0);
        (free_ns / self.interval_ns) as u64
    }

    /// The arrival after giving back `units` of an interval that ended at `end`.
    ///
    /// What lies before `now` has refilled already and is not given back twice: `arrival − min(n·interval, max(0, end − now))`.
    pub(crate) fn refunded(self, arrival: ShardTime, end: ShardTime, units: u64, now: ShardTime) -> ShardTime {
        let back_ns = self.span_ns(units).min(end.since(now).max(0));
        let back_ns = if Planted::NaiveRefund.is_made() { self.span_ns(units) } else { back_ns };
        arrival.plus(-back_ns)
    }

    /// The same spending under the pace `new`, changed at `changed`: units stay units, whatever they now take.
    pub(crate) fn rescaled(self, arrival: ShardTime, changed: ShardTime, new: Self) -> ShardTime {
        let ahead_ns = arrival.since(changed);
        if ahead_ns <= 0 || self.interval_ns == new.interval_ns {
            return arrival;
        }
        let product = i128::from(ahead_ns) * i128::from(new.interval_ns);
        let old = i128::from(self.interval_ns);
        let scaled = product / old + i128::from(product % old != 0);
        changed.plus(scaled.min(i128::from(2 * MAX_SPAN_NS)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn pace(rate: u64, per_ns: i64, burst: u64) -> Pace {
        Pace::new(rate, per_ns, burst).expect("a legal pace")
    }

    #[test]
    fn impossible_paces_are_refused_by_name() {
        let cases = [
            ((0, SECOND, 1), "rate"),
            ((1, 0, 1), "per"),
            ((1, -5, 1), "per"),
            ((1, SECOND, 0), "burst_limit"),
            ((1, 9_000_000_000_000_000_000, 1), "per"),
            ((1, i64::MAX, u64::MAX), "per"),
            ((1, MAX_SPAN_NS, 2), "burst_limit"),
            ((u64::MAX, SECOND, 1), "rate"),
            ((1, SECOND, u64::MAX), "burst_limit"),
        ];
        for ((rate, per_ns, burst), field) in cases {
            let error = Pace::new(rate, per_ns, burst).expect_err("must be refused");
            assert_eq!(error.field, field, "{rate} per {per_ns} ns, burst {burst}: {error}");
        }
    }

    #[test]
    fn the_interval_is_rounded_up_so_a_pace_is_never_faster_than_asked_for() {
        for (rate, per_ns, interval_ns) in
            [(7, SECOND, 142_857_143), (1, SECOND, SECOND), (SECOND as u64, SECOND, 1), (3, 10, 4)]
        {
            assert_eq!(pace(rate, per_ns, 1).interval_ns(), interval_ns, "{rate} per {per_ns}");
        }
    }

    #[test]
    fn a_refund_gives_back_only_what_has_not_refilled() {
        let pace = pace(1, SECOND, 10);
        let at = |seconds: i64| ShardTime::from_nanos(seconds * SECOND);
        // (arrival, end of the reservation, units given back, now) → arrival
        let cases = [
            ("all of it lies ahead", (at(20), at(20), 4, at(10)), at(16)),
            ("half of it has refilled", (at(12), at(12), 4, at(10)), at(10)),
            ("all of it has refilled", (at(12), at(9), 4, at(10)), at(12)),
            ("others spent after it", (at(18), at(12), 4, at(10)), at(16)),
            ("nothing", (at(12), at(12), 0, at(10)), at(12)),
            ("more than it ever was", (at(12), at(12), u64::MAX, at(10)), at(10)),
        ];
        for (claim, (arrival, end, units, now), expected) in cases {
            assert_eq!(pace.refunded(arrival, end, units, now), expected, "{claim}");
        }
    }

    #[test]
    fn a_changed_pace_keeps_the_units_that_were_spent() {
        let at = |seconds: i64| ShardTime::from_nanos(seconds * SECOND);
        let slow = pace(1, SECOND, 10);
        let fast = pace(10, SECOND, 10);
        assert_eq!(slow.rescaled(at(20), at(10), fast), at(11));
        assert_eq!(fast.rescaled(at(11), at(10), slow), at(20));
        assert_eq!(slow.rescaled(at(9), at(10), fast), at(9), "what has refilled stays refilled");
    }

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        let widest = pace(1, MAX_SPAN_NS, 1);
        for arrival in [ShardTime::MIN, ShardTime::from_nanos(0), ShardTime::MAX] {
            for now in [ShardTime::MIN, ShardTime::from_nanos(0), ShardTime::MAX] {
                let end = widest.end(arrival, now, u64::MAX);
                assert!(end >= now && widest.wait_ns(end, now) >= 0 && widest.remaining(arrival, now) <= 1);
                let _ = widest.refunded(arrival, end, u64::MAX, now);
                let _ = widest.rescaled(arrival, now, pace(SECOND as u64, SECOND, 1));
            }
        }
    }
}
