//! Metrics: handles that are made once, so that the hot path only counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tollgate_cluster::{AcquireError, Event, Events, Verdict};
use tollgate_limiter::Limits;

use crate::metric_names as names;
use crate::metric_names::Metric;

/// Bounds of the latency histograms in seconds: 25 µs to 1 s, with every threshold that alerts use.
const SECONDS: [f64; 14] =
    [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 500e-3, 1.0];

/// The most tiers with a series of their own; requests of others count as `other`.
const MAX_TIERS: usize = 200;

/// The tier of requests whose tier no limit names.
const OTHER_TIER: &str = "other";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// All metrics of a node.
pub(crate) struct Telemetry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    legacy_names: bool,
    tiers: ArcSwap<BTreeMap<String, Tier>>,
    outcomes: Outcomes,
    shadow_denials: Counter,
    degraded: Counter,
    decision_seconds: Histogram,
    buckets: Gauge,
    limits: Gauge,
    shards_led: Gauge,
    store_healthy: Gauge,
    cluster: ClusterCounters,
}

#[derive(Clone)]
struct Tier {
    consumed: Counter,
    breaches: Counter,
}

struct Outcomes {
    allowed: Counter,
    denied: Counter,
    never_fits: Counter,
    no_room: Counter,
    overloaded: Counter,
    unavailable: Counter,
    invalid: Counter,
}

struct ClusterCounters {
    commits: Counter,
    commit_seconds: Histogram,
    takeovers: Counter,
    late: Counter,
    restarts: Counter,
    failed: Counter,
    snapshots: Counter,
}

/// What is measured when the metrics are read.
pub(crate) struct Figures {
    pub(crate) buckets: u64,
    pub(crate) limits: usize,
    pub(crate) shards_led: usize,
    pub(crate) store_healthy: bool,
}

impl Telemetry {
    /// Makes all metrics, at 0.
    ///
    /// # Errors
    /// None of ours: the exporter refuses an empty list of bounds.
    pub(crate) fn new(legacy_names: bool) -> Result<Self, metrics_exporter_prometheus::BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let make = Maker(&recorder);
        if legacy_names {
            make.gauge(&names::REDIS_LATENCY).set(0.0);
        }
        Ok(Self {
            handle: recorder.handle(),
            legacy_names,
            tiers: ArcSwap::default(),
            outcomes: Outcomes::new(&make),
            shadow_denials: make.counter(&names::SHADOW_DENIALS, &[]),
            degraded: make.counter(&names::DEGRADED, &[]),
            decision_seconds: make.histogram(&names::DECISION_SECONDS),
            buckets: make.gauge(&names::BUCKETS),
            limits: make.gauge(&names::LIMITS),
            shards_led: make.gauge(&names::SHARDS_LED),
            store_healthy: make.gauge(&names::STORE_HEALTHY),
            cluster: ClusterCounters::new(&make),
            recorder,
        })
    }

    /// Makes series for the tiers that the limits name.
    pub(crate) fn know_tiers(&self, limits: &Limits) {
        if !self.legacy_names {
            return;
        }
        let selectors = limits.iter().flat_map(|(_, limit)| &limit.selectors);
        let patterns = selectors.filter(|selector| selector.label == "tier").flat_map(|selector| &selector.any_of);
        let named = patterns.map(|pattern| pattern.as_str()).filter(|tier| !tier.contains('*'));
        let make = Maker(&self.recorder);
        let mut tiers = BTreeMap::clone(&self.tiers.load());
        for tier in [OTHER_TIER].into_iter().chain(named) {
            if tiers.len() <= MAX_TIERS && !tiers.contains_key(tier) {
                tiers.insert(tier.to_owned(), Tier::new(&make, tier));
            }
        }
        self.tiers.store(Arc::new(tiers));
    }

    /// Counts a decision: of `cost` units for a request of `tier`, after `seconds`.
    pub(crate) fn decided(&self, verdict: &Verdict, cost: u64, tier: Option<&str>, seconds: f64) {
        self.decision_seconds.record(seconds);
        let outcome = if verdict.allowed { &self.outcomes.allowed } else { &self.outcomes.denied };
        outcome.increment(1);
        if verdict.degraded {
            self.degraded.increment(1);
        }
        if verdict.limits.iter().any(|limit| limit.limit.shadow && !limit.allowed) {
            self.shadow_denials.increment(1);
        }
        let tiers = self.tiers.load();
        let tier = tier.and_then(|tier| tiers.get(tier)).or_else(|| tiers.get(OTHER_TIER));
        match tier {
            Some(tier) if verdict.allowed => tier.consumed.increment(cost),
            Some(tier) => tier.breaches.increment(1),
            None => {}
        }
    }

    /// Counts a request that was not decided.
    pub(crate) fn refused(&self, error: &AcquireError) {
        let outcome = match error {
            AcquireError::NeverFits { .. } => &self.outcomes.never_fits,
            AcquireError::NoRoom => &self.outcomes.no_room,
            AcquireError::Overloaded(_) => &self.outcomes.overloaded,
            AcquireError::Unavailable => &self.outcomes.unavailable,
        };
        outcome.increment(1);
    }

    /// Counts a request that made no sense.
    pub(crate) fn invalid(&self) {
        self.outcomes.invalid.increment(1);
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn render(&self, figures: &Figures) -> String {
        self.buckets.set(figures.buckets as f64);
        self.limits.set(figures.limits as f64);
        self.shards_led.set(figures.shards_led as f64);
        self.store_healthy.set(if figures.store_healthy { 1.0 } else { 0.0 });
        self.handle.render()
    }

    /// Moves what the histograms have gathered to where it takes no memory. To be called every few seconds.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl Events for Telemetry {
    fn on(&self, event: Event) {
        let cluster = &self.cluster;
        match event {
            Event::Committed { took_ns, .. } => {
                cluster.commits.increment(1);
                cluster.commit_seconds.record(took_ns as f64 / 1e9);
            }
            Event::TookOver { .. } => cluster.takeovers.increment(1),
            Event::ClockLate { .. } => cluster.late.increment(1),
            Event::ActorRestarted { .. } => cluster.restarts.increment(1),
            Event::GroupFailed { .. } => cluster.failed.increment(1),
            Event::SnapshotSaved { .. } => cluster.snapshots.increment(1),
            Event::Deciding { .. }
            | Event::Proposed { .. }
            | Event::Voting { .. }
            | Event::Voted { .. }
            | Event::HandedOver { .. }
            | Event::Degraded { .. } => {}
        }
    }
}

impl Tier {
    fn new(make: &Maker<'_>, tier: &str) -> Self {
        let label = [Label::new("tier", tier.to_owned())];
        Self {
            consumed: make.counter(&names::TOKENS_CONSUMED, &label),
            breaches: make.counter(&names::BREACHES, &label),
        }
    }
}

impl Outcomes {
    fn new(make: &Maker<'_>) -> Self {
        let outcome = |name: &'static str| make.counter(&names::REQUESTS, &[Label::new("outcome", name)]);
        Self {
            allowed: outcome("allowed"),
            denied: outcome("denied"),
            never_fits: outcome("never_fits"),
            no_room: outcome("no_room"),
            overloaded: outcome("overloaded"),
            unavailable: outcome("unavailable"),
            invalid: outcome("invalid"),
        }
    }
}

impl ClusterCounters {
    fn new(make: &Maker<'_>) -> Self {
        Self {
            commits: make.counter(&names::COMMITS, &[]),
            commit_seconds: make.histogram(&names::COMMIT_SECONDS),
            takeovers: make.counter(&names::TAKEOVERS, &[]),
            late: make.counter(&names::CLOCKS_LATE, &[]),
            restarts: make.counter(&names::ACTOR_RESTARTS, &[]),
            failed: make.counter(&names::GROUPS_FAILED, &[]),
            snapshots: make.counter(&names::SNAPSHOTS, &[]),
        }
    }
}

/// Makes handles, each described.
struct Maker<'a>(&'a PrometheusRecorder);

impl Maker<'_> {
    fn counter(&self, metric: &Metric, labels: &[Label]) -> Counter {
        self.0.describe_counter(metric.name.into(), None, metric.help.into());
        let counter = self.0.register_counter(&key(metric, labels), &METADATA);
        counter.increment(0);
        counter
    }

    fn gauge(&self, metric: &Metric) -> Gauge {
        self.0.describe_gauge(metric.name.into(), None, metric.help.into());
        self.0.register_gauge(&key(metric, &[]), &METADATA)
    }

    fn histogram(&self, metric: &Metric) -> Histogram {
        self.0.describe_histogram(metric.name.into(), None, metric.help.into());
        self.0.register_histogram(&key(metric, &[]), &METADATA)
    }
}

fn key(metric: &Metric, labels: &[Label]) -> metrics::Key {
    metrics::Key::from_parts(metric.name, labels.to_vec())
}
