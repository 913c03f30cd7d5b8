//! The metrics of a node as a whole.

use tollgate_cluster::LimitVerdict;
use tollgate_limiter::{Limit, Pattern, Selector, Standing};

use super::*;
use crate::rules::limit_from_tier;

const FIGURES: Figures = Figures { buckets: 1, limits: 2, shards_led: 3, store_healthy: true };

/// A limit on the requests of which a label has one of these values.
fn limit(name: &str, label: &str, values: &[&str], shadow: bool) -> Limit {
    let any_of = values.iter().map(|value| Pattern::new(*value)).collect();
    let tier = tollgate_api::TierDocument { requests_per_minute: 1, burst_limit: None };
    let limit = limit_from_tier(name, &tier).expect("a legal limit");
    Limit { selectors: vec![Selector { label: label.to_owned(), any_of }], shadow, ..limit }
}

fn limits(limits: impl IntoIterator<Item = Limit>) -> Limits {
    let mut all = Limits::default();
    limits.into_iter().for_each(|limit| all.put(limit));
    all
}

fn sample_limits() -> Limits {
    limits([
        limit("pro", "tier", &["pro", "gold*"], false),
        limit("search", "endpoint", &["search", "reports/*"], false),
    ])
}

/// What limits say, by name: whether each lets the request pass, and whether it is in shadow.
fn verdict(limits: &[(&str, bool, bool)]) -> Verdict {
    let standing = Standing { limit: 1, remaining: 0, retry_after_ns: 1, reset_after_ns: 1 };
    let said = |(name, allowed, shadow): &(&str, bool, bool)| LimitVerdict {
        limit: Arc::new(limit(name, "tier", &["pro"], *shadow)),
        allowed: *allowed,
        standing,
        shard: 0,
    };
    let allowed = limits.iter().all(|(_, allowed, shadow)| *allowed || *shadow);
    Verdict::new(allowed, limits.iter().map(said).collect())
}

fn decide(telemetry: &Telemetry, endpoint: &str, tier: &str, verdict: &Verdict) {
    let labels = [("tier".to_owned(), tier.to_owned()), ("user".to_owned(), "42".to_owned())].into();
    telemetry.decided(verdict, &Decided { endpoint, labels: &labels, cost: 3, took: Duration::from_micros(40) });
}

fn check(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} is missing in\n{text}");
    }
}

#[test]
fn what_is_known_is_there_from_the_start_with_0() {
    let telemetry = Telemetry::new(true);
    telemetry.know(&sample_limits());
    let text = telemetry.render(&FIGURES);
    check(
        &text,
        &[
            r#"rate_limiter_tokens_consumed{tier="pro"} 0"#,
            r#"rate_limiter_breaches{tier="other"} 0"#,
            "redis_operation_latency_ms 0",
            r#"tollgate_requests_total{outcome="unavailable"} 0"#,
            r#"tollgate_endpoint_requests_total{endpoint="search",outcome="failed"} 0"#,
            r#"tollgate_endpoint_decision_seconds_count{endpoint="other"} 0"#,
            r#"tollgate_label_values_folded_total{label="endpoint"} 0"#,
            r#"tollgate_batches_total{outcome="partial"} 0"#,
            r#"tollgate_batch_size_bucket{le="1024"} 0"#,
            "tollgate_store_write_seconds_count 0",
            "tollgate_breaker_trips_total 0",
            r#"tollgate_alerts_firing{severity="critical"} 0"#,
            r#"tollgate_alert_messages_total{receiver="pagerduty",outcome="given_up"} 0"#,
            "tollgate_alerts_overlooked_total 0",
            "tollgate_store_healthy 1",
        ],
    );
    assert!(!text.contains('*') && !text.contains("gold"), "{text}");
}

#[test]
fn every_alert_threshold_is_a_bound() {
    let text = Telemetry::new(true).render(&FIGURES);
    for bound in ["0.000025", "0.1", "0.5", "1"] {
        check(&text, &[&format!("tollgate_decision_seconds_bucket{{le=\"{bound}\"}} 0")]);
    }
}

#[test]
fn the_older_names_can_be_left_out() {
    let telemetry = Telemetry::new(false);
    telemetry.know(&sample_limits());
    decide(&telemetry, "search", "pro", &verdict(&[]));
    let text = telemetry.render(&FIGURES);
    assert!(!text.contains("rate_limiter_") && !text.contains("redis_operation"), "{text}");
    check(&text, &[r#"tollgate_requests_total{outcome="allowed"} 1"#]);
}

#[test]
fn a_decision_is_counted_wherever_it_belongs() {
    let telemetry = Telemetry::new(true);
    telemetry.know(&sample_limits());
    decide(&telemetry, "search", "pro", &verdict(&[("pro", true, false), ("new", false, true)]));
    decide(&telemetry, "reports/daily", "gold-1", &verdict(&[("pro", false, false)]));
    telemetry.refused("search", &AcquireError::Unavailable);
    telemetry.refused("search", &AcquireError::NoRoom);
    telemetry.invalid();
    check(
        &telemetry.render(&FIGURES),
        &[
            r#"rate_limiter_tokens_consumed{tier="pro"} 3"#,
            r#"rate_limiter_breaches{tier="other"} 1"#,
            r#"tollgate_requests_total{outcome="allowed"} 1"#,
            r#"tollgate_requests_total{outcome="denied"} 1"#,
            r#"tollgate_requests_total{outcome="no_room"} 1"#,
            r#"tollgate_requests_total{outcome="invalid"} 1"#,
            r#"tollgate_endpoint_requests_total{endpoint="search",outcome="allowed"} 1"#,
            r#"tollgate_endpoint_requests_total{endpoint="search",outcome="failed"} 2"#,
            r#"tollgate_endpoint_requests_total{endpoint="other",outcome="denied"} 1"#,
            "tollgate_shadow_denials_total 1",
            r#"tollgate_decision_seconds_bucket{le="0.000025"} 0"#,
            r#"tollgate_decision_seconds_bucket{le="0.00005"} 2"#,
            "tollgate_decision_seconds_sum 0.00008",
        ],
    );
    let denied = telemetry.denials.take();
    assert_eq!(denied.limits, [("pro".to_owned(), 1)].into());
    assert_eq!(denied.keys[0].key, "42");
}

#[test]
fn a_label_has_200_values_at_most_and_says_how_many_it_lacks() {
    let named = |range: std::ops::Range<usize>| {
        let values: Vec<_> = range.map(|number| format!("e{number:03}")).collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        limit("all", "endpoint", &values, false)
    };
    let telemetry = Telemetry::new(true);
    let mut all = limits([named(0..150)]);
    telemetry.know(&all);
    all.put(named(100..300));
    telemetry.know(&all);
    telemetry.know(&all);
    let text = telemetry.render(&FIGURES);
    check(
        &text,
        &[
            r#"tollgate_label_values_folded_total{label="endpoint"} 100"#,
            r#"tollgate_label_values_folded_total{label="tier"} 0"#,
            r#"tollgate_endpoint_requests_total{endpoint="e000",outcome="denied"} 0"#,
        ],
    );
    assert_eq!(telemetry.endpoints().len(), 201);
    assert!(!text.contains("e200"));
}

#[test]
fn no_request_adds_a_series() {
    let telemetry = Telemetry::new(true);
    telemetry.know(&sample_limits());
    let series = |telemetry: &Telemetry| telemetry.render(&FIGURES).lines().count();
    let before = series(&telemetry);
    for number in 0..10_000 {
        let text = format!("x{number}");
        decide(&telemetry, &text, &text, &verdict(&[(&text, number % 2 == 0, false)]));
    }
    assert_eq!(series(&telemetry), before);
}

#[test]
fn a_subscriber_is_served_by_what_it_loses_from_the_start() {
    let telemetry = Telemetry::new(true);
    drop(telemetry.subscribe("alerts"));
    check(&telemetry.render(&FIGURES), &[r#"tollgate_samples_dropped_total{subscriber="alerts"} 0"#]);
}
