use proptest::prelude::*;
use serde_json::json;

use super::*;

fn document(yaml: &str) -> LimitDocument {
    let named = format!("{{name: n, {yaml}}}");
    serde_saphyr::from_str(&named).unwrap_or_else(|error| panic!("{named}: {error}"))
}

fn limit(yaml: &str) -> Limit {
    limit_from_document(&document(yaml)).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn pace(rate: u64, per_ns: i64, burst: u64) -> Pace {
    Pace::new(rate, per_ns, burst).expect("a legal pace")
}

fn quota(units: u64, window_ns: i64) -> Quota {
    Quota::new(units, window_ns).expect("a legal quota")
}

#[test]
fn every_legal_combination_means_what_is_documented() {
    for (yaml, expected) in [
        ("requests_per_minute: 100, burst_limit: 20", Algorithm::TokenBucket(pace(100, MINUTE_NS, 20))),
        ("requests_per_minute: 100", Algorithm::TokenBucket(pace(100, MINUTE_NS, 100))),
        ("rate: 5, per: 1s, burst_limit: 10", Algorithm::TokenBucket(pace(5, SECOND_NS, 10))),
        ("rate: 5, per: 500ms", Algorithm::TokenBucket(pace(5, SECOND_NS / 2, 5))),
        ("algorithm: leaky_bucket, rate: 5, per: 1s", Algorithm::LeakyBucket(pace(5, SECOND_NS, 5))),
        ("algorithm: sliding_window, rate: 5, per: 2m", Algorithm::SlidingWindow(quota(5, 2 * MINUTE_NS))),
        ("algorithm: sliding_window, requests_per_minute: 5", Algorithm::SlidingWindow(quota(5, MINUTE_NS))),
        ("algorithm: fixed_window, rate: 1000, per: 1d", Algorithm::FixedWindow(quota(1000, DAY_NS), None)),
        (
            "algorithm: fixed_window, calendar: utc, rate: 7, per: 1d",
            Algorithm::FixedWindow(quota(7, DAY_NS), Some(Calendar::Day)),
        ),
        (
            "algorithm: fixed_window, calendar: utc, rate: 7, per: 1w",
            Algorithm::FixedWindow(quota(7, 7 * DAY_NS), Some(Calendar::Week)),
        ),
        (
            "algorithm: fixed_window, calendar: utc, rate: 7, per: 1mo",
            Algorithm::FixedWindow(quota(7, 31 * DAY_NS), Some(Calendar::Month)),
        ),
        ("algorithm: concurrency, burst_limit: 3", Algorithm::Concurrency { permits: 3, ttl_ns: MINUTE_NS }),
        ("algorithm: concurrency, rate: 3, per: 5s", Algorithm::Concurrency { permits: 3, ttl_ns: 5 * SECOND_NS }),
        (
            "algorithm: concurrency, rate: 3, burst_limit: 3, ttl: 7d",
            Algorithm::Concurrency { permits: 3, ttl_ns: 7 * DAY_NS },
        ),
    ] {
        assert_eq!(limit(yaml).algorithm, expected, "{yaml}");
    }
}

/// Expects each document to be refused with its line.
fn refuses(mistakes: &[(&str, &str)]) {
    for (yaml, expected) in mistakes {
        let error = limit_from_document(&document(yaml)).expect_err(yaml);
        assert_eq!(error.to_string(), *expected, "{yaml}");
    }
}

#[test]
fn a_wrong_rate_names_its_key_and_says_what_to_write() {
    refuses(&[
        ("", "rate: is missing: give `requests_per_minute`, or `rate` and `per`"),
        ("burst_limit: 5", "rate: is missing: give `requests_per_minute`, or `rate` and `per`"),
        ("requests_per_minute: 1, rate: 1", "rate: is given beside `requests_per_minute`: keep one of them"),
        ("requests_per_minute: 1, rate: 1, per: 1s", "rate: is given beside `requests_per_minute`: keep one of them"),
        (
            "requests_per_minute: 1, per: 1m",
            "per: is given beside `requests_per_minute`: leave it out, or write `rate` instead of the other",
        ),
        ("rate: 5", "per: is missing: say what time `rate` is for, such as `per: 1s`"),
        ("per: 1s", "rate: is missing: say how many units `per` is for, such as `rate: 5`"),
        ("rate: 0, per: 1s", "rate: must be at least 1"),
        ("requests_per_minute: 0", "requests_per_minute: must be at least 1"),
        ("requests_per_minute: 1, burst_limit: 0", "burst_limit: must be at least 1"),
        ("requests_per_minute: 18446744073709551615", "requests_per_minute: must be at most 1000000000 a second"),
        ("rate: 1, per: 0s", "per: must be between 1ns and 100 years"),
        ("rate: 1, per: 9000000000000000000", "per: must be at most 100 years"),
        (
            "rate: 1, per: 101w, burst_limit: 999999",
            "burst_limit: would take more than 100 years to refill at this rate",
        ),
    ]);
}

#[test]
fn months_and_calendars_go_with_fixed_windows_only() {
    refuses(&[
        (
            "rate: 1, per: 1mo",
            "per: has months, which differ in length: write `1mo` with `algorithm: fixed_window` and `calendar: utc`",
        ),
        (
            "algorithm: fixed_window, rate: 1, per: 1mo",
            "per: has months, which differ in length: write `1mo` with `algorithm: fixed_window` and `calendar: utc`",
        ),
        ("rate: 1, per: 1s, ttl: 1mo", "ttl: has months, which differ in length: write days, such as `30d`"),
        ("rate: 1, per: 1d, calendar: utc", "calendar: needs `algorithm: fixed_window`"),
        ("algorithm: concurrency, rate: 1, calendar: utc", "calendar: needs `algorithm: fixed_window`"),
        (
            "algorithm: fixed_window, calendar: utc, rate: 1, per: 24h",
            "per: must be `1d`, `1w` or `1mo` with `calendar`",
        ),
        (
            "algorithm: fixed_window, calendar: utc, rate: 1, per: 2mo",
            "per: must be `1d`, `1w` or `1mo` with `calendar`",
        ),
        (
            "algorithm: fixed_window, calendar: utc, requests_per_minute: 1",
            "per: must be `1d`, `1w` or `1mo` with `calendar`",
        ),
        ("algorithm: fixed_window, calendar: utc, rate: 0, per: 1mo", "rate: must be at least 1"),
    ]);
}

#[test]
fn a_window_has_no_burst() {
    refuses(&[
        (
            "algorithm: sliding_window, rate: 1, per: 1s, burst_limit: 1",
            "burst_limit: has no meaning for a window, which holds its rate: leave it out",
        ),
        ("algorithm: sliding_window, requests_per_minute: 0", "requests_per_minute: must be at least 1"),
    ]);
}

#[test]
fn a_concurrency_limit_has_permits_and_no_rate() {
    refuses(&[
        (
            "algorithm: concurrency, requests_per_minute: 5",
            "requests_per_minute: has no meaning for `concurrency`: `burst_limit` says how many may be out at once",
        ),
        ("algorithm: concurrency", "burst_limit: is missing: say how many may be out at once"),
        ("algorithm: concurrency, burst_limit: 0", "burst_limit: must be at least 1"),
        ("algorithm: concurrency, rate: 0", "rate: must be at least 1"),
        (
            "algorithm: concurrency, rate: 1, burst_limit: 2",
            "rate: differs from `burst_limit`, and each is the number of permits: keep one of them",
        ),
        (
            "algorithm: concurrency, rate: 1, per: 1s, ttl: 1s",
            "per: is given beside `ttl`, and each is how long a permit lives: keep `ttl`",
        ),
        ("algorithm: concurrency, rate: 1, ttl: 0s", "ttl: must be from 1ms to 7d, for it is how long a permit lives"),
        ("algorithm: concurrency, rate: 1, per: 8d", "per: must be from 1ms to 7d, for it is how long a permit lives"),
    ]);
}

#[test]
fn a_reservation_can_be_settled_for_a_second_to_a_week() {
    refuses(&[
        ("rate: 1, per: 1s, ttl: 999ms", "ttl: must be from 1s to 7d, for it is how long a reservation can be settled"),
        (
            "rate: 1, per: 1s, ttl: 604801s",
            "ttl: must be from 1s to 7d, for it is how long a reservation can be settled",
        ),
    ]);
}

#[test]
fn labels_and_prefixes_are_those_of_a_request() {
    refuses(&[
        ("rate: 1, per: 1s, by: [user, user]", "by: names the label `user` twice"),
        ("rate: 1, per: 1s, by: ['us er']", "by: must have label names of 1 to 64 of A-Z a-z 0-9 _ . -"),
        ("rate: 1, per: 1s, match: {'': a}", "match: must have label names of 1 to 64 of A-Z a-z 0-9 _ . -"),
        (
            "rate: 1, per: 1s, prefix: a.b",
            "prefix: must be 1 to 32 of A-Z a-z 0-9 _ - and start with a letter or digit",
        ),
    ]);
}

#[test]
fn a_limit_needs_a_name_that_fits_a_path() {
    for name in ["", "a b", "a/b", "ä"] {
        let document = LimitDocument { name: name.into(), ..document("requests_per_minute: 1") };
        assert_eq!(limit_from_document(&document).expect_err(name).field, "name");
    }
}

#[test]
fn what_is_absent_has_the_documented_default() {
    let expected = Limit {
        name: LimitName::new("n").expect("a legal name"),
        prefix: None,
        selectors: vec![],
        by: vec![],
        algorithm: Algorithm::TokenBucket(pace(5, SECOND_NS, 5)),
        consistency: Consistency::Exact,
        on_unavailable: OnUnavailable::Local,
        shadow: false,
        reservation_ttl_ns: 600 * SECOND_NS,
    };
    assert_eq!(limit("rate: 5, per: 1s"), expected);
    assert_eq!(limit("rate: 5, per: 1s, ttl: 90s").reservation_ttl_ns, 90 * SECOND_NS);
    assert_eq!(limit("algorithm: concurrency, rate: 5, ttl: 90s").reservation_ttl_ns, 90 * SECOND_NS);
}

#[test]
fn a_tier_is_a_token_bucket_for_each_user_of_the_tier() {
    let tier = TierDocument { requests_per_minute: 500, burst_limit: Some(100) };
    let as_limit = document("requests_per_minute: 500, burst_limit: 100, match: {tier: pro}, by: [user]");
    let expected = limit_from_document(&LimitDocument { name: "pro".into(), ..as_limit });
    assert_eq!(limit_from_tier("pro", &tier), expected);
    assert_eq!(limit_from_tier("p*", &tier).expect_err("a pattern").field, "name");
    let zero = TierDocument { requests_per_minute: 0, burst_limit: None };
    assert_eq!(limit_from_tier("pro", &zero).expect_err("no rate").field, "requests_per_minute");
}

#[test]
fn a_limit_is_shown_as_people_would_write_it() {
    for (yaml, expected) in [
        ("rate: 100, per: 60s, burst_limit: 20", json!({"requests_per_minute": 100, "burst_limit": 20, "ttl": "10m"})),
        ("rate: 5, per: 1000ms", json!({"rate": 5, "per": "1s", "burst_limit": 5, "ttl": "10m"})),
        ("rate: 5, per: 1500ms", json!({"rate": 5, "per": "1500ms", "burst_limit": 5, "ttl": "10m"})),
        (
            "algorithm: fixed_window, rate: 5, per: 7d, ttl: 3600s",
            json!({"algorithm": "fixed_window", "rate": 5, "per": "1w", "ttl": "1h"}),
        ),
        (
            "algorithm: fixed_window, calendar: utc, rate: 5, per: 1mo",
            json!({"algorithm": "fixed_window", "calendar": "utc", "rate": 5, "per": "1mo", "ttl": "10m"}),
        ),
        (
            "algorithm: concurrency, rate: 5, per: 30s, match: {tier: [a, b*], user: c}",
            json!({"algorithm": "concurrency", "burst_limit": 5, "ttl": "30s", "match": {"tier": ["a", "b*"], "user": "c"}}),
        ),
    ] {
        let mut shown = serde_json::to_value(document_from_limit(&limit(yaml))).expect("documents are JSON");
        let defaults = json!({"name": "n", "algorithm": "token_bucket", "consistency": "exact",
            "on_unavailable": "local", "shadow": false});
        let shown = shown.as_object_mut().expect("an object");
        shown.retain(|key, value| defaults.get(key) != Some(&*value));
        assert_eq!(json!(shown), expected, "{yaml}");
    }
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    let paces = (1..=1_000_000_u64, 1..=100_000_000_i64, 1..=1_000_000_u64)
        .prop_filter_map("a legal pace", |(rate, ms, burst)| Pace::new(rate, ms * 1_000_000, burst).ok());
    let quotas = (1..=u64::MAX, 1..=3_000_000_000_000_i64)
        .prop_filter_map("a legal quota", |(units, ms)| Quota::new(units, ms * 1_000_000).ok());
    let calendars = prop::sample::select(vec![Calendar::Day, Calendar::Week, Calendar::Month]);
    prop_oneof![
        paces.clone().prop_map(Algorithm::TokenBucket),
        paces.prop_map(Algorithm::LeakyBucket),
        quotas.clone().prop_map(Algorithm::SlidingWindow),
        quotas.prop_map(|quota| Algorithm::FixedWindow(quota, None)),
        (1..=u64::MAX, calendars)
            .prop_map(|(units, calendar)| Algorithm::FixedWindow(quota(units, longest_ns(calendar)), Some(calendar))),
        (1..=u64::MAX, 1..=604_800_000_i64)
            .prop_map(|(permits, ms)| Algorithm::Concurrency { permits, ttl_ns: ms * 1_000_000 }),
    ]
}

fn selectors() -> impl Strategy<Value = Vec<Selector>> {
    let patterns = prop::collection::vec("\\PC{0,20}", 1..4);
    prop::collection::btree_map("[A-Za-z0-9_.-]{1,8}", patterns, 0..4).prop_map(|selectors| {
        let any_of = |patterns: Vec<String>| patterns.into_iter().map(Pattern::new).collect();
        selectors.into_iter().map(|(label, patterns)| Selector { label, any_of: any_of(patterns) }).collect()
    })
}

prop_compose! {
    fn limits()(
        name in "[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}",
        prefix in prop::option::of("[A-Za-z0-9][A-Za-z0-9_-]{0,31}"),
        selectors in selectors(),
        by in prop::collection::btree_set("[A-Za-z0-9_.-]{1,8}", 0..4),
        algorithm in algorithms(),
        ttl_ms in 1_000..=604_800_000_i64,
        [eventual, shadow]: [bool; 2],
        on_unavailable in prop::sample::select(vec![OnUnavailable::Local, OnUnavailable::Deny, OnUnavailable::Allow]),
    ) -> Limit {
        let permit_ttl_ns = match algorithm {
            Algorithm::Concurrency { ttl_ns, .. } => Some(ttl_ns),
            _ => None,
        };
        Limit {
            name: LimitName::new(name).expect("a legal name"),
            prefix, selectors, algorithm, shadow, on_unavailable,
            by: by.into_iter().collect(),
            consistency: if eventual { Consistency::Eventual } else { Consistency::Exact },
            reservation_ttl_ns: permit_ttl_ns.unwrap_or(ttl_ms * 1_000_000),
        }
    }
}

proptest! {
    #[test]
    fn what_get_shows_can_be_put_back(limit in limits()) {
        let document = document_from_limit(&limit);
        let json = serde_json::to_vec(&document).expect("documents are JSON");
        let read: LimitDocument = tollgate_api::parse_json(&json).expect("a limit");
        prop_assert_eq!(limit_from_document(&read), Ok(limit));
    }
}
