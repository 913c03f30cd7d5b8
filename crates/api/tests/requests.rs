//! What a node reads, and above all what it refuses to read, with the field that it names.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_api::{
    AcquireManyRequest, AcquireRequest, AddNodeRequest, BodyError, FieldError, Problem, SettleRequest, SilenceRequest,
    parse_json,
};

/// A request that can be read and then validated, as every handler does.
trait Request: DeserializeOwned + Serialize {
    fn check(&self) -> Result<(), FieldError>;
}

impl Request for AcquireRequest {
    fn check(&self) -> Result<(), FieldError> {
        self.validate()
    }
}

impl Request for AcquireManyRequest {
    fn check(&self) -> Result<(), FieldError> {
        self.validate()
    }
}

impl Request for SettleRequest {
    fn check(&self) -> Result<(), FieldError> {
        self.validate()
    }
}

impl Request for AddNodeRequest {
    fn check(&self) -> Result<(), FieldError> {
        self.validate()
    }
}

impl Request for SilenceRequest {
    fn check(&self) -> Result<(), FieldError> {
        self.validate()
    }
}

fn read<T: Request>(json: &str) -> Result<T, Problem> {
    let request: T = parse_json(json.as_bytes())?;
    request.check()?;
    Ok(request)
}

/// Reads `json` and compares what was understood with `expected`, itself JSON with every field.
fn accepts<T: Request>(json: &str, expected: &serde_json::Value) {
    let request: T = read(json).unwrap_or_else(|problem| panic!("{json}: {problem}"));
    assert_eq!(serde_json::to_value(request).expect("requests are JSON"), *expected, "{json}");
}

/// Expects `json` to be refused with a 400 that names `field` and whose detail contains `detail`.
fn refuses<T: Request>(json: &str, field: Option<&str>, detail: &str) {
    let Err(problem) = read::<T>(json) else { panic!("{json} was accepted") };
    assert_eq!((problem.status, problem.field.as_deref()), (400, field), "{json}: {problem}");
    assert!(problem.detail.contains(detail), "{json}: {problem}");
}

#[test]
fn an_acquire_fills_in_what_was_left_out() {
    accepts::<AcquireRequest>(
        r#"{"endpoint":"users"}"#,
        &serde_json::json!({"prefix":"app","endpoint":"users","labels":{},"cost":1,"wait_ms":0}),
    );
}

#[test]
fn an_acquire_keeps_what_was_said() {
    accepts::<AcquireRequest>(
        r#"{"prefix":"shop","endpoint":"v1/users","labels":{"user":"42","endpoint":"v1/users"},"cost":0,"wait_ms":600000}"#,
        &serde_json::json!({"prefix":"shop","endpoint":"v1/users","labels":{"endpoint":"v1/users","user":"42"},
            "cost":0,"wait_ms":600_000}),
    );
}

#[test]
fn integral_floats_are_integers() {
    let expected = |cost: u64| serde_json::json!({"prefix":"app","endpoint":"u","labels":{},"cost":cost,"wait_ms":10});
    for (cost, number) in [("1.0", 1), ("1e3", 1000), ("18446744073709551615", u64::MAX)] {
        accepts::<AcquireRequest>(&format!(r#"{{"endpoint":"u","cost":{cost},"wait_ms":1e1}}"#), &expected(number));
    }
}

#[test]
fn an_acquire_refuses_numbers_that_are_not_whole() {
    for cost in
        ["-1", "-1.5", "0.5", "1e400", "-1e400", "18446744073709551616", "1e30", "\"1\"", "null", "true", "[1]", "{}"]
    {
        for field in ["cost", "wait_ms"] {
            let json = format!(r#"{{"endpoint":"u","{field}":{cost}}}"#);
            refuses::<AcquireRequest>(&json, Some(field), "");
        }
    }
    refuses::<AcquireRequest>(
        r#"{"endpoint":"u","cost":-1}"#,
        Some("cost"),
        "cost: invalid value: integer `-1`, expected a whole number from 0 to 18446744073709551615",
    );
    refuses::<AcquireRequest>(r#"{"endpoint":"u","wait_ms":600001}"#, Some("wait_ms"), "600000");
}

#[test]
fn an_acquire_names_the_field_at_fault() {
    for (json, field, detail) in [
        ("{}", Some("endpoint"), "missing field `endpoint`"),
        (r#"{"endpoint":null}"#, Some("endpoint"), "expected a string"),
        (r#"{"endpoint":7}"#, Some("endpoint"), "expected a string"),
        (r#"{"endpoint":"a:b"}"#, Some("endpoint"), "must be 1 to 128"),
        (r#"{"endpoint":""}"#, Some("endpoint"), "must be 1 to 128"),
        (r#"{"endpoint":"u","prefix":"a.b"}"#, Some("prefix"), "must be 1 to 32"),
        (r#"{"endpoint":"u","prefix":null}"#, Some("prefix"), "expected a string"),
        (r#"{"endpoint":"u","labels":null}"#, Some("labels"), "expected an object"),
        (r#"{"endpoint":"u","labels":[]}"#, Some("labels"), "expected an object"),
        (r#"{"endpoint":"u","labels":{"user":42}}"#, Some("labels.user"), "expected a string"),
        (r#"{"endpoint":"u","labels":{"user":null}}"#, Some("labels.user"), "expected a string"),
        (r#"{"endpoint":"u","labels":{"user":"\u0000"}}"#, Some("labels.user"), "control"),
        (r#"{"endpoint":"u","labels":{"us er":"1"}}"#, Some("labels"), "label names"),
        (r#"{"endpoint":"u","labels":{"endpoint":"v"}}"#, Some("labels.endpoint"), "equal"),
    ] {
        refuses::<AcquireRequest>(json, field, detail);
    }
}

#[test]
fn a_node_is_added_by_its_number_and_its_address() {
    for (json, id, peer) in [
        (r#"{"id":4,"peer":"127.0.0.1:9104"}"#, 4, "127.0.0.1:9104"),
        (r#"{"id":1.0,"peer":"[::1]:65535"}"#, 1, "[::1]:65535"),
        (r#"{"id":18446744073709551615,"peer":"node-4.tollgate:1"}"#, u64::MAX, "node-4.tollgate:1"),
    ] {
        accepts::<AddNodeRequest>(json, &serde_json::json!({"id":id,"peer":peer}));
    }
}

#[test]
fn a_silence_says_of_what_until_when_and_who_wants_it() {
    let matchers = serde_json::json!({"node": ["1", "2"], "rule": "disk_*"});
    for (json, expected) in [
        (
            r#"{"matchers":{"rule":"disk_*","node":["1","2"]},"duration_ms":60000.0,"author":"eve"}"#,
            serde_json::json!({"matchers": matchers, "duration_ms": 60_000, "author": "eve", "comment": ""}),
        ),
        (
            r#"{"matchers":{"rule":"disk_*","node":["1","2"]},"from_ms":1,"until_ms":2,"author":"eve","comment":"c"}"#,
            serde_json::json!({"matchers": matchers, "from_ms": 1, "until_ms": 2, "author": "eve", "comment": "c"}),
        ),
    ] {
        accepts::<SilenceRequest>(json, &expected);
    }
    let long = "x".repeat(1_025);
    for (rest, field, detail) in [
        (r#""until_ms":1"#, "author", "missing field `author`"),
        (r#""author":"e""#, "until_ms", "is missing"),
        (r#""author":"e","until_ms":1,"duration_ms":1"#, "duration_ms", "give one of them"),
        (r#""author":"e","duration_ms":0"#, "duration_ms", "at least 1"),
        (r#""author":"e","duration_ms":1.5"#, "duration_ms", "whole number"),
        (r#""author":"e","duration_ms":null"#, "duration_ms", "whole number"),
        (r#""author":"e","until_ms":-1"#, "until_ms", "whole number"),
        (r#""author":" ","until_ms":1"#, "author", "must say who wants it"),
        (r#""author":"e","until_ms":1,"comment":null"#, "comment", "expected a string"),
        (&format!(r#""author":"e","until_ms":1,"comment":"{long}""#), "comment", "at most 1024 bytes"),
        (r#""author":"e\u001b[2J","until_ms":1"#, "author", "control characters"),
        (r#""author":"e","until_ms":1,"comment":"a\nb""#, "comment", "control characters"),
        (r#""author":"e","until_ms":1,"until":2"#, "until", "unknown field `until`"),
    ] {
        refuses::<SilenceRequest>(&format!(r#"{{"matchers":{{"rule":"a"}},{rest}}}"#), Some(field), detail);
    }
    for (matchers, field, detail) in [
        ("{}", "matchers", "1 to 16 labels, and has 0"),
        (r#"{"":"a"}"#, "matchers.", "1 to 64 bytes"),
        (r#"{"rule":"a\u0007"}"#, "matchers.rule", "control characters"),
        (r#"{"\u0007":"a"}"#, "matchers", "control characters"),
        (r#"{"rule":[]}"#, "matchers.rule", "at least one text"),
        (r#"{"rule":1}"#, "matchers.rule", "expected a text"),
        (r#"{"rule":"a","rule":"b"}"#, "matchers.rule", "duplicate label `rule`"),
        (&format!(r#"{{"rule":"{long}"}}"#), "matchers.rule", "at most 256 bytes"),
    ] {
        let json = format!(r#"{{"author":"e","until_ms":1,"matchers":{matchers}}}"#);
        refuses::<SilenceRequest>(&json, Some(field), detail);
    }
}

#[test]
fn adding_a_node_names_the_field_at_fault() {
    for (json, field, detail) in [
        ("{}", Some("id"), "missing field `id`"),
        (r#"{"id":4}"#, Some("peer"), "missing field `peer`"),
        (r#"{"id":0,"peer":"a:1"}"#, Some("id"), "must be at least 1"),
        (r#"{"id":-1,"peer":"a:1"}"#, Some("id"), "whole number"),
        (r#"{"id":"4","peer":"a:1"}"#, Some("id"), "whole number"),
        (r#"{"id":null,"peer":"a:1"}"#, Some("id"), "whole number"),
        (r#"{"id":4,"peer":"a:0"}"#, Some("peer"), "port other than 0"),
        (r#"{"id":4,"peer":"a"}"#, Some("peer"), "must be an address"),
        (r#"{"id":4,"peer":"a:65536"}"#, Some("peer"), "must be an address"),
        (r#"{"id":4,"peer":"http://a:1"}"#, Some("peer"), "must be an address"),
        (r#"{"id":4,"peer":""}"#, Some("peer"), "must be an address"),
        (r#"{"id":4,"peer":null}"#, Some("peer"), "expected a string"),
        (r#"{"id":4,"peer":"a:1","http":"a:2"}"#, Some("http"), "unknown field `http`"),
        (r#"[4,"a:1"]"#, None, "expected an object"),
    ] {
        refuses::<AddNodeRequest>(json, field, detail);
    }
}

#[test]
fn nothing_may_be_said_twice() {
    for (json, field, detail) in [
        (r#"{"endpoint":"u","endpoint":"u"}"#, "endpoint", "duplicate field `endpoint`"),
        (r#"{"endpoint":"u","cost":1,"cost":2}"#, "cost", "duplicate field `cost`"),
        (r#"{"endpoint":"u","labels":{"a":"1","a":"1"}}"#, "labels.a", "duplicate label `a`"),
        (r#"{"endpoint":"u","labels":{"a":"1","\u0061":"2"}}"#, "labels.a", "duplicate label `a`"),
    ] {
        refuses::<AcquireRequest>(json, Some(field), detail);
    }
}

#[test]
fn a_typo_in_a_field_name_is_an_error() {
    refuses::<AcquireRequest>(
        r#"{"endpoint":"u","label":{}}"#,
        Some("label"),
        "unknown field `label`, expected one of `prefix`, `endpoint`, `labels`, `cost`, `wait_ms`",
    );
    refuses::<AcquireManyRequest>(
        r#"{"requests":[{"endpoint":"u"},{"endpoint":"u","Cost":1}]}"#,
        Some("requests[1].Cost"),
        "unknown field `Cost`",
    );
    refuses::<SettleRequest>(r#"{"reservation":"r","actual":1,"x":1}"#, Some("x"), "unknown field");
}

#[test]
fn a_list_is_not_an_object() {
    refuses::<AcquireRequest>(r#"["app","users",{},1,0]"#, None, "expected an object");
    refuses::<AcquireManyRequest>(r#"[[]]"#, None, "expected an object");
    refuses::<AcquireManyRequest>(
        r#"{"requests":[["app","users",{},1,0]]}"#,
        Some("requests[0]"),
        "expected an object",
    );
    refuses::<SettleRequest>(r#"["r",1]"#, None, "expected an object");
}

#[test]
fn a_body_that_is_not_json_is_said_to_be_none() {
    for body in ["", " ", "{", "{]", "endpoint=u", "\u{feff}{}", "NaN", "{'endpoint':'u'}"] {
        refuses::<AcquireRequest>(body, None, "the body is not JSON");
    }
    for body in [r#"{"endpoint":"u""#, r#"{"endpoint":"u"} x"#, r#"{"endpoint":"u"}{}"#, r#"{"endpoint":"u",}"#] {
        refuses::<AcquireRequest>(body, None, "the body is not JSON");
    }
    let error = parse_json::<AcquireRequest>(b"{\"endpoint\":\"\xff\"}");
    assert!(matches!(error, Err(BodyError::NotJson { .. })), "{error:?}");
}

#[test]
fn a_value_that_is_not_json_is_named() {
    for (body, field) in [
        (r#"{"endpoint":"u","cost":NaN}"#, "cost"),
        (r#"{"endpoint":"u","wait_ms":-Infinity}"#, "wait_ms"),
        (r#"{"endpoint":"u","labels":{"user":nil}}"#, "labels.user"),
        (r#"{"endpoint":"u","labels":{7:"a"}}"#, "labels"),
    ] {
        refuses::<AcquireRequest>(body, Some(field), "the body is not JSON");
    }
}

#[test]
fn deep_nesting_is_refused_without_following_it() {
    let deep = "[".repeat(100_000);
    refuses::<AcquireRequest>(&deep, None, "expected an object");
    refuses::<AcquireRequest>(&format!(r#"{{"endpoint":{deep}"#), Some("endpoint"), "a string");
    refuses::<AcquireRequest>(&format!(r#"{{"endpoint":"u","cost":{deep}"#), Some("cost"), "");
    refuses::<AcquireRequest>(&format!(r#"{{"x":{deep}"#), Some("x"), "unknown field");
    refuses::<AcquireManyRequest>(&format!(r#"{{"requests":{deep}"#), Some("requests[0]"), "");
}

#[test]
fn an_error_does_not_send_the_body_back() {
    let long = "é".repeat(500_000);
    for json in [
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"endpoint":"u","cost":"{long}"}}"#),
        format!(r#"{{"endpoint":"u","labels":{{"{long}":1}}}}"#),
        format!(r#"{{"endpoint":"u","labels":{{"{long}":"1"}}}}"#),
    ] {
        let Err(problem) = read::<AcquireRequest>(&json) else { panic!("accepted") };
        assert!(serde_json::to_string(&problem).expect("JSON").len() < 4096, "{}", problem.title);
    }
}

#[test]
fn many_acquires_are_at_most_a_thousand() {
    let many = |count: usize| format!(r#"{{"requests":[{}]}}"#, vec![r#"{"endpoint":"u"}"#; count].join(","));
    for count in [0, 1, 1000] {
        let request: AcquireManyRequest = read(&many(count)).expect("allowed");
        assert_eq!(request.requests.len(), count);
    }
    refuses::<AcquireManyRequest>(&many(1001), Some("requests"), "1001");
    refuses::<AcquireManyRequest>("{}", Some("requests"), "missing field");
    refuses::<AcquireManyRequest>(r#"{"requests":null}"#, Some("requests"), "");
}

#[test]
fn an_error_in_many_names_the_request() {
    for (entry, field) in [
        (r#"{"endpoint":"u","cost":-1}"#, "requests[1].cost"),
        (r#"{"endpoint":"u","labels":{"user":1}}"#, "requests[1].labels.user"),
        ("{}", "requests[1].endpoint"),
        ("7", "requests[1]"),
    ] {
        let json = format!(r#"{{"requests":[{{"endpoint":"u"}},{entry}]}}"#);
        refuses::<AcquireManyRequest>(&json, Some(field), "");
    }
}

#[test]
fn a_request_that_is_not_allowed_does_not_fail_the_others() {
    let request: AcquireManyRequest =
        read(r#"{"requests":[{"endpoint":"u"},{"endpoint":"a:b"}]}"#).expect("the list is allowed");
    let fields: Vec<_> = request.requests.iter().map(|one| one.validate().err().map(|e| e.field)).collect();
    assert_eq!(fields, [None, Some("endpoint".to_owned())]);
}

#[test]
fn a_settle_needs_a_reservation_and_a_whole_number() {
    accepts::<SettleRequest>(
        r#"{"reservation":"3-00ff","actual":7.0}"#,
        &serde_json::json!({"reservation":"3-00ff","actual":7}),
    );
    let long = "r".repeat(tollgate_api::MAX_RESERVATION_BYTES + 1);
    for (json, field) in [
        (r#"{"actual":1}"#.to_owned(), "reservation"),
        (r#"{"reservation":"r"}"#.to_owned(), "actual"),
        (r#"{"reservation":"","actual":1}"#.to_owned(), "reservation"),
        (r#"{"reservation":"a b","actual":1}"#.to_owned(), "reservation"),
        (r#"{"reservation":1,"actual":1}"#.to_owned(), "reservation"),
        (format!(r#"{{"reservation":"{long}","actual":1}}"#), "reservation"),
        (r#"{"reservation":"r","actual":-1}"#.to_owned(), "actual"),
        (r#"{"reservation":"r","actual":null}"#.to_owned(), "actual"),
    ] {
        refuses::<SettleRequest>(&json, Some(field), "");
    }
}

fn acquire_requests() -> impl Strategy<Value = AcquireRequest> {
    let labels = prop::collection::btree_map("[A-Za-z0-9_.-]{1,64}", "\\PC{0,64}", 0..=15);
    ("[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "[A-Za-z0-9._/-]{1,128}", labels, any::<u64>(), 0..=600_000_u64).prop_map(
        |(prefix, endpoint, mut labels, cost, wait_ms)| {
            labels.insert("endpoint".to_owned(), endpoint.clone());
            AcquireRequest { prefix, endpoint, labels, cost, wait_ms }
        },
    )
}

proptest! {
    #[test]
    fn an_allowed_request_survives_the_wire(request in acquire_requests()) {
        let json = serde_json::to_vec(&request).expect("requests are JSON");
        let read: AcquireRequest = parse_json(&json).expect("what was written can be read");
        prop_assert_eq!(&read, &request);
        prop_assert_eq!(read.validate(), Ok(()));
    }

    #[test]
    fn no_bytes_break_the_parser(body: Vec<u8>) {
        prop_assert!(parse_json::<AcquireManyRequest>(&body).is_err());
    }
}
