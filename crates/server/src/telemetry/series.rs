//! Which tiers and endpoints have series of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;
use rustc_hash::FxHasher;
use tollgate_limiter::Limits;

use super::maker::Maker;
use super::request_counts::RequestCounts;
use super::striped::Striped;
use crate::metric_names as names;
use crate::metric_names::Metric;

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
    /// Whether tiers are also shown by the names of the older systems.
    legacy_names: bool,
    tiers: Values<Tier>,
    endpoints: Values<Endpoint>,
}

/// The values of one label, each with what counts it.
struct Values<T> {
    named: BTreeMap<String, Arc<T>>,
    /// The same by the hashes of their names, in the order of these: found in half the time that names take to compare.
    by_hash: Vec<(u64, Box<str>, Arc<T>)>,
    other: Arc<T>,
    folded: Counter,
}

/// What is counted of a tier.
pub(super) struct Tier {
    counts: Striped<TierCounts>,
    /// Of one name, or of two that show the same.
    consumed: Vec<Counter>,
    breaches: Vec<Counter>,
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
    pub(super) fn new(maker: &Maker, legacy_names: bool) -> Self {
        Self {
            version: None,
            legacy_names,
            tiers: Values::new(maker, "tier", |maker, tier| Tier::new(maker, tier, legacy_names)),
            endpoints: Values::new(maker, "endpoint", Endpoint::new),
        }
    }

    /// Whether there is nothing new to learn from these limits.
    pub(super) fn knows(&self, limits: &Limits) -> bool {
        self.version == Some(limits.version())
    }

    /// With those that the limits name.
    pub(super) fn with(&self, limits: &Limits, maker: &Maker) -> Self {
        let legacy_names = self.legacy_names;
        let tier = |maker: &Maker, tier: &str| Tier::new(maker, tier, legacy_names);
        let tiers = self.tiers.with(named(limits, "tier"), maker, tier);
        let endpoints = self.endpoints.with(named(limits, "endpoint"), maker, Endpoint::new);
        Self { version: Some(limits.version()), legacy_names, tiers, endpoints }
    }

    /// What counts requests of this tier.
    pub(super) fn tier(&self, tier: Option<&str>) -> &Tier {
        self.tiers.of(tier)
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
        self.tiers.iter().for_each(|(_, tier)| tier.publish());
        self.endpoints().for_each(|(_, endpoint)| endpoint.publish());
    }
}

/// The values of a label that limits name exactly, and that can be told from each other in the metrics.
fn named<'a>(limits: &'a Limits, label: &'a str) -> BTreeSet<&'a str> {
    let selectors = limits.iter().flat_map(|(_, limit)| &limit.selectors);
    let patterns = selectors.filter(|selector| selector.label == label).flat_map(|selector| &selector.any_of);
    // The exporter writes a quote the same with a backslash before it as without: two values would be one series.
    let is_plain = |value: &&str| !value.contains(['*', '"', '\\']) && *value != OTHER;
    patterns.map(|pattern| pattern.as_str()).filter(is_plain).collect()
}

impl<T> Values<T> {
    fn new(maker: &Maker, label: &'static str, make: impl Fn(&Maker, &str) -> T) -> Self {
        let folded = maker.counter_of(&names::LABEL_VALUES_FOLDED, &[("label", label)]);
        Self { named: BTreeMap::new(), by_hash: Vec::new(), other: Arc::new(make(maker, OTHER)), folded }
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
        let entry = |(value, counted): (&String, &Arc<T>)| (hash(value), value.as_str().into(), Arc::clone(counted));
        let mut by_hash: Vec<_> = named.iter().map(entry).collect();
        by_hash.sort_unstable_by_key(|(hash, ..)| *hash);
        Self { named, by_hash, other: Arc::clone(&self.other), folded: self.folded.clone() }
    }

    fn of(&self, value: Option<&str>) -> &T {
        value.and_then(|value| self.find(value)).unwrap_or(&self.other)
    }

    fn find(&self, value: &str) -> Option<&Arc<T>> {
        let sought = hash(value);
        let first = self.by_hash.partition_point(|(hash, ..)| *hash < sought);
        let of_hash = self.by_hash[first..].iter().take_while(|(hash, ..)| *hash == sought);
        of_hash.into_iter().find(|(_, named, _)| **named == *value).map(|(.., counted)| counted)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let named = self.named.iter().map(|(value, counted)| (value.as_str(), &**counted));
        named.chain([(OTHER, &*self.other)])
    }
}

fn hash(value: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(value.as_bytes());
    hasher.finish()
}

impl Tier {
    fn new(maker: &Maker, tier: &str, legacy_names: bool) -> Self {
        let of = |name: &Metric, legacy: &Metric| {
            let shown = [name, legacy].into_iter().take(if legacy_names { 2 } else { 1 });
            shown.map(|name| maker.counter_of(name, &[("tier", tier)])).collect()
        };
        Self {
            counts: Striped::default(),
            consumed: of(&names::TOKENS_CONSUMED, &names::LEGACY_TOKENS_CONSUMED),
            breaches: of(&names::BREACHES, &names::LEGACY_BREACHES),
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
        let (consumed, breaches) = (sum(|counts| &counts.consumed), sum(|counts| &counts.breaches));
        self.consumed.iter().for_each(|shown| shown.absolute(consumed));
        self.breaches.iter().for_each(|shown| shown.absolute(breaches));
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
