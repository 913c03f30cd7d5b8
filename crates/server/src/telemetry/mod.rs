//! Metrics: what a node counts, the samples that it takes of that each second, and the text that Prometheus reads.
//!
//! A decision is counted once, by what its endpoint has for the class of its latency (`request_counts`), and once for its tier; all
//! that is served follows from these: the node's requests are the sum over its endpoints. A denial is also counted for its limit and
//! its key (`denials`). Handles are made once. No label ever holds a bucket's key.
//!
//! ```text
//! decisions ─► counters ─► MetricsActor ─► Sample ─► history (/v1/stats), subscribers
//! events    ─┘          └► /metrics      (a second)
//! ```

mod alerts;
mod cluster;
mod denials;
mod histogram;
mod history;
mod maker;
mod metrics_actor;
mod parts;
mod process;
mod request_counts;
mod series;
mod space_saving;
mod stream;
mod striped;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use tollgate_cluster::{AcquireError, Event, Events, Fate, Verdict};
use tollgate_feedback::alert::Severity;
use tollgate_feedback::sample::Sample;
use tollgate_limiter::Limits;

use crate::metric_names as names;
use alerts::AlertMetrics;
use cluster::{ClusterMetrics, SECONDS};
use denials::Denials;
use maker::Maker;
use parts::Parts;
use request_counts::Totals;
use series::Series;
use stream::Stream;

pub use alerts::ReceiverKind;
pub(crate) use history::{History, Rolling, Window};
pub(crate) use metrics_actor::MetricsActor;
pub(crate) use parts::PartsStatus;
pub use parts::{BatchOutcome, BreakerState, Mode};
pub use stream::Samples;

/// All metrics of a node.
pub struct Telemetry {
    maker: Maker,
    exporter: PrometheusHandle,
    series: ArcSwap<Series>,
    /// Held while series are made, so that none is made twice.
    making: Mutex<()>,
    outcomes: Outcomes,
    shadow_denials: Counter,
    degraded: Counter,
    denials: Denials,
    gauges: Gauges,
    cluster: ClusterMetrics,
    parts: Parts,
    alerts: AlertMetrics,
    stream: Stream,
    history: Mutex<History>,
}

/// A request that was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// What was asked for.
    pub endpoint: &'a str,
    /// Its other labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The units that it asked for.
    pub cost: u64,
    /// How long the decision took, waiting for its turn included.
    pub took: Duration,
}

impl<'a> Decided<'a> {
    fn label(&self, name: &str) -> Option<&'a str> {
        if name == "endpoint" { Some(self.endpoint) } else { self.labels.get(name).map(String::as_str) }
    }
}

/// Requests by what became of them.
struct Outcomes {
    allowed: Counter,
    denied: Counter,
    never_fits: Counter,
    no_room: Counter,
    overloaded: Counter,
    unavailable: Counter,
    invalid: Counter,
}

/// What is measured when the metrics are read.
pub(crate) struct Figures {
    pub(crate) buckets: u64,
    pub(crate) limits: usize,
    pub(crate) shards_led: usize,
    pub(crate) store_healthy: bool,
}

struct Gauges {
    buckets: Gauge,
    limits: Gauge,
    shards_led: Gauge,
    store_healthy: Gauge,
}

impl Telemetry {
    /// Makes all metrics, at 0; with `legacy_names` also those of the older systems.
    pub fn new(legacy_names: bool) -> Self {
        let maker = Maker::new();
        Self {
            exporter: maker.handle(),
            series: ArcSwap::from_pointee(Series::new(&maker, legacy_names)),
            making: Mutex::default(),
            outcomes: Outcomes::new(&maker),
            shadow_denials: maker.counter(&names::SHADOW_DENIALS),
            degraded: maker.counter(&names::DEGRADED),
            denials: Denials::default(),
            gauges: Gauges::new(&maker),
            cluster: ClusterMetrics::new(&maker),
            parts: Parts::new(&maker, legacy_names),
            alerts: AlertMetrics::new(&maker),
            stream: Stream::new(),
            history: Mutex::new(History::new()),
            maker,
        }
    }

    /// Makes series for the tiers and endpoints that the limits name. Cheap where it knows these limits.
    pub fn know(&self, limits: &Limits) {
        if self.series.load().knows(limits) {
            return;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let series = self.series.load().with(limits, &self.maker);
        self.series.store(Arc::new(series));
    }

    /// Counts a decision.
    pub fn decided(&self, verdict: &Verdict, request: &Decided<'_>) {
        let series = self.series.load();
        series.endpoint(request.endpoint).counts.decided(verdict.allowed, verdict.degraded, request.took);
        series.tier(request.labels.get("tier").map(String::as_str)).decided(verdict.allowed, request.cost);
        let denying = verdict.limits.iter().filter(|limit| !limit.allowed);
        let mut in_shadow = false;
        for limit in denying {
            if limit.limit.shadow {
                in_shadow = true;
            } else {
                self.denials.denied(&limit.limit, |name| request.label(name));
            }
        }
        if in_shadow {
            self.shadow_denials.increment(1);
        }
    }

    /// Counts a request to an endpoint that was not decided. As failed counts what the node could not do, and not a cost that can
    /// never fit.
    pub fn refused(&self, endpoint: &str, error: &AcquireError) {
        let (outcome, is_failure) = match error {
            AcquireError::NeverFits { .. } => (&self.outcomes.never_fits, false),
            AcquireError::NoRoom => (&self.outcomes.no_room, true),
            AcquireError::Overloaded(_) => (&self.outcomes.overloaded, true),
            AcquireError::Unavailable => (&self.outcomes.unavailable, true),
        };
        outcome.increment(1);
        if is_failure {
            self.series.load().endpoint(endpoint).counts.failed();
        }
    }

    /// Counts a request that made no sense.
    pub fn invalid(&self) {
        self.outcomes.invalid.increment(1);
    }

    /// The samples from here on, for a subscriber of this name. It is served by how many it loses for being slow.
    pub fn subscribe(&self, name: &'static str) -> Samples {
        self.stream.subscribe(self.maker.counter_of(&names::SAMPLES_DROPPED, &[("subscriber", name)]))
    }

    /// Adds a sample, taken so many seconds after the first, to the history, and tells it to the subscribers.
    fn tell(&self, seconds: u64, sample: Sample) {
        self.history().add(seconds, &sample);
        self.stream.tell(sample);
    }

    /// What was measured lately.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the parts of the node are.
    pub(crate) fn parts(&self) -> PartsStatus {
        self.parts.status()
    }

    /// The endpoints that are counted, in the order of their names; the last stands for all others.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.series.load().endpoints().map(|(name, _)| name.to_owned()).collect()
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn render(&self, figures: &Figures) -> String {
        self.gauges.show(figures);
        let series = self.series.load();
        series.publish();
        let endpoints: Vec<_> = series.endpoints().map(|(name, endpoint)| (name, endpoint.counts.totals())).collect();
        let node = endpoints.iter().map(|(_, totals)| *totals).fold(Totals::default(), Totals::plus);
        self.outcomes.allowed.absolute(node.requests.allowed);
        self.outcomes.denied.absolute(node.requests.denied);
        self.degraded.absolute(node.requests.degraded);
        let mut text = self.exporter.render();
        histogram::render(&names::DECISION_SECONDS, &SECONDS, [(None, node.latencies())], &mut text);
        let by_endpoint = endpoints.iter().map(|(name, totals)| (Some(("endpoint", *name)), totals.latencies()));
        histogram::render(&names::ENDPOINT_DECISION_SECONDS, &SECONDS, by_endpoint, &mut text);
        self.cluster.render(&mut text);
        self.parts.render(&mut text);
        process::render(&mut text);
        text
    }
}

/// What the parts of a node tell of themselves.
impl Telemetry {
    /// A batch of so many items was done, of as many as it could have had: `utilization` is that part, 0 to 1.
    pub fn batch(&self, outcome: BatchOutcome, size: u64, utilization: f64) {
        self.parts.batch(outcome, size, utilization);
    }

    /// So much waits in the fullest queue, of so much that may.
    pub fn queue(&self, length: u64, limit: u64) {
        self.parts.queue(length, limit);
    }

    /// The circuit breaker stands like this from here on. When it opens, that is counted.
    pub fn breaker(&self, state: BreakerState) {
        self.parts.breaker(state);
    }

    /// The node works like this from here on.
    pub fn mode(&self, mode: Mode) {
        self.parts.mode(mode);
    }

    /// Whether something stands in for what is not reached.
    pub fn fallback(&self, is_active: bool) {
        self.parts.fallback(is_active);
    }

    /// An operation on Redis took so long.
    pub fn redis_answered(&self, latency: Duration) {
        self.parts.redis_answered(latency);
    }

    /// An operation on Redis failed.
    pub fn redis_failed(&self) {
        self.parts.redis_failed();
    }

    /// Whether Redis is reached. Until this or an answer is told, there is none as far as samples know.
    pub fn redis_available(&self, is_available: bool) {
        self.parts.redis_available(is_available);
    }

    /// So many alerts of a severity are firing.
    pub fn alerts_firing(&self, severity: Severity, alerts: usize) {
        self.alerts.firing(severity, alerts);
    }

    /// An attempt was made to deliver a message.
    pub fn alert_message(&self, receiver: ReceiverKind, fate: Fate) {
        self.alerts.message(receiver, fate);
    }

    /// So many messages wait to be delivered.
    pub fn alert_messages_waiting(&self, messages: usize) {
        self.alerts.waiting(messages);
    }
}

impl Events for Telemetry {
    fn on(&self, event: Event) {
        match event {
            Event::Overlooked { subjects } => self.alerts.overlooked(subjects),
            Event::Delivering { fate: Fate::GivenUp, .. } => self.alerts.given_up(),
            event => self.cluster.on(event),
        }
    }
}

impl Outcomes {
    fn new(maker: &Maker) -> Self {
        let outcome = |name: &str| maker.counter_of(&names::REQUESTS, &[("outcome", name)]);
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

impl Gauges {
    fn new(maker: &Maker) -> Self {
        Self {
            buckets: maker.gauge(&names::BUCKETS),
            limits: maker.gauge(&names::LIMITS),
            shards_led: maker.gauge(&names::SHARDS_LED),
            store_healthy: maker.gauge(&names::STORE_HEALTHY),
        }
    }

    fn show(&self, figures: &Figures) {
        self.buckets.set(figures.buckets as f64);
        self.limits.set(figures.limits as f64);
        self.shards_led.set(figures.shards_led as f64);
        self.store_healthy.set(f64::from(u8::from(figures.store_healthy)));
    }
}

#[cfg(test)]
mod tests;
