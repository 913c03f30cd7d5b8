//! What is accepted, and what it means.

use std::path::Path;
use std::time::Duration;

use tollgate_feedback::alert::Severity;
use tollgate_limiter::Algorithm;

use super::load_yaml;
use crate::config::{Config, Flags};

/// The example of the documentation, with every key that there is.
const EVERYTHING: &str = r#"
http: 127.0.0.1:8080
data: ./tollgate-data
max_buckets: 1e6
log: warn,tollgate_server=debug
metrics: {legacy_names: false}
cluster:
  node: 1
  peer: 127.0.0.1:9101
  nodes: {1: 127.0.0.1:9101, 2: 127.0.0.1:9102, 3: 127.0.0.1:9103}
  shards: 16
  replication: 3
  horizon_lead: 2s
  deadline: 50ms
rate_limits:
  basic:      {requests_per_minute: 100,  burst_limit: 20}
  pro:        {requests_per_minute: 500,  burst_limit: 100}
  enterprise: {requests_per_minute: 1000, burst_limit: 200}
limits:
  - {name: global, requests_per_minute: 60000, burst_limit: 2000}
  - {name: search, match: {endpoint: search}, by: [user], rate: 5, per: 1s, burst_limit: 10}
  - {name: reports, match: {endpoint: "reports/*"}, by: [user], algorithm: fixed_window, rate: 1000, per: 1d, consistency: exact, on_unavailable: deny}
redis: {url: redis://localhost:6379/0, failover_urls: [redis://backup:6379/0]}
circuit_breaker: {threshold: 5, timeout: 60}
queue: {max_size: 1000, batch_size: 10}
alerts:
  error_rate_threshold: 5.0
  queue_full_threshold: 80.0
  circuit_trips_threshold: 3
  response_time_threshold: 500
  batch_failure_threshold: 10.0
  redis_latency_threshold: 100
  breaches_threshold: 100
  receivers:
    slack: {url: "https://hooks.example.org/T0/B0/x"}
    pagerduty: {routing_key: "key", url: "https://events.pagerduty.com"}
    email: {smtp: "smtps://user:pass@host", from: a@b, to: [c@d], digest_at: "08:00", time_zone: Europe/Berlin}
    webhook: {url: "https://example.org/hook", secret: "s"}
    alertmanager: {url: "http://alertmanager:9093"}
  rules:
    error_rate: {fire: 7.5, clear: 5, for: 1m, keep_firing_for: 30, severity: critical, receivers: [slack, email], template: "{{ rule }}: {{ value }}"}
    slow_redis: {metric: redis_latency, fire: 500}
  routes: [{match: {severity: critical}, to: [pagerduty]}]
"#;

fn names(config: &Config) -> Vec<&str> {
    config.limits.iter().map(|limit| limit.name.as_str()).collect()
}

fn load(yaml: &str) -> Config {
    load_yaml(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

#[test]
fn the_documented_example_is_read_whole() {
    let config = load(EVERYTHING);
    assert_eq!(names(&config), ["basic", "enterprise", "pro", "global", "search", "reports"]);
    assert_eq!(config.max_buckets, 1_000_000);
    assert_eq!(config.log, "warn,tollgate_server=debug");
    assert!(!config.metrics.legacy_names);
    assert_eq!(config.cluster.nodes[&3].as_str(), "127.0.0.1:9103");
    assert_eq!(config.cluster.deadline, Duration::from_millis(50));
    assert_eq!(config.circuit_breaker.timeout, Duration::from_secs(60));
    let redis = config.redis.expect("it is configured");
    assert_eq!(redis.failover_urls[0].expose(), "redis://backup:6379/0");
    assert_eq!(config.alerts.receivers.names(), ["slack", "pagerduty", "email", "webhook", "alertmanager"]);
    let rule = &config.alerts.rules["error_rate"];
    assert_eq!(
        (rule.fires_after, rule.keep_firing_for),
        (Some(Duration::from_secs(60)), Some(Duration::from_secs(30)))
    );
    assert_eq!((rule.fire, rule.severity), (Some(7.5), Some(Severity::Critical)));
    assert_eq!(config.alerts.routes[0].to, ["pagerduty"]);
    assert_eq!(config.alerts.templates()["error_rate"], "{{ rule }}: {{ value }}");
    let digest_at = config.alerts.receivers.email.and_then(|email| email.digest_at);
    assert_eq!(digest_at, Some(jiff::civil::time(8, 0, 0, 0)));
}

/// Expects the settings of a node that was told nothing.
fn check_defaults(config: &Config) {
    assert_eq!(config.http.as_str(), "127.0.0.1:8080");
    assert_eq!(config.data, Path::new("./tollgate-data"));
    assert_eq!((config.cluster.node, config.cluster.shards, config.cluster.replication), (1, 16, 3));
    assert_eq!(config.cluster.listens_at().as_str(), "127.0.0.1:9101");
    assert!(config.cluster.nodes.is_empty() && config.cluster.join.is_none());
    assert_eq!(config.cluster.horizon_lead, Duration::from_secs(2));
    assert_eq!(config.cluster.deadline, Duration::from_millis(100));
    assert_eq!(config.max_buckets, 10_000_000);
    assert!(config.redis.is_none() && config.metrics.legacy_names && config.warnings.is_empty());
    assert_eq!((config.queue.max_size, config.queue.batch_size), (1000, 10));
    assert_eq!((config.circuit_breaker.threshold, config.circuit_breaker.timeout.as_secs()), (5, 60));
    assert_eq!(config.log, "info");
    let tiers: Vec<_> =
        config.limits.iter().map(|limit| (limit.name.as_str(), rate_and_burst(limit.algorithm))).collect();
    assert_eq!(tiers, [("basic", (100, 20)), ("enterprise", (1000, 200)), ("pro", (500, 100))]);
}

fn rate_and_burst(algorithm: Algorithm) -> (u64, u64) {
    match algorithm {
        Algorithm::TokenBucket(pace) => (pace.rate(), pace.burst()),
        other => panic!("{other:?} is not a tier's"),
    }
}

#[test]
fn nothing_written_means_the_documented_defaults() {
    check_defaults(&Config::load(&Flags::default(), []).expect("no mistakes"));
    for yaml in ["", "\n", "# nothing\n", "---\n", "{}", "limits: []", "cluster: {}", "\u{feff}"] {
        check_defaults(&load(yaml));
    }
}

#[test]
fn tiers_in_a_file_replace_the_default_ones() {
    for (yaml, expected) in [
        ("rate_limits: {}", &[][..]),
        ("rate_limits: {gold: {requests_per_minute: 5}}", &["gold"]),
        ("limits: [{name: a, requests_per_minute: 5}]", &["basic", "enterprise", "pro", "a"]),
        ("rate_limits: {}\nlimits: [{name: pro, requests_per_minute: 5}]", &["pro"]),
    ] {
        assert_eq!(names(&load(yaml)), expected, "{yaml}");
    }
}

#[test]
fn anchors_and_merges_save_repetition() {
    let yaml = "
limits:
  - &one {name: one, by: [user], requests_per_minute: 5}
  - {<<: *one, name: two}
";
    let config = load(&format!("rate_limits: {{}}\n{yaml}"));
    assert_eq!(names(&config), ["one", "two"]);
    assert_eq!(config.limits[0].by, config.limits[1].by);
}

#[test]
fn a_node_listens_where_it_is_told_or_where_the_others_expect_it() {
    for (yaml, expected) in [
        ("{}", "127.0.0.1:9101"),
        ("{node: 2, nodes: {1: 'a:1', 2: 'b:2'}}", "b:2"),
        ("{node: 2, nodes: {1: 'a:1', 2: 'b:2'}, peer: '0.0.0.0:2'}", "0.0.0.0:2"),
        ("{node: 2, join: 'a:1'}", "127.0.0.1:9101"),
    ] {
        assert_eq!(load(&format!("cluster: {yaml}")).cluster.listens_at().as_str(), expected, "{yaml}");
    }
}

#[test]
fn a_rule_is_the_built_in_one_with_what_differs_and_others_come_beside_them() {
    let receivers = "receivers: {slack: {url: 'https://a/b'}, webhook: {url: 'https://a/c'}}";
    let shown = |rules: &str, name: &str| {
        let config = load(&format!("alerts: {{breaches_threshold: 7, {receivers}, rules: {{{rules}}}}}"));
        let rules = config.alerts.options().rules.into_iter().filter(|rule| rule.name == name);
        let shown = rules.map(|rule| {
            let times = (rule.fires_after_ms / 1_000, rule.keep_firing_for_ms / 1_000);
            format!(
                "{} {}/{} {times:?} {} {:?}",
                rule.signal.name(),
                rule.fire,
                rule.clear,
                rule.severity.name(),
                rule.receivers
            )
        });
        shown.collect::<Vec<_>>().join("; ")
    };
    for (rules, name, expected) in [
        ("", "breaches", r#"breaches 7/7 (0, 60) warning ["slack"]"#),
        ("breaches: {fire: 9}", "breaches", r#"breaches 9/9 (0, 60) warning ["slack"]"#),
        ("breaches: {clear: 2}", "breaches", r#"breaches 7/2 (0, 60) warning ["slack"]"#),
        ("breaches: {for: 5s, keep_firing_for: 0s}", "breaches", r#"breaches 7/7 (5, 0) warning ["slack"]"#),
        ("breaches: {severity: info, receivers: [webhook]}", "breaches", r#"breaches 7/7 (0, 60) info ["webhook"]"#),
        ("breaches: {enabled: false}", "breaches", ""),
        ("breaches: {enabled: true}", "breaches", r#"breaches 7/7 (0, 60) warning ["slack"]"#),
        ("own: {metric: disk_full, fire: 50}", "own", "disk_full 50/50 (0, 60) warning []"),
        ("own: {metric: disk_full, fire: 50, clear: 40, for: 1}", "own", "disk_full 50/40 (1, 60) warning []"),
        (
            "limiter_failing: {severity: error, for: 1m, receivers: [slack]}",
            "limiter_failing",
            "degraded 5/0 (60, 60) error [\"slack\"]; leaderless 5/5 (60, 60) error [\"slack\"]; \
             disk_failed 0/0 (60, 60) error [\"slack\"]; disk_full 90/85 (60, 60) error [\"slack\"]",
        ),
    ] {
        assert_eq!(shown(rules, name), expected, "{rules}");
    }
}

#[test]
fn a_route_matches_by_patterns_and_those_who_can_be_told_are_known() {
    let yaml = "alerts: {receivers: {slack: {url: 'https://a/b'}}, \
                routes: [{match: {endpoint: ['a*', b], severity: error}, to: [slack]}]}";
    let policy = load(yaml).alerts.options().policy;
    let matchers: Vec<_> =
        policy.routes[0].matchers.iter().map(|matcher| (matcher.label.as_str(), matcher.any_of.join("|"))).collect();
    assert_eq!(matchers, [("endpoint", "a*|b".to_owned()), ("severity", "error".to_owned())]);
    assert_eq!((policy.receivers, &policy.routes[0].to), (vec!["slack".to_owned()], &vec!["slack".to_owned()]));
}
