//! Requests of one endpoint, counted as they are decided.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate_feedback::sample::{LATENCY_BOUNDS_US, LATENCY_CLASSES, Latencies, Requests};

use super::histogram::Counted;
use super::striped::Striped;

/// Requests since the start. A decision is counted once, in the class of the time it took; all else that is served follows from these.
#[derive(Default)]
pub(super) struct RequestCounts(Striped<Counts>);

#[derive(Default)]
struct Counts {
    allowed: Classes,
    denied: Classes,
    took_ns: AtomicU64,
    failed: AtomicU64,
    degraded: AtomicU64,
}

type Classes = [AtomicU64; LATENCY_CLASSES];

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) requests: Requests,
    /// All decisions together, in nanoseconds.
    pub(super) took_ns: u64,
}

impl RequestCounts {
    /// Counts a decision.
    pub(super) fn decided(&self, allowed: bool, degraded: bool, took: Duration) {
        let counts = self.0.mine();
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let classes = if allowed { &counts.allowed } else { &counts.denied };
        add(&classes[class_of(took_ns)], 1);
        add(&counts.took_ns, took_ns);
        if degraded {
            add(&counts.degraded, 1);
        }
    }

    /// Counts a request that got no decision.
    pub(super) fn failed(&self) {
        add(&self.0.mine().failed, 1);
    }

    /// What was counted until now.
    pub(super) fn totals(&self) -> Totals {
        self.0.iter().map(Counts::totals).fold(Totals::default(), Totals::plus)
    }
}

impl Counts {
    fn totals(&self) -> Totals {
        let (allowed, denied) = (read_all(&self.allowed), read_all(&self.denied));
        let requests = Requests {
            allowed: allowed.iter().sum(),
            denied: denied.iter().sum(),
            failed: read(&self.failed),
            degraded: read(&self.degraded),
            latencies: from_fn(|class| allowed[class] + denied[class]),
        };
        Totals { requests, took_ns: read(&self.took_ns) }
    }
}

impl Totals {
    /// These and others.
    pub(super) fn plus(mut self, other: Self) -> Self {
        self.requests.add(&other.requests);
        Self { took_ns: self.took_ns.wrapping_add(other.took_ns), ..self }
    }

    /// What was counted after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Requests {
        let (now, before) = (&self.requests, &earlier.requests);
        Requests {
            allowed: now.allowed.saturating_sub(before.allowed),
            denied: now.denied.saturating_sub(before.denied),
            failed: now.failed.saturating_sub(before.failed),
            degraded: now.degraded.saturating_sub(before.degraded),
            latencies: from_fn(|class| now.latencies[class].saturating_sub(before.latencies[class])),
        }
    }

    /// The decisions by the time they took.
    pub(super) fn latencies(&self) -> Counted {
        Counted { classes: self.requests.latencies.into(), sum: self.took_ns }
    }
}

/// The class of a decision that took so long: a bound belongs to the class below it.
fn class_of(took_ns: u64) -> usize {
    let took_us = took_ns.div_ceil(1_000);
    LATENCY_BOUNDS_US.partition_point(|bound_us| *bound_us < took_us)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn read_all(classes: &Classes) -> Latencies {
    from_fn(|class| read(&classes[class]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_class_below_it() {
        for (took_ns, expected) in [
            (0, 0),
            (25_000, 0),
            (25_001, 1),
            (100_000_000, 11),
            (100_000_001, 12),
            (500_000_000, 12),
            (500_000_001, 13),
            (1_000_000_000, 13),
            (1_000_000_001, 14),
            (u64::MAX, 14),
        ] {
            assert_eq!(class_of(took_ns), expected, "{took_ns}");
        }
    }

    #[test]
    fn what_all_threads_counted_is_one_sum() {
        let counts = RequestCounts::default();
        counts.decided(true, false, Duration::from_micros(10));
        let before = counts.totals();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    counts.decided(true, false, Duration::from_micros(10));
                    counts.decided(false, true, Duration::from_micros(30));
                    counts.failed();
                });
            }
        });
        let mut latencies = Latencies::default();
        latencies[..2].fill(20);
        let expected = Requests { allowed: 20, denied: 20, failed: 20, degraded: 20, latencies };
        assert_eq!(counts.totals().since(&before), expected);
        assert_eq!(counts.totals().latencies().sum, 810_000);
    }
}
