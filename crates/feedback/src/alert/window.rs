//! The last minute of all nodes, added up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::spike::WARM_UP;
use super::{Labels, Readings, Signal, Spike, Values};
use crate::sample::{Batches, Requests, Sample, quantile_ms};

/// Over which time rates are taken.
const MINUTE_MS: i64 = 60_000;

/// A node that has not been heard of for so long is down, and nobody knows how it is.
const FRESH_MS: i64 = 5_000;

/// Signals that are no counts.
const RATIOS: [Signal; 3] = [Signal::ErrorRate, Signal::ResponseTime, Signal::BatchFailures];

/// How long a value of a rate's history is.
const SPIKE_STEP_MS: i64 = 10_000;

/// The most samples of a node that are kept: one a second, and a few that came late.
const MOST_SAMPLES: usize = 90;

/// The most endpoints of which the history is kept.
const MAX_ENDPOINTS: usize = 200;

/// What all nodes of a cluster measured within the last minute. Times are in milliseconds of a clock that never goes back.
#[derive(Debug, Default)]
pub struct Window {
    nodes: BTreeMap<u64, Heard>,
    spikes: BTreeMap<String, Spike>,
    /// When the histories take their next values.
    spikes_due_ms: Option<i64>,
    /// When it was first said which nodes there are.
    begun_ms: Option<i64>,
}

/// What was heard of a node.
#[derive(Debug)]
struct Heard {
    /// When it was heard of last, or first expected.
    last_ms: i64,
    /// Whether it was heard of at all.
    is_known: bool,
    samples: VecDeque<(i64, Sample)>,
}

impl Heard {
    fn is_fresh(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.last_ms) < FRESH_MS
    }

    /// 1 if it is down, 0 if not; `None` if it was not heard of yet, and may be.
    fn is_down(&self, now_ms: i64) -> Option<f64> {
        match (self.is_fresh(now_ms), self.is_known) {
            (true, true) => Some(0.0),
            (true, false) => None,
            (false, _) => Some(1.0),
        }
    }

    /// In how many seconds of the last minute it decided without a group.
    fn degraded_seconds(&self) -> f64 {
        self.samples.iter().filter(|(_, sample)| sample.requests.degraded > 0).count() as f64
    }

    /// How the node is now; `None` if that is not known.
    fn present(&self, now_ms: i64) -> Option<&Sample> {
        self.samples.back().filter(|_| self.is_fresh(now_ms)).map(|(_, sample)| sample)
    }
}

impl Window {
    /// Says which nodes there are. Of others nothing counts.
    pub fn expect(&mut self, nodes: &BTreeSet<u64>, now_ms: i64) {
        self.begun_ms.get_or_insert(now_ms);
        self.nodes.retain(|node, _| nodes.contains(node));
        for node in nodes {
            self.nodes.entry(*node).or_insert_with(|| Heard {
                last_ms: now_ms,
                is_known: false,
                samples: VecDeque::new(),
            });
        }
    }

    /// Takes what a node measured so long ago. What is of a node that is not expected is left out, as is what is older than a minute or
    /// than what is known.
    pub fn take(&mut self, node: u64, sample: Sample, age_ms: i64, now_ms: i64) {
        let Some(heard) = self.nodes.get_mut(&node) else { return };
        (heard.last_ms, heard.is_known) = (now_ms, true);
        let at_ms = now_ms.saturating_sub(age_ms.max(0));
        let is_older = heard.samples.back().is_some_and(|(latest_ms, _)| at_ms < *latest_ms);
        if !is_older && now_ms.saturating_sub(at_ms) < MINUTE_MS && heard.samples.len() < MOST_SAMPLES {
            heard.samples.push_back((at_ms, sample));
        }
    }

    /// What all signals show now.
    pub fn read(&mut self, now_ms: i64) -> Readings {
        for heard in self.nodes.values_mut() {
            while heard.samples.front().is_some_and(|(at_ms, _)| now_ms.saturating_sub(*at_ms) >= MINUTE_MS) {
                heard.samples.pop_front();
            }
        }
        let mut rates = self.rates();
        let is_anybody_here = self.nodes.values().any(|heard| heard.present(now_ms).is_some());
        let is_whole = is_anybody_here && self.begun_ms.is_some_and(|begun_ms| now_ms - begun_ms >= MINUTE_MS);
        if !is_whole {
            // Of a part of a minute a count is at least that much, and a ratio may be anything.
            RATIOS.iter().for_each(|ratio| drop(rates.insert(*ratio, BTreeMap::from([(Labels::new(), None)]))));
        }
        let partial = if is_whole { BTreeSet::new() } else { rates.keys().copied().collect() };
        let mut values = rates;
        values.extend(self.states(now_ms));
        let spikes = self.spikes(now_ms);
        let learns_for_ms = i64::from(WARM_UP) * SPIKE_STEP_MS;
        if self.begun_ms.is_some_and(|begun_ms| now_ms - begun_ms > learns_for_ms) {
            values.insert(Signal::UsageSpike, spikes);
        }
        Readings { values, partial }
    }

    /// What is counted.
    fn rates(&self) -> BTreeMap<Signal, Values> {
        let (mut requests, mut batches) = (Requests::default(), Batches::default());
        let (mut trips, mut limits, mut keys) = (0_u64, BTreeMap::new(), BTreeMap::new());
        for sample in self.samples() {
            requests.add(&sample.requests);
            batches.add(&sample.batches);
            trips = trips.saturating_add(sample.circuit_trips);
            for (limit, denials) in &sample.denials {
                add(limits.entry(labels([("limit", limit)])).or_default(), *denials);
            }
            for denied in &sample.denied_keys {
                let key = labels([("limit", &denied.limit), ("key", &denied.key)]);
                add(keys.entry(key).or_default(), denied.denials);
            }
        }
        let failed_batches = batches.partial.saturating_add(batches.failed);
        let counted = |counts: BTreeMap<Labels, u64>| counts.into_iter().map(|(of, count)| (of, Some(count as f64)));
        BTreeMap::from([
            (Signal::ErrorRate, whole(percent(requests.failed, requests.total()))),
            (Signal::ResponseTime, whole(quantile_ms(&requests.latencies, 0.99).unwrap_or(0.0))),
            (Signal::Degraded, whole(self.nodes.values().map(Heard::degraded_seconds).fold(0.0, f64::max))),
            (Signal::CircuitTrips, whole(trips as f64)),
            (Signal::BatchFailures, whole(percent(failed_batches, failed_batches.saturating_add(batches.successful)))),
            (Signal::Breaches, counted(limits).collect()),
            (Signal::KeyDenials, counted(keys).collect()),
        ])
    }

    /// What is so or not.
    fn states(&self, now_ms: i64) -> BTreeMap<Signal, Values> {
        let present: Vec<&Sample> = self.nodes.values().filter_map(|heard| heard.present(now_ms)).collect();
        let greatest = |of: fn(&Sample) -> f64| match present.is_empty() {
            true => BTreeMap::from([(Labels::new(), None)]),
            false => whole(present.iter().map(|sample| of(sample)).fold(0.0, f64::max)),
        };
        let of_each = |of: &dyn Fn(&Heard) -> Option<f64>| -> Values {
            self.nodes.iter().map(|(node, heard)| (labels([("node", &node.to_string())]), of(heard))).collect()
        };
        let of_present = |of: fn(&Sample) -> Option<f64>| of_each(&|heard| heard.present(now_ms).and_then(of));
        let redis_latency = |sample: &Sample| sample.redis.map_or(0.0, |redis| redis.latency_ms);
        let mut states = BTreeMap::from([
            (Signal::QueueFull, greatest(|sample| sample.queue * 100.0)),
            (Signal::RedisLatency, greatest(redis_latency)),
            (Signal::Mode, greatest(|sample| f64::from(sample.mode))),
            (
                Signal::RedisUnavailable,
                of_present(|sample| sample.redis.map(|redis| redis.unavailable_ms as f64 / 1e3)),
            ),
            (Signal::DiskFailed, of_present(|sample| Some(if sample.disk.has_failed { 1.0 } else { 0.0 }))),
            (Signal::DiskFull, of_present(|sample| sample.disk.fill.map(|fill| fill * 100.0))),
            (Signal::NodeDown, of_each(&|heard| heard.is_down(now_ms))),
        ]);
        if !present.is_empty() {
            states.insert(Signal::Leaderless, leaderless(&present));
        }
        states
    }

    /// How unusual the rates of the endpoints are.
    fn spikes(&mut self, now_ms: i64) -> Values {
        let due_ms = *self.spikes_due_ms.get_or_insert(now_ms + SPIKE_STEP_MS);
        if now_ms >= due_ms {
            let from_ms = now_ms - SPIKE_STEP_MS;
            self.spikes_due_ms = Some(now_ms + SPIKE_STEP_MS);
            let mut counts: BTreeMap<String, u64> = self.spikes.keys().map(|endpoint| (endpoint.clone(), 0)).collect();
            let samples = self.nodes.values().flat_map(|heard| &heard.samples);
            for (_, sample) in samples.filter(|(at_ms, _)| *at_ms > from_ms) {
                for (endpoint, requests) in &sample.endpoints {
                    if counts.len() < MAX_ENDPOINTS || counts.contains_key(endpoint) {
                        add(counts.entry(endpoint.clone()).or_default(), requests.total());
                    }
                }
            }
            for (endpoint, count) in counts {
                self.spikes.entry(endpoint).or_default().next(count as f64 * 1e3 / SPIKE_STEP_MS as f64);
            }
        }
        self.spikes.iter().map(|(endpoint, spike)| (labels([("endpoint", endpoint)]), Some(spike.score()))).collect()
    }

    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.nodes.values().flat_map(|heard| &heard.samples).map(|(_, sample)| sample)
    }
}

fn add(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}

/// Of each shard that no node knows a leader of: for how long the one that knew one last has not, in seconds.
fn leaderless(present: &[&Sample]) -> Values {
    let shards: BTreeSet<u32> = present.iter().flat_map(|sample| sample.leaderless.keys().copied()).collect();
    let shortest = |shard: &u32| present.iter().map(|sample| sample.leaderless.get(shard).copied().unwrap_or(0)).min();
    let seconds = |shard: u32| {
        let without_ms = shortest(&shard).unwrap_or(0);
        (labels([("shard", &shard.to_string())]), Some(without_ms as f64 / 1e3))
    };
    shards.into_iter().map(seconds).collect()
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
    labels.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect()
}

/// Of the whole cluster.
fn whole(value: f64) -> Values {
    BTreeMap::from([(Labels::new(), Some(value))])
}

fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{DeniedKey, Disk, Redis};

    /// What a signal shows after each of these nodes has measured this a second ago; `…` where it is not known.
    fn shown(signal: Signal, samples: &[(u64, Sample)]) -> String {
        let mut window = Window::default();
        window.expect(&samples.iter().map(|(node, _)| *node).collect(), 0);
        samples.iter().for_each(|(node, sample)| window.take(*node, sample.clone(), 0, MINUTE_MS));
        text(&window.read(MINUTE_MS).values[&signal])
    }

    fn text(readings: &Values) -> String {
        let each = readings.iter().map(|(labels, value)| {
            let labels: Vec<&str> = labels.values().map(String::as_str).collect();
            let value = value.map_or("…".to_owned(), |value| format!("{value}"));
            format!("{}={value}", labels.join("/"))
        });
        each.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn signals_are_what_all_nodes_measured() {
        let none = Sample::default;
        let requests = |allowed, failed, degraded| Sample {
            requests: Requests { allowed, failed, degraded, ..Requests::default() },
            ..none()
        };
        let redis = |latency_ms, unavailable_ms| Sample { redis: Some(Redis { latency_ms, unavailable_ms }), ..none() };
        let leaderless = |shards: &[(u32, u64)]| Sample { leaderless: shards.iter().copied().collect(), ..none() };
        let denied = |denials| DeniedKey { limit: "a".to_owned(), key: "bob".to_owned(), denials };
        let denials = |denials| Sample {
            denials: BTreeMap::from([("a".to_owned(), denials)]),
            denied_keys: vec![denied(denials)],
            ..none()
        };
        let batches =
            |successful, partial, failed| Sample { batches: Batches { successful, partial, failed }, ..none() };
        let disk = |has_failed, fill| Sample { disk: Disk { has_failed, fill }, ..none() };
        let cases = [
            (Signal::ErrorRate, vec![(1, requests(90, 0, 0)), (2, requests(0, 10, 0))], "=10"),
            (Signal::ErrorRate, vec![(1, none())], "=0"),
            (Signal::Degraded, vec![(1, requests(9, 0, 2)), (1, requests(9, 0, 1)), (2, requests(9, 0, 3))], "=2"),
            (Signal::Breaches, vec![(1, denials(3)), (2, denials(4))], "a=7"),
            (Signal::KeyDenials, vec![(1, denials(3)), (2, denials(4))], "bob/a=7"),
            (Signal::BatchFailures, vec![(1, batches(6, 1, 1)), (2, batches(2, 0, 0))], "=20"),
            (Signal::RedisLatency, vec![(1, redis(3.0, 0)), (2, redis(4.0, 0))], "=4"),
            (Signal::RedisUnavailable, vec![(1, redis(3.0, 0)), (2, redis(4.0, 7_000)), (3, none())], "1=0 2=7 3=…"),
            (
                Signal::QueueFull,
                vec![(1, Sample { queue: 0.5, ..none() }), (2, Sample { queue: 0.25, ..none() })],
                "=50",
            ),
            (Signal::Mode, vec![(1, Sample { mode: 2, ..none() }), (2, none())], "=2"),
            (Signal::DiskFailed, vec![(1, disk(true, None)), (2, disk(false, None))], "1=1 2=0"),
            (Signal::DiskFull, vec![(1, disk(false, Some(0.5))), (2, disk(false, None))], "1=50 2=…"),
            (
                Signal::Leaderless,
                vec![(1, leaderless(&[(0, 9_000), (1, 7_000)])), (2, leaderless(&[(1, 6_000)]))],
                "0=0 1=6",
            ),
            (Signal::CircuitTrips, vec![(1, Sample { circuit_trips: 2, ..none() }), (2, none())], "=2"),
        ];
        for (signal, samples, expected) in cases {
            assert_eq!(shown(signal, &samples), expected, "{signal:?} of {samples:?}");
        }
    }

    #[test]
    fn what_was_measured_while_nobody_could_be_told_counts_by_its_age() {
        let mut window = Window::default();
        window.expect(&BTreeSet::from([1]), 100_000);
        let requests = Requests { degraded: 1, ..Requests::default() };
        let degraded = Sample { requests, ..Sample::default() };
        let ages_ms = [70_000, 60_000, 59_000, 30_000, 31_000, 0, -5_000];
        ages_ms.iter().for_each(|age_ms| window.take(1, degraded.clone(), *age_ms, 100_000));
        let shown = |window: &mut Window, now_ms| text(&window.read(now_ms).values[&Signal::Degraded]);
        assert_eq!(shown(&mut window, 100_000), "=4", "too old, or before what is known, counts for nothing");
        assert_eq!(shown(&mut window, 101_000), "=3");
        assert_eq!(shown(&mut window, 130_000), "=2");
    }

    #[test]
    fn what_is_older_than_a_minute_counts_no_more_and_who_is_silent_is_down() {
        let mut window = Window::default();
        window.expect(&BTreeSet::from([1, 2]), 0);
        let requests = Requests { allowed: 1, failed: 1, ..Requests::default() };
        let sample = Sample { requests, circuit_trips: 2, mode: 1, ..Sample::default() };
        window.take(1, sample.clone(), 0, 0);
        window.take(3, sample, 0, 0);
        let cases = [
            (0, "=2", "1=0 2=…", "=1"),
            (4_999, "=2", "1=0 2=…", "=1"),
            (5_000, "=2", "1=1 2=1", "=…"),
            (59_999, "=2", "1=1 2=1", "=…"),
            (60_000, "=0", "1=1 2=1", "=…"),
        ];
        for (now_ms, trips, down, mode) in cases {
            let readings = window.read(now_ms);
            let of = |signal| text(&readings.values[&signal]);
            let found = (of(Signal::CircuitTrips), of(Signal::NodeDown), of(Signal::Mode));
            assert!(readings.partial.contains(&Signal::CircuitTrips), "nobody was heard of for a minute");
            assert_eq!(of(Signal::ErrorRate), "=…", "a ratio of a part of a minute says nothing");
            assert_eq!(found, (trips.to_owned(), down.to_owned(), mode.to_owned()), "at {now_ms}");
        }
        window.expect(&BTreeSet::from([1]), 60_000);
        assert_eq!(text(&window.read(60_000).values[&Signal::NodeDown]), "1=1", "node 2 was removed");
    }
}
