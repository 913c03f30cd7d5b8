//! What a node measured within a second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Upper bounds of the classes that decisions are counted in by the time they took, in microseconds; the last class has none. Every
/// threshold of an alert is one of them.
pub const LATENCY_BOUNDS_US: [u64; 14] =
    [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000];

/// How many classes there are.
pub const LATENCY_CLASSES: usize = LATENCY_BOUNDS_US.len() + 1;

/// How many decisions took how long, by the classes of [`LATENCY_BOUNDS_US`].
pub type Latencies = [u64; LATENCY_CLASSES];

/// What a node measured within one second, and how it is. Counts are of that second.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Sample {
    /// All requests.
    pub requests: Requests,
    /// Requests by their endpoint, of those that have a series of their own.
    pub endpoints: BTreeMap<String, Requests>,
    /// Denials by their limit, of those that denied most.
    pub denials: BTreeMap<String, u64>,
    /// The keys that were denied most, each with its limit.
    pub denied_keys: Vec<DeniedKey>,
    /// Batches by what became of them.
    pub batches: Batches,
    /// The fullest queue, 0 to 1.
    pub queue: f64,
    /// Circuits that opened.
    pub circuit_trips: u64,
    /// How Redis is, where there is one.
    pub redis: Option<Redis>,
    /// How the disk is.
    pub disk: Disk,
    /// Shards that have no leader as far as this node knows, each with for how long, in milliseconds.
    pub leaderless: BTreeMap<u32, u64>,
    /// The mode: 0 normal, 1 reduced, 2 emergency.
    pub mode: u8,
}

/// Requests by what became of them, and how long their decisions took.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Requests {
    /// Those that may pass.
    pub allowed: u64,
    /// Those that may not.
    pub denied: u64,
    /// Those that got no decision.
    pub failed: u64,
    /// Of the decided ones, those without their group.
    pub degraded: u64,
    /// How long decisions took.
    pub latencies: Latencies,
}

/// A key that is denied often.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeniedKey {
    /// The limit that denied it.
    pub limit: String,
    /// The values of the labels that the limit counts by, as text.
    pub key: String,
    /// How often.
    pub denials: u64,
}

/// Batches by what became of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Batches {
    /// Of which everything was done.
    pub successful: u64,
    /// Of which something was done.
    pub partial: u64,
    /// Of which nothing was done.
    pub failed: u64,
}

/// How Redis is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Redis {
    /// The last operation's latency in milliseconds.
    pub latency_ms: f64,
    /// For how long it has not been reached, in milliseconds; 0 while it is.
    pub unavailable_ms: u64,
}

/// How the disk is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Disk {
    /// Whether it takes no writes any more.
    pub has_failed: bool,
    /// How full it is, 0 to 1; `None` where that is not known.
    pub fill: Option<f64>,
}

impl Requests {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.allowed.saturating_add(self.denied).saturating_add(self.failed)
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        add(&mut self.allowed, other.allowed);
        add(&mut self.denied, other.denied);
        add(&mut self.failed, other.failed);
        add(&mut self.degraded, other.degraded);
        self.latencies.iter_mut().zip(other.latencies).for_each(|(count, more)| add(count, more));
    }
}

impl Batches {
    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        add(&mut self.successful, other.successful);
        add(&mut self.partial, other.partial);
        add(&mut self.failed, other.failed);
    }
}

/// The quantile `q`, 0 to 1, of what was counted in classes, in milliseconds: interpolated within its class, and exact at each bound.
/// What took longer than the last bound counts as that. `None` if nothing was counted.
#[must_use]
pub fn quantile_ms(latencies: &Latencies, q: f64) -> Option<f64> {
    let total = latencies.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let rank = total as f64 * q;
    let mut below = 0.0;
    let mut lower_us = 0;
    for (count, upper_us) in latencies.iter().zip(LATENCY_BOUNDS_US) {
        let within = *count as f64;
        if within > 0.0 && below + within >= rank {
            let share = (rank - below) / within;
            return Some((lower_us as f64 + share * (upper_us - lower_us) as f64) / 1e3);
        }
        below += within;
        lower_us = upper_us;
    }
    (total > 0).then_some(lower_us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_interpolated_and_exact_at_the_bounds() {
        let counted = |classes: &[(usize, u64)]| {
            let mut latencies = Latencies::default();
            classes.iter().for_each(|(class, count)| latencies[*class] = *count);
            latencies
        };
        let cases = [
            ("nothing", counted(&[]), None),
            ("one of the first class", counted(&[(0, 1)]), Some(0.02475)),
            ("99 of 100 took at most 500 ms", counted(&[(5, 99), (13, 1)]), Some(1.0)),
            ("two of 100 took longer", counted(&[(5, 98), (13, 2)]), Some(750.0)),
            ("all took longer than the last bound", counted(&[(14, 5)]), Some(1_000.0)),
        ];
        for (claim, latencies, expected) in cases {
            let found = quantile_ms(&latencies, 0.99);
            let is_near = |(one, other): (f64, f64)| (one - other).abs() < 1e-6;
            assert!(found == expected || found.zip(expected).is_some_and(is_near), "{claim}: {found:?}");
        }
    }
}
