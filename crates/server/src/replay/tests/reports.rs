//! Whole reports: of one configuration and of two, as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::harness::{Desk, PIPE};
use crate::replay::screen::Screen;

const TODAY: &str = "
rate_limits: {}
limits:
  - {name: address, by: [ip], requests_per_minute: 6, burst_limit: 3}
  - {name: global, rate: 100, per: 1s}
  - {name: reports, match: {endpoint: 'reports/*'}, by: [ip, method], algorithm: fixed_window, rate: 1, per: 1h, shadow: true}
";

const TOMORROW: &str = "
rate_limits: {}
limits:
  - {name: address, by: [ip], requests_per_minute: 60, burst_limit: 5}
  - {name: global, rate: 100, per: 1s}
  - {name: logins, match: {endpoint: login}, rate: 1, per: 1h}
";

fn line(log: &mut String, address: &str, time: &str, path: &str) {
    writeln!(log, "{address} - - [17/May/2015:{time} +0200] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"x\"")
        .expect("a string");
}

/// Twelve requests of two addresses within four minutes, one of them late, and a line that is none.
fn log() -> String {
    let mut log = String::new();
    for second in [0, 1, 2, 3, 4] {
        line(&mut log, "192.0.2.7", &format!("12:00:0{second}"), "/a");
    }
    line(&mut log, "2001:db8::1", "12:00:01", "/login");
    log += "not a line\n";
    for second in [20, 21] {
        line(&mut log, "192.0.2.7", &format!("12:02:{second}"), "/reports/1");
    }
    for second in [10, 10, 10, 10] {
        line(&mut log, "2001:db8::1", &format!("12:03:{second}"), "/login");
    }
    log
}

fn desk() -> Desk {
    Desk::with(&[("log", &log()), ("today.yaml", TODAY), ("tomorrow.yaml", TOMORROW)])
}

#[test]
fn a_report_shows_what_would_have_been_denied_and_to_whom() {
    let expected = "\
log: 12 requests in 3m 10s, 2015-05-17 10:00:00 to 2015-05-17 10:03:10 UTC
lines skipped, since they are no requests: 1 of 13
  line 7: expected an address, two fields and a time in brackets
logged up to 3s late, and counted at the time that was reached: 1
  sorted by time, the log would have them counted at their own: fewer may be denied

today.yaml: 9 allowed (75.0 %), 3 denied (25.0 %)

LIMIT    MATCHED  ALLOWED  DENIED  SHADOW DENIED  KEYS
address       12        9       3              0     2
global        12       12       0              0     1
reports        2        1       0              1     1

most denied
LIMIT             KEY                      REQUESTS  DENIED           WORST MINUTE
address           ip=192.0.2.7                    7       2  2 at 2015-05-17 10:00
address           ip=2001:db8::1                  5       1  1 at 2015-05-17 10:03
reports (shadow)  ip=192.0.2.7 method=GET         2       1  1 at 2015-05-17 10:02

       6 │░
         │░
         │░                                     ░
         │█                                     ░
         │█                                     █
         │█                           ▆         █
         │█                           █         █
       0 │█                           █         █
         └───────────────────────────────────────
          2015-05-17 10:00       2015-05-17 10:03
          █ allowed  ░ denied, requests in 5s a column, UTC
";
    let report = desk().replay("@log --config @today.yaml").expect("it can be reported");
    assert_eq!(report, expected, "\n{report}");
}

#[test]
fn a_comparison_shows_what_a_second_configuration_changes() {
    let expected = "\
log: 12 requests in 3m 10s, 2015-05-17 10:00:00 to 2015-05-17 10:03:10 UTC
lines skipped, since they are no requests: 1 of 13
  line 7: expected an address, two fields and a time in brackets
logged up to 3s late, and counted at the time that was reached: 1
  sorted by time, the log would have them counted at their own: fewer may be denied

A  today.yaml: 9 allowed (75.0 %), 3 denied (25.0 %)
B  tomorrow.yaml: 8 allowed (66.7 %), 4 denied (33.3 %)
allowed under A only: 3, under B only: 2

LIMIT    MATCHED A  MATCHED B  DENIED A  DENIED B  CHANGE  SHADOW A  SHADOW B
address         12         12         3         0      -3         0         0
global          12         12         0         0      +0         0         0
logins           -          5         -         4      +4         -         0
reports          2          -         0         -      +0         1         -

most changed
LIMIT    KEY             REQUESTS  DENIED A  DENIED B  CHANGE
logins   -                      5         0         4      +4
address  ip=192.0.2.7           7         2         0      -2
address  ip=2001:db8::1         5         1         0      -1

A
       6 │░
         │░
         │░                                     ░
         │█                                     ░
         │█                                     █
         │█                           ▆         █
         │█                           █         █
       0 │█                           █         █
         └───────────────────────────────────────
          2015-05-17 10:00       2015-05-17 10:03
          █ allowed  ░ denied, requests in 5s a column, UTC

B
       6 │█
         │█
         │█                                     ░
         │█                                     ░
         │█                                     ░
         │█                           ▆         ░
         │█                           █         ░
       0 │█                           █         ░
         └───────────────────────────────────────
          2015-05-17 10:00       2015-05-17 10:03
          █ allowed  ░ denied, requests in 5s a column, UTC
";
    let report = desk().replay("@log --config @today.yaml --against @tomorrow.yaml").expect("it can be reported");
    assert_eq!(report, expected, "\n{report}");
}

#[test]
fn the_json_of_a_report_is_version_1_of_its_schema() {
    let json = desk().replay("@log --config @today.yaml --json").expect("it can be reported");
    let mut report: Value = serde_json::from_str(&json).expect("it is JSON");
    let series = report["configuration"]["series"].take();
    let limit = |name, shadow, figures: [u64; 5]| {
        let [matched, allowed, denied, shadow_denied, keys] = figures;
        json!({"name": name, "shadow": shadow, "matched": matched, "allowed": allowed, "denied": denied,
            "shadow_denied": shadow_denied, "distinct_keys": keys, "distinct_keys_exact": true})
    };
    let key = |limit, shadow, labels: Value, requests, denied, start| {
        json!({"limit": limit, "shadow": shadow, "labels": labels, "requests": requests, "denied": denied,
            "worst_minute": {"start": start, "denied": denied}})
    };
    let expected = json!({
        "schema_version": 1,
        "log": {
            "file": "log", "lines": 13, "requests": 12, "skipped": 1, "out_of_order": 1, "most_late_ms": 3000, "damage": null,
            "skipped_lines": [{"line": 7, "problem": "expected an address, two fields and a time in brackets"}],
            "first": "2015-05-17T10:00:00Z", "last": "2015-05-17T10:03:10Z",
        },
        "configuration": {
            "file": "today.yaml", "allowed": 9, "denied": 3, "denied_share": 0.25, "refused": 0, "series": null,
            "limits": [
                limit("address", false, [12, 9, 3, 0, 2]),
                limit("global", false, [12, 12, 0, 0, 1]),
                limit("reports", true, [2, 1, 0, 1, 1]),
            ],
            "most_denied": [
                key("address", false, json!({"ip": "192.0.2.7"}), 7, 2, "2015-05-17T10:00:00Z"),
                key("address", false, json!({"ip": "2001:db8::1"}), 5, 1, "2015-05-17T10:03:00Z"),
                key("reports", true, json!({"ip": "192.0.2.7", "method": "GET"}), 2, 1, "2015-05-17T10:02:00Z"),
            ],
        },
        "against": null,
        "difference": null,
    });
    assert_eq!(report, expected, "\n{json}");
    assert_eq!(series["bin_s"], 5);
    assert_eq!(series["bins"].as_array().map(Vec::len), Some(39));
    assert_eq!(series["bins"][0], json!({"start": "2015-05-17T10:00:00Z", "allowed": 4, "denied": 2}));
}

#[test]
fn the_json_of_a_comparison_has_both_and_their_difference() {
    let json = desk().replay("@log --config @today.yaml --against @tomorrow.yaml --json").expect("it can be reported");
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    let difference = &report["difference"];
    assert_eq!((&difference["newly_allowed"], &difference["newly_denied"]), (&json!(2), &json!(3)));
    let changes: Vec<_> = difference["limits"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|limit| {
            let figures = |which: &str| limit[which].get("denied").cloned();
            (limit["name"].as_str(), figures("configuration"), figures("against"), limit["denied_change"].as_i64())
        })
        .collect();
    let expected = [
        (Some("address"), Some(json!(3)), Some(json!(0)), Some(-3)),
        (Some("global"), Some(json!(0)), Some(json!(0)), Some(0)),
        (Some("logins"), None, Some(json!(4)), Some(4)),
        (Some("reports"), Some(json!(0)), None, Some(0)),
    ];
    assert_eq!(changes, expected);
    let key = |limit, labels: Value, requests, denied, against, change| {
        json!({"limit": limit, "labels": labels, "requests": requests, "denied": denied, "denied_against": against,
            "denied_change": change})
    };
    let expected = json!([
        key("logins", json!({}), 5, 0, 4, 4),
        key("address", json!({"ip": "192.0.2.7"}), 7, 2, 0, -2),
        key("address", json!({"ip": "2001:db8::1"}), 5, 1, 0, -1),
    ]);
    assert_eq!(difference["keys"], expected);
    assert_eq!(report["against"]["file"], "tomorrow.yaml");
}

#[test]
fn a_terminal_gets_rules_in_tables_and_colour() {
    let terminal = Screen { is_terminal: true, has_colour: true, ..PIPE };
    let report = desk().replay_on("@log --config @today.yaml", terminal).expect("it can be reported");
    assert!(report.contains('═') && report.contains("\u{1b}[31m"), "{report}");
}

#[test]
fn what_the_options_say_reaches_the_limits() {
    let yaml =
        "{rate_limits: {pro: {requests_per_minute: 1}}, limits: [{name: eu, match: {region: eu}, rate: 1, per: 1h}]}";
    let desk = Desk::with(&[("log", &log()), ("tollgate.yaml", yaml)]);
    let denied = |options: &str| {
        let json = desk.replay(&format!("@log --config @tollgate.yaml --json {options}")).expect("it can be reported");
        let report: Value = serde_json::from_str(&json).expect("it is JSON");
        report["configuration"]["denied"].as_u64()
    };
    assert_eq!(denied(""), Some(0));
    assert_eq!(denied("--tier pro"), Some(8));
    assert_eq!(denied("--tier pro --by login"), Some(10), "nobody logged in: all share a bucket");
    assert_eq!(denied("--label region=eu"), Some(11));
}
