//! What a line becomes.

use std::collections::BTreeMap;

use tollgate_api::{validate_endpoint, validate_labels};

use super::harness::at;
use crate::replay::arguments::{EndpointStyle, UserSource};
use crate::replay::log_line::LogLine;
use crate::replay::logged_request::{LoggedRequest, Mapping};

fn line<'a>(target: &'a str, agent: &'a str) -> LogLine<'a> {
    LogLine {
        address: "192.0.2.7",
        user: Some("ann"),
        at: at("17/May/2015:10:05:03 +0000"),
        method: "GET",
        target,
        status: Some("200"),
        referer: None,
        agent: Some(agent),
    }
}

fn mapping(endpoint: EndpointStyle, user: UserSource) -> Mapping {
    Mapping { endpoint, user, fixed: BTreeMap::new() }
}

fn endpoint(target: &str, style: EndpointStyle) -> String {
    mapping(style, UserSource::Address).request(&line(target, "x")).endpoint
}

fn labels(request: &LoggedRequest) -> Vec<(&str, &str)> {
    request.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn an_endpoint_is_the_path_in_the_characters_that_the_api_allows() {
    let long = format!("/{}", "é".repeat(200));
    let cases = [
        ("/", "root"),
        ("/?q=1", "root"),
        ("/users/list?page=2", "users/list"),
        ("/users/#top", "users/"),
        ("//a", "/a"),
        ("/a b/ü:%20*", "a_b/___20_"),
        ("*", "_"),
        ("example.com:443", "example.com_443"),
        ("http://example.com/a?b", "a"),
        ("http://example.com", "root"),
        ("/go?to=http://example.com/a", "go"),
        ("/go/http://example.com/a", "go/http_//example.com/a"),
        ("?", "root"),
        (&long, &"_".repeat(128)),
    ];
    for (target, expected) in cases {
        let endpoint = endpoint(target, EndpointStyle::Path);
        assert_eq!(endpoint, expected, "{target}");
        assert_eq!(validate_endpoint(&endpoint), Ok(()), "{target}");
    }
}

#[test]
fn a_route_is_the_path_without_its_identifiers() {
    let cases = [
        ("/users/42", "users/_"),
        ("/users/42/orders/7?x", "users/_/orders/_"),
        ("/f/550e8400-e29b-41d4-a716-446655440000", "f/_"),
        ("/c/330bb10a", "c/_"),
        ("/c/330bb1", "c/330bb1"),
        ("/blog/2015-05/facade", "blog/2015-05/facade"),
        ("/deadbeef", "deadbeef"),
        ("/v1.2/x", "v1.2/x"),
    ];
    for (target, expected) in cases {
        assert_eq!(endpoint(target, EndpointStyle::Route), expected, "{target}");
    }
}

#[test]
fn labels_are_what_the_line_says() {
    let line = line("http://example.com/a?b", r#"say \"hi\" \\ \xc3\xa9"#);
    let request = mapping(EndpointStyle::Path, UserSource::Address).request(&line);
    let expected = [
        ("agent", r#"say "hi" \ é"#),
        ("host", "example.com"),
        ("ip", "192.0.2.7"),
        ("method", "GET"),
        ("path", "/a"),
        ("status", "200"),
        ("user", "192.0.2.7"),
    ];
    assert_eq!(labels(&request), expected);
    assert_eq!(request.label("endpoint"), Some("a"));
    assert_eq!(request.label("referer"), None);
}

#[test]
fn the_user_is_the_address_or_the_login() {
    let user = |source, user| {
        let request = mapping(EndpointStyle::Path, source).request(&LogLine { user, ..line("/", "x") });
        request.label("user").map(str::to_owned)
    };
    assert_eq!(user(UserSource::Address, Some("ann")).as_deref(), Some("192.0.2.7"));
    assert_eq!(user(UserSource::Login, Some("ann")).as_deref(), Some("ann"));
    assert_eq!(user(UserSource::Login, None), None);
}

#[test]
fn a_fixed_label_takes_the_place_of_what_the_line_says() {
    let fixed = [("tier", "pro"), ("user", "all")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mapping = Mapping { fixed: fixed.into(), ..mapping(EndpointStyle::Path, UserSource::Address) };
    let request = mapping.request(&line("/", "x"));
    assert_eq!((request.label("tier"), request.label("user")), (Some("pro"), Some("all")));
}

#[test]
fn labels_are_such_as_the_api_allows_whatever_the_line_says() {
    let (long, wide) = ("x".repeat(1_000), "é".repeat(200));
    for agent in [r"\x00\x1b[31m\n", r"\xff\xfe", r"\", r"\x", r"\xg0", &long, &wide, "a\u{85}b\u{1b}"] {
        let request = mapping(EndpointStyle::Path, UserSource::Login).request(&line("/", agent));
        assert_eq!(validate_labels(&request.labels), Ok(()), "{agent}");
    }
}
