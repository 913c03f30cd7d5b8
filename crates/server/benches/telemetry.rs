//! Nanoseconds that all metrics together cost a decision.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::time::Instant;
use tollgate_cluster::{LimitVerdict, Verdict};
use tollgate_limiter::{
    Algorithm, Consistency, Limit, LimitName, Limits, OnUnavailable, Pace, Pattern, Selector, Standing,
};
use tollgate_server::telemetry::{Decided, Telemetry};

/// As many endpoints and tiers as a large configuration names.
const NAMED: usize = 20;

/// Users of whom the requests of a benchmark are: more than are told apart, and few enough that their labels stay in the cache, as those of a
/// request that was just read do.
const USERS: usize = 1_000;

fn limit(name: &str, label: &str, value: &str) -> Limit {
    Limit {
        name: LimitName::new(name).expect("a legal name"),
        prefix: None,
        selectors: vec![Selector { label: label.to_owned(), any_of: vec![Pattern::new(value)] }],
        by: vec!["user".to_owned()],
        algorithm: Algorithm::TokenBucket(Pace::new(100, 60_000_000_000, 100).expect("a legal pace")),
        consistency: Consistency::Exact,
        on_unavailable: OnUnavailable::Local,
        shadow: false,
        reservation_ttl_ns: 1,
    }
}

fn telemetry() -> Telemetry {
    let mut limits = Limits::default();
    for number in 0..NAMED {
        limits.put(limit(&format!("tier-{number}"), "tier", &format!("tier-{number}")));
        limits.put(limit(&format!("endpoint-{number}"), "endpoint", &format!("endpoint-{number}")));
    }
    let telemetry = Telemetry::new(true);
    telemetry.know(&limits);
    telemetry
}

fn verdict(allowed: bool) -> Verdict {
    let standing = Standing { limit: 100, remaining: 7, retry_after_ns: 1_000, reset_after_ns: 1_000 };
    let limit = Arc::new(limit("tier-7", "tier", "tier-7"));
    Verdict::new(allowed, vec![LimitVerdict { limit, allowed, standing, shard: 0 }])
}

fn labels(user: usize) -> BTreeMap<String, String> {
    let label = |name: &str, value: String| (name.to_owned(), value);
    [label("tier", "tier-7".to_owned()), label("user", format!("user-{user}"))].into()
}

fn decide(telemetry: &Telemetry, verdict: &Verdict, labels: &BTreeMap<String, String>) {
    let took = Duration::from_micros(black_box(40));
    telemetry.decided(black_box(verdict), &Decided { endpoint: black_box("endpoint-7"), labels, cost: 1, took });
}

fn metrics_of_a_decision(criterion: &mut Criterion) {
    let (one, many) = (vec![labels(1)], (0..USERS).map(labels).collect::<Vec<_>>());
    for (name, allowed, users) in
        [("allowed", true, &one), ("denied, one key", false, &one), ("denied, many keys", false, &many)]
    {
        let (telemetry, verdict) = (telemetry(), verdict(allowed));
        let mut next = users.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| decide(&telemetry, &verdict, next.next().expect("there are users")));
        });
    }
}

/// Each of two threads decides so often; what is told is the time a decision takes on one of them.
fn with_two_threads(criterion: &mut Criterion) {
    for (name, allowed) in [("allowed, two threads", true), ("denied, two threads", false)] {
        let (telemetry, labels) = (telemetry(), labels(1));
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|decisions| {
                let started = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            let verdict = verdict(allowed);
                            (0..decisions).for_each(|_| decide(&telemetry, &verdict, &labels));
                        });
                    }
                });
                started.elapsed()
            });
        });
    }
}

criterion_group!(benches, metrics_of_a_decision, with_two_threads);
criterion_main!(benches);
