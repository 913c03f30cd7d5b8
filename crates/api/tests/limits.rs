//! Limits as people write them, in YAML and in JSON.

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_api::{
    Algorithm, Calendar, Consistency, LabelPatterns, LimitDocument, LimitList, OnUnavailable, Period, PeriodUnit,
    TierDocument, parse_json,
};

fn from_yaml(yaml: &str) -> Result<LimitDocument, serde_saphyr::Error> {
    serde_saphyr::from_str(yaml)
}

/// Expects `text` to be read, as YAML and if it is JSON also as that, and to be written as
/// `expected`.
fn accepts(text: &str, expected: &Value) {
    let limit = from_yaml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(serde_json::to_value(&limit).expect("limits are JSON"), *expected, "{text}");
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let json: LimitDocument = serde_json::from_value(value).expect("JSON says the same");
        assert_eq!(json, limit, "{text}");
    }
}

/// Expects `yaml` to be refused at `line` with an error that contains `problem`.
fn refuses(yaml: &str, line: u64, problem: &str) {
    let Err(error) = from_yaml(yaml) else { panic!("{yaml} was accepted") };
    let found = error.location().map(|location| location.line());
    assert_eq!(found, Some(line), "{yaml}: {error}");
    assert!(error.to_string().contains(problem), "{yaml}: {error}");
}

#[test]
fn the_limits_of_the_contract_are_read() {
    accepts(
        "{name: global, requests_per_minute: 60000, burst_limit: 2000}",
        &json!({"name":"global","algorithm":"token_bucket","requests_per_minute":60000,"burst_limit":2000,
            "consistency":"exact","on_unavailable":"local","shadow":false}),
    );
    accepts(
        "{name: search, match: {endpoint: search}, by: [user], rate: 5, per: 1s, burst_limit: 10}",
        &json!({"name":"search","match":{"endpoint":"search"},"by":["user"],"algorithm":"token_bucket","rate":5,
            "per":"1s","burst_limit":10,"consistency":"exact","on_unavailable":"local","shadow":false}),
    );
    accepts(
        r#"{name: reports, match: {endpoint: "reports/*"}, by: [user], algorithm: fixed_window, rate: 1000,
            per: 1d, consistency: exact, on_unavailable: deny}"#,
        &json!({"name":"reports","match":{"endpoint":"reports/*"},"by":["user"],"algorithm":"fixed_window",
            "rate":1000,"per":"1d","consistency":"exact","on_unavailable":"deny","shadow":false}),
    );
}

#[test]
fn every_field_can_be_said() {
    accepts(
        r#"{"name":"n","prefix":"shop","match":{"tier":["pro","ent*"],"user":"42"},"by":["user","tier"],
            "algorithm":"concurrency","rate":1e1,"per":60,"burst_limit":2.0,"calendar":"utc","ttl":"1mo",
            "consistency":"eventual","on_unavailable":"allow","shadow":true}"#,
        &json!({"name":"n","prefix":"shop","match":{"tier":["pro","ent*"],"user":"42"},"by":["user","tier"],
            "algorithm":"concurrency","rate":10,"per":"60s","burst_limit":2,"calendar":"utc","ttl":"1mo",
            "consistency":"eventual","on_unavailable":"allow","shadow":true}),
    );
}

#[test]
fn a_mistake_is_found_on_its_line() {
    for (line, problem) in [
        ("rates: 5", "unknown field `rates`"),
        ("rate: -5", "expected a whole number from 0"),
        ("rate: 1.5", "expected a whole number from 0"),
        ("rate: .nan", ""),
        ("rate: .inf", ""),
        ("rate: 18446744073709551616", ""),
        ("rate: \"5\"", "expected a whole number from 0"),
        ("rate: many", "expected a whole number from 0"),
        ("rate:", "expected a whole number from 0"),
        ("per: soon", "expected a duration such as `1s`, `500ms` or `1d`"),
        ("per: 1.5", "expected a duration such as `1s`"),
        ("per: -1", "expected a duration such as `1s`"),
        ("per: 99999999999999999999s", "the number of the duration is too large"),
        ("per:", "expected a duration such as `1s`"),
        ("match: {user: 42}", "expected a text such as"),
        ("match: {user: true}", "expected a text such as"),
        ("match: {user: []}", "at least one text"),
        ("match: {user: {}}", "expected a text such as"),
        ("match: [user]", ""),
        ("match: {a: b, a: c}", "duplicate"),
        ("by: user", ""),
        ("algorithm: token-bucket", "unknown variant `token-bucket`"),
        ("calendar: cet", "unknown variant `cet`"),
        ("consistency: strong", "unknown variant `strong`"),
        ("on_unavailable: panic", "unknown variant `panic`"),
        ("shadow: 7", ""),
        ("name: x", "duplicate"),
    ] {
        refuses(&format!("name: search\n{line}\nburst_limit: 7\n"), 2, problem);
    }
}

#[test]
fn a_list_is_not_a_limit() {
    assert!(from_yaml("[search, app]").is_err());
    assert!(parse_json::<LimitDocument>(br#"["search","app"]"#).is_err());
}

#[test]
fn json_errors_name_the_field() {
    for (json, field) in [
        (r#"{"rate":-1}"#, Some("rate")),
        (r#"{"burst_limit":null}"#, Some("burst_limit")),
        (r#"{"per":"1y"}"#, Some("per")),
        (r#"{"match":{"user":7}}"#, Some("match.user")),
        (r#"{"match":{"user":["a",7]}}"#, Some("match.user[1]")),
        (r#"{"by":["user",7]}"#, Some("by[1]")),
        (r#"{"algorithm":"x"}"#, Some("algorithm")),
        (r#"{"ttls":"1s"}"#, Some("ttls")),
        ("null", None),
    ] {
        let error = parse_json::<LimitDocument>(json.as_bytes()).expect_err(json);
        let problem = tollgate_api::Problem::from(error);
        assert_eq!(problem.field.as_deref(), field, "{json}: {problem}");
    }
    let error = parse_json::<LimitDocument>(br#"{"match":{"a":"1","a":"2"}}"#).expect_err("twice");
    assert!(error.to_string().contains("duplicate label `a`"), "{error}");
}

#[test]
fn sizes_are_those_of_a_request() {
    let long = format!("match: {{user: {}}}", "v".repeat(257));
    for (yaml, field) in [
        ("match: {user: 'a*'}", None),
        ("prefix: a.b", Some("prefix")),
        ("match: {'us er': a}", Some("match")),
        ("match: {user: \"a\\u0007\"}", Some("match.user")),
        (long.as_str(), Some("match.user")),
        ("by: ['']", Some("by")),
        ("by: [user, tier, user]", Some("by")),
    ] {
        let limit = from_yaml(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        assert_eq!(limit.validate().err().map(|error| error.field).as_deref(), field, "{yaml}");
    }
}

#[test]
fn tiers_are_as_strict_as_limits() {
    let tier = |yaml: &str| serde_saphyr::from_str::<TierDocument>(yaml).ok();
    let burst_limit = Some(20);
    for (yaml, expected) in [
        ("{requests_per_minute: 100, burst_limit: 20}", Some(TierDocument { requests_per_minute: 100, burst_limit })),
        ("{requests_per_minute: 1e2}", Some(TierDocument { requests_per_minute: 100, burst_limit: None })),
        ("{burst_limit: 20}", None),
        ("{requests_per_minute: 100, burst: 20}", None),
        ("{requests_per_minute: 100, burst_limit: null}", None),
        ("{requests_per_minute: -1}", None),
        ("[100, 20]", None),
    ] {
        assert_eq!(tier(yaml), expected, "{yaml}");
    }
}

fn periods() -> impl Strategy<Value = Period> {
    let units = [PeriodUnit::Millisecond, PeriodUnit::Second, PeriodUnit::Day, PeriodUnit::Month];
    (any::<u64>(), prop::sample::select(units.to_vec())).prop_map(|(count, unit)| Period::new(count, unit))
}

fn patterns() -> impl Strategy<Value = LabelPatterns> {
    let texts = prop::collection::vec("\\PC{0,20}", 1..4);
    texts.prop_map(|texts| serde_json::from_value(json!(texts)).expect("a list of texts"))
}

prop_compose! {
    fn limits()(
        name in "[a-z0-9~-]{0,12}",
        prefix in prop::option::of("[A-Za-z0-9]{1,8}"),
        matches in prop::collection::btree_map("[A-Za-z0-9_.-]{1,8}", patterns(), 0..3),
        by in prop::collection::vec("[A-Za-z0-9_.-]{1,8}", 0..3),
        algorithm in prop::sample::select(&[Algorithm::TokenBucket, Algorithm::LeakyBucket, Algorithm::Concurrency]),
        figures: [Option<u64>; 3],
        durations in [prop::option::of(periods()), prop::option::of(periods())],
        choices: [bool; 4],
    ) -> LimitDocument {
        let ([requests_per_minute, rate, burst_limit], [per, ttl]) = (figures, durations);
        let [monthly, eventual, deny, shadow] = choices;
        LimitDocument {
            name, prefix, matches, by, algorithm, requests_per_minute, rate, per, burst_limit, ttl, shadow,
            calendar: monthly.then_some(Calendar::Utc),
            consistency: if eventual { Consistency::Eventual } else { Consistency::Exact },
            on_unavailable: if deny { OnUnavailable::Deny } else { OnUnavailable::Local },
        }
    }
}

proptest! {
    #[test]
    fn a_limit_survives_json_and_yaml(limit in limits()) {
        let json = serde_json::to_vec(&limit).expect("JSON");
        prop_assert_eq!(&parse_json::<LimitDocument>(&json).expect("JSON"), &limit);
        let yaml = serde_saphyr::to_string(&limit).expect("YAML");
        prop_assert_eq!(&from_yaml(&yaml).expect(&yaml), &limit);
        let list = LimitList { limits: vec![limit] };
        let json = serde_json::to_string(&list).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<LimitList>(&json).expect("JSON"), list);
    }
}
