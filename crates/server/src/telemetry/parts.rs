//! What the parts of a node tell of themselves: batches, queue, circuit breaker, mode, Redis. Where a part is not there, its metrics
//! stay at 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use metrics::{Counter, Gauge};
use tokio::time::Instant;
use tollgate_feedback::sample::{Batches, Redis};

use super::histogram::{Histogram, Scale};
use super::maker::Maker;
use crate::metric_names as names;

/// Sizes of batches: powers of two up to the most items that a request may have.
static BATCH_SIZES: Scale = Scale { unit: 1.0, bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024] };

/// What became of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchOutcome {
    /// Everything of it was done.
    Successful,
    /// Some of it was done.
    Partial,
    /// Nothing of it was done.
    Failed,
}

/// How a circuit breaker stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// One call is let through to see whether it succeeds.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// How a node works.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// As configured.
    #[default]
    Normal,
    /// With less than is configured.
    Reduced,
    /// With as little as there must be.
    Emergency,
}

/// The metrics of the parts.
pub(super) struct Parts {
    state: State,
    batch_size: Histogram,
    shown: Shown,
}

/// What the parts told last, and counts since the start.
#[derive(Default)]
struct State {
    successful: AtomicU64,
    partial: AtomicU64,
    failed: AtomicU64,
    queue_length: AtomicU64,
    queue_limit: AtomicU64,
    breaker: AtomicU8,
    breaker_trips: AtomicU64,
    mode: AtomicU8,
    /// Whether there is a Redis at all, which is known when it was spoken to.
    has_redis: AtomicBool,
    /// Since when it is not reached; `None` while it is.
    redis_away: ArcSwapOption<Instant>,
    redis_latency_us: AtomicU64,
}

/// What the exporter shows.
struct Shown {
    successful: Counter,
    partial: Counter,
    failed: Counter,
    batch_utilization: Gauge,
    queue_length: Gauge,
    queue_limit: Gauge,
    breaker: Gauge,
    breaker_trips: Counter,
    mode: Gauge,
    fallback: Gauge,
    redis_available: Gauge,
    redis_failures: Counter,
    redis_latency: Gauge,
    /// `None` without the names of the older systems.
    redis_latency_ms: Option<Gauge>,
}

/// How the parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PartsStatus {
    /// Batches since the start.
    pub(crate) batches: Batches,
    pub(crate) queue: Queue,
    pub(crate) breaker: BreakerState,
    /// Since the start.
    pub(crate) breaker_trips: u64,
    pub(crate) mode: Mode,
    pub(crate) redis: Option<Redis>,
}

/// What waits, and how much may.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Queue {
    pub(crate) length: u64,
    pub(crate) limit: u64,
}

impl Queue {
    /// How full it is, 0 to 1; 0 where nothing may wait.
    pub(crate) fn utilization(self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.length as f64 / self.limit as f64 }
    }
}

impl Mode {
    const ALL: [Self; 3] = [Self::Normal, Self::Reduced, Self::Emergency];

    /// Its number in samples and metrics.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl BreakerState {
    const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl Parts {
    pub(super) fn new(maker: &Maker, legacy_names: bool) -> Self {
        Self {
            state: State::default(),
            batch_size: Histogram::new(&BATCH_SIZES),
            shown: Shown::new(maker, legacy_names),
        }
    }

    pub(super) fn batch(&self, outcome: BatchOutcome, size: u64, utilization: f64) {
        let (count, shown) = match outcome {
            BatchOutcome::Successful => (&self.state.successful, &self.shown.successful),
            BatchOutcome::Partial => (&self.state.partial, &self.shown.partial),
            BatchOutcome::Failed => (&self.state.failed, &self.shown.failed),
        };
        count.fetch_add(1, Ordering::Relaxed);
        shown.increment(1);
        self.batch_size.record(size);
        self.shown.batch_utilization.set(utilization);
    }

    pub(super) fn queue(&self, length: u64, limit: u64) {
        self.state.queue_length.store(length, Ordering::Relaxed);
        self.state.queue_limit.store(limit, Ordering::Relaxed);
        self.shown.queue_length.set(length as f64);
        self.shown.queue_limit.set(limit as f64);
    }

    pub(super) fn breaker(&self, state: BreakerState) {
        let before = self.state.breaker.swap(state as u8, Ordering::Relaxed);
        self.shown.breaker.set(f64::from(state as u8));
        if state == BreakerState::Open && before != state as u8 {
            self.state.breaker_trips.fetch_add(1, Ordering::Relaxed);
            self.shown.breaker_trips.increment(1);
        }
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.state.mode.store(mode.number(), Ordering::Relaxed);
        self.shown.mode.set(f64::from(mode.number()));
    }

    pub(super) fn fallback(&self, is_active: bool) {
        self.shown.fallback.set(f64::from(u8::from(is_active)));
    }

    pub(super) fn redis_answered(&self, latency: Duration) {
        self.redis_available(true);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.state.redis_latency_us.store(latency_us, Ordering::Relaxed);
        self.shown.redis_latency.set(latency.as_secs_f64());
        if let Some(shown) = &self.shown.redis_latency_ms {
            shown.set(latency.as_secs_f64() * 1e3);
        }
    }

    pub(super) fn redis_failed(&self) {
        self.shown.redis_failures.increment(1);
    }

    pub(super) fn redis_available(&self, is_available: bool) {
        if is_available {
            self.state.redis_away.store(None);
        } else if self.state.redis_away.load().is_none() {
            self.state.redis_away.store(Some(Arc::new(Instant::now())));
        }
        self.state.has_redis.store(true, Ordering::Relaxed);
        self.shown.redis_available.set(f64::from(u8::from(is_available)));
    }

    /// How the parts are now.
    pub(super) fn status(&self) -> PartsStatus {
        let state = &self.state;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        PartsStatus {
            batches: Batches {
                successful: read(&state.successful),
                partial: read(&state.partial),
                failed: read(&state.failed),
            },
            queue: Queue { length: read(&state.queue_length), limit: read(&state.queue_limit) },
            breaker: BreakerState::of(state.breaker.load(Ordering::Relaxed)),
            breaker_trips: read(&state.breaker_trips),
            mode: Mode::of(state.mode.load(Ordering::Relaxed)),
            redis: state.redis(),
        }
    }

    /// Appends what the exporter does not show.
    pub(super) fn render(&self, text: &mut String) {
        self.batch_size.render(&names::BATCH_SIZE, text);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl State {
    fn redis(&self) -> Option<Redis> {
        self.has_redis.load(Ordering::Relaxed).then(|| Redis {
            latency_ms: self.redis_latency_us.load(Ordering::Relaxed) as f64 / 1e3,
            unavailable_ms: self.redis_away.load().as_ref().map_or(0, |since| millis(since.elapsed())),
        })
    }
}

impl Shown {
    fn new(maker: &Maker, legacy_names: bool) -> Self {
        let batches = |outcome| maker.counter_of(&names::BATCHES, &[("outcome", outcome)]);
        Self {
            successful: batches("successful"),
            partial: batches("partial"),
            failed: batches("failed"),
            batch_utilization: maker.gauge(&names::BATCH_UTILIZATION),
            queue_length: maker.gauge(&names::QUEUE_LENGTH),
            queue_limit: maker.gauge(&names::QUEUE_LIMIT),
            breaker: maker.gauge(&names::BREAKER_STATE),
            breaker_trips: maker.counter(&names::BREAKER_TRIPS),
            mode: maker.gauge(&names::MODE),
            fallback: maker.gauge(&names::FALLBACK_ACTIVE),
            redis_available: maker.gauge(&names::REDIS_AVAILABLE),
            redis_failures: maker.counter(&names::REDIS_FAILURES),
            redis_latency: maker.gauge(&names::REDIS_LATENCY),
            redis_latency_ms: legacy_names.then(|| maker.gauge(&names::LEGACY_REDIS_LATENCY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_trips_when_it_opens_and_not_while_it_is_open() {
        let parts = Parts::new(&Maker::new(), true);
        use BreakerState::{Closed, HalfOpen, Open};
        for (state, trips) in [(Closed, 0), (Open, 1), (Open, 1), (HalfOpen, 1), (Open, 2), (Closed, 2)] {
            parts.breaker(state);
            assert_eq!((parts.status().breaker, parts.status().breaker_trips), (state, trips));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_redis_is_there_once_it_was_spoken_to() {
        let parts = Parts::new(&Maker::new(), true);
        assert_eq!(parts.status().redis, None);
        parts.redis_answered(Duration::from_micros(1_500));
        assert_eq!(parts.status().redis, Some(Redis { latency_ms: 1.5, unavailable_ms: 0 }));
        for (is_available, unavailable_ms) in [(false, 0), (false, 1_000), (true, 0), (false, 0)] {
            parts.redis_available(is_available);
            assert_eq!(parts.status().redis, Some(Redis { latency_ms: 1.5, unavailable_ms }));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}
