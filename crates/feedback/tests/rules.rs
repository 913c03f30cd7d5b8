//! The built-in rules on recorded series: what each says, and when.

use tollgate_feedback::alert::{Change, Evaluator, Labels, Readings, Rule, Signal, Thresholds};

/// The thresholds of a configuration that says nothing.
const THRESHOLDS: Thresholds = Thresholds {
    error_rate: 5.0,
    queue_full: 80.0,
    circuit_trips: 3.0,
    response_time: 500.0,
    batch_failures: 10.0,
    redis_latency: 100.0,
    breaches: 100.0,
};

/// For so many seconds a signal shows a value, or none.
type Stretch = (i64, Option<f64>);

/// What is said of a signal that shows this, one look a second, each as `second rule change`.
fn said(signal: Signal, series: &[Stretch]) -> String {
    let (mut evaluator, unknown) = Evaluator::new(Rule::built_in(&THRESHOLDS), [], 0);
    assert!(unknown.is_empty());
    let values = series.iter().flat_map(|(seconds, value)| (0..*seconds).map(|_| *value));
    let mut said = Vec::new();
    for (second, value) in (0_i64..).zip(values) {
        let mut readings = Readings::default();
        readings.values.entry(signal).or_default().insert(Labels::new(), value);
        for transition in evaluator.evaluate(second * 1_000, &readings) {
            let change = match transition.change {
                Change::Fired => "fired",
                Change::Resolved => "resolved",
                Change::Flaps => "flaps",
            };
            said.push(format!("{second} {} {change}", transition.subject.rule));
        }
    }
    said.join(", ")
}

fn check(cases: &[(&str, Signal, &[Stretch], &str)]) {
    for (claim, signal, series, expected) in cases {
        assert_eq!(said(*signal, series), *expected, "{claim}");
    }
}

#[test]
fn each_rule_fires_above_its_threshold_for_as_long_as_it_says_and_ends_a_minute_after() {
    use Signal::{
        BatchFailures, Breaches, CircuitTrips, Degraded, DiskFailed, DiskFull, ErrorRate, KeyDenials, Leaderless, Mode,
        NodeDown, QueueFull, RedisLatency, RedisUnavailable, ResponseTime, UsageSpike,
    };
    check(&[
        ("at the threshold", ErrorRate, &[(120, Some(5.0))], ""),
        (
            "half a minute",
            ErrorRate,
            &[(40, Some(5.1)), (100, Some(5.0))],
            "30 error_rate fired, 100 error_rate resolved",
        ),
        ("too short", ErrorRate, &[(30, Some(90.0)), (100, Some(0.0))], ""),
        ("a queue", QueueFull, &[(11, Some(80.5)), (61, Some(80.0))], "10 queue_full fired, 71 queue_full resolved"),
        (
            "one circuit",
            CircuitTrips,
            &[(1, Some(1.0)), (61, Some(0.0))],
            "0 circuit_open fired, 61 circuit_open resolved",
        ),
        (
            "four circuits",
            CircuitTrips,
            &[(1, Some(4.0)), (1, Some(3.0))],
            "0 circuit_trips fired, 0 circuit_open fired",
        ),
        ("slow answers", ResponseTime, &[(31, Some(500.1))], "30 response_time fired"),
        ("failed batches", BatchFailures, &[(31, Some(10.1))], "30 batch_failures fired"),
        ("a slow Redis", RedisLatency, &[(31, Some(100.1))], "30 redis_latency fired"),
        (
            "a Redis away for five minutes",
            RedisUnavailable,
            &[(1, Some(300.0)), (1, Some(300.1))],
            "1 redis_unavailable fired",
        ),
        (
            "and for fifteen",
            RedisUnavailable,
            &[(1, Some(900.1)), (61, Some(0.0))],
            "0 redis_unavailable fired, 0 redis_unavailable_long fired, \
             61 redis_unavailable resolved, 61 redis_unavailable_long resolved",
        ),
        ("denials of a limit", Breaches, &[(1, Some(100.0)), (1, Some(101.0))], "1 breaches fired"),
        ("denials of a key", KeyDenials, &[(1, Some(100.0)), (1, Some(101.0))], "1 excessive_use fired"),
        ("a spike", UsageSpike, &[(1, Some(20.0)), (1, Some(20.1))], "1 usage_spike fired"),
        ("a failover", Degraded, &[(60, Some(5.0))], ""),
        ("without a quorum", Degraded, &[(1, Some(6.0)), (70, Some(1.0))], "0 limiter_failing fired"),
        ("a shard without a leader", Leaderless, &[(1, Some(5.0)), (1, Some(5.1))], "1 limiter_failing fired"),
        ("a disk that fails", DiskFailed, &[(1, Some(1.0))], "0 limiter_failing fired"),
        (
            "a disk that fills up, and is freed a little, and more",
            DiskFull,
            &[(1, Some(90.0)), (1, Some(90.1)), (120, Some(86.0)), (61, Some(85.0))],
            "1 limiter_failing fired, 182 limiter_failing resolved",
        ),
        ("a node", NodeDown, &[(31, Some(1.0)), (61, Some(0.0))], "30 node_down fired, 91 node_down resolved"),
        ("reduced", Mode, &[(1, Some(1.0))], "0 mode_change fired"),
        ("emergency", Mode, &[(1, Some(2.0))], "0 mode_change fired, 0 mode_emergency fired"),
    ]);
}

#[test]
fn what_is_missing_neither_begins_nor_ends_anything() {
    let (over, none, fine) = (Some(90.0), None, Some(0.0));
    check(&[
        ("nothing at all", Signal::ErrorRate, &[(600, none)], ""),
        ("missing while it is watched", Signal::ErrorRate, &[(10, over), (40, none), (1, over)], "50 error_rate fired"),
        ("missing while it fires", Signal::ErrorRate, &[(31, over), (600, none)], "30 error_rate fired"),
        (
            "missing while it is about to be over",
            Signal::ErrorRate,
            &[(31, over), (10, fine), (600, none), (1, fine)],
            "30 error_rate fired, 641 error_rate resolved",
        ),
        ("no number", Signal::NodeDown, &[(600, Some(f64::NAN))], ""),
    ]);
}

#[test]
fn what_comes_back_within_a_minute_was_not_over_and_what_comes_and_goes_flaps_once() {
    let (low, high) = (Some(0.0), Some(1.0));
    let goes = |times: usize| [(61, high), (61, low)].repeat(times);
    check(&[
        ("back in time", Signal::Mode, &[(1, high), (60, low), (1, high), (60, low)], "0 mode_change fired"),
        (
            "three times in a quarter of an hour",
            Signal::Mode,
            &goes(3),
            "0 mode_change fired, 121 mode_change resolved, 122 mode_change fired, 243 mode_change resolved, \
             244 mode_change fired, 365 mode_change resolved",
        ),
        (
            "again and again, and then for good",
            Signal::Mode,
            &[goes(6), vec![(2_000, high)]].concat(),
            "0 mode_change fired, 121 mode_change resolved, 122 mode_change fired, 243 mode_change resolved, \
             244 mode_change fired, 365 mode_change resolved, 366 mode_change flaps, 1632 mode_change fired",
        ),
    ]);
}
