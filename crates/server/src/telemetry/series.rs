//! Which tiers and endpoints have series of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;
use tollgate_limiter::Limits;

use super::maker::Maker;
use super::request_counts::RequestCounts;
use super::striped::Striped;
use crate::metric_names as names;

/// The most values of a label with series of their own; requests with others count as [`OTHER`]. An endpoint takes 3 KiB of counters, a
/// tier 1 KiB.
const MAX_VALUES: usize = 200;

/// What stands for all values without series of their own.
pub(super) const OTHER: &str = "other";

/// The tiers and endpoints that have been named by limits since the start. One that is named no more keeps its series, because a series
/// that ends looks like a node that does.
pub(super) struct Series {
    /// Of the limits that were looked at last.
    version: Option<u64>,
    /// `None` where tiers are not counted.
    tiers: Option<Values<Tier>>,
    endpoints: Values<Endpoint>,
}

/// The values of one label, each with what counts it.
struct Values<T> {
    named: BTreeMap<String, Arc<T>>,
    other: Arc<T>,
    folded: Counter,
}

/// What is counted of a tier.
pub(super) struct Tier {
    counts: Striped<TierCounts>,
    consumed: Counter,
    breaches: Counter,
}

#[derive(Default)]
struct TierCounts {
    consumed: AtomicU64,
    breaches: AtomicU64,
}

/// What is counted of an endpoint.
pub(super) struct Endpoint {
    pub(super) counts: RequestCounts,
    allowed: Counter,
    denied: Counter,
    failed: Counter,
}

impl Series {
    /// Those that are there before any limit is known: of all that has none of its own.
    pub(super) fn new(maker: &Maker, has_tiers: bool) -> Self {
        Self {
            version: None,
            tiers: has_tiers.then(|| Values::new(maker, "tier", Tier::new)),
            endpoints: Values::new(maker, "endpoint", Endpoint::new),
        }
    }

    /// Whether there is nothing new to learn from these limits.
    pub(super) fn knows(&self, limits: &Limits) -> bool {
        self.version == Some(limits.version())
    }

    /// With those that the limits name.
    pub(super) fn with(&self, limits: &Limits, maker: &Maker) -> Self {
        let tiers = self.tiers.as_ref().map(|tiers| tiers.with(named(limits, "tier"), maker, Tier::new));
        let endpoints = self.endpoints.with(named(limits, "endpoint"), maker, Endpoint::new);
        Self { version: Some(limits.version()), tiers, endpoints }
    }

    /// What counts requests of this tier; `None` where none are counted.
    pub(super) fn tier(&self, tier: Option<&str>) -> Option<&Tier> {
        self.tiers.as_ref().map(|tiers| tiers.of(tier))
    }

    /// What counts requests of this endpoint.
    pub(super) fn endpoint(&self, endpoint: &str) -> &Endpoint {
        self.endpoints.of(Some(endpoint))
    }

    /// All endpoints with series, in the order of their names, the one of all others last.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        self.endpoints.iter()
    }

    /// Has the exporter show what was counted.
    pub(super) fn publish(&self) {
        self.tiers.iter().flat_map(Values::iter).for_each(|(_, tier)| tier.publish());
        self.endpoints().for_each(|(_, endpoint)| endpoint.publish());
    }
}

/// The values of a label that limits name exactly.
fn named<'a>(limits: &'a Limits, label: &'a str) -> BTreeSet<&'a str> {
    let selectors = limits.iter().flat_map(|(_, limit)| &limit.selectors);
    let patterns = selectors.filter(|selector| selector.label == label).flat_map(|selector| &selector.any_of);
    patterns.map(|pattern| pattern.as_str()).filter(|value| !value.contains('*') && *value != OTHER).collect()
}

impl<T> Values<T> {
    fn new(maker: &Maker, label: &'static str, make: impl Fn(&Maker, &str) -> T) -> Self {
        let folded = maker.counter_of(&names::LABEL_VALUES_FOLDED, &[("label", label)]);
        Self { named: BTreeMap::new(), other: Arc::new(make(maker, OTHER)), folded }
    }

    fn with(&self, values: BTreeSet<&str>, maker: &Maker, make: impl Fn(&Maker, &str) -> T) -> Self {
        let mut named = self.named.clone();
        let mut without = 0;
        for value in values.into_iter().filter(|value| !self.named.contains_key(*value)) {
            if named.len() < MAX_VALUES {
                named.insert(value.to_owned(), Arc::new(make(maker, value)));
            } else {
                without += 1;
            }
        }
        // The most that there were at a time, since those that have gone and come again cannot be told from new ones.
        self.folded.absolute(without);
        Self { named, other: Arc::clone(&self.other), folded: self.folded.clone() }
    }

    fn of(&self, value: Option<&str>) -> &T {
        value.and_then(|value| self.named.get(value)).unwrap_or(&self.other)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let named = self.named.iter().map(|(value, counted)| (value.as_str(), &**counted));
        named.chain([(OTHER, &*self.other)])
    }
}

impl Tier {
    fn new(maker: &Maker, tier: &str) -> Self {
        let label = [("tier", tier)];
        Self {
            counts: Striped::default(),
            consumed: maker.counter_of(&names::TOKENS_CONSUMED, &label),
            breaches: maker.counter_of(&names::BREACHES, &label),
        }
    }

    /// Counts a decision about so many units.
    pub(super) fn decided(&self, allowed: bool, cost: u64) {
        let counts = self.counts.mine();
        if allowed {
            counts.consumed.fetch_add(cost, Ordering::Relaxed);
        } else {
            counts.breaches.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish(&self) {
        let sum = |of: fn(&TierCounts) -> &AtomicU64| {
            let counts = self.counts.iter().map(|counts| of(counts).load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        };
        self.consumed.absolute(sum(|counts| &counts.consumed));
        self.breaches.absolute(sum(|counts| &counts.breaches));
    }
}

impl Endpoint {
    fn new(maker: &Maker, endpoint: &str) -> Self {
        let counter = |outcome: &str| {
            maker.counter_of(&names::ENDPOINT_REQUESTS, &[("endpoint", endpoint), ("outcome", outcome)])
        };
        Self {
            counts: RequestCounts::default(),
            allowed: counter("allowed"),
            denied: counter("denied"),
            failed: counter("failed"),
        }
    }

    fn publish(&self) {
        let requests = self.counts.totals().requests;
        self.allowed.absolute(requests.allowed);
        self.denied.absolute(requests.denied);
        self.failed.absolute(requests.failed);
    }
}
