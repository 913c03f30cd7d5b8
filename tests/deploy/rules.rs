//! The rules for Prometheus against those that are built in.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_server::config::Alerts;

use crate::files::{deployed, list, text, yaml};
use crate::prometheus::promtool;

/// Alerts that nodes cannot raise themselves.
const OF_PROMETHEUS_ALONE: [&str; 1] = ["TollgateNotScraped"];

/// All rules of the file, those that record and those that alert.
pub(crate) fn all() -> Vec<Value> {
    list(&yaml("prometheus/rules.yaml"), "groups").iter().flat_map(|group| list(group, "rules").clone()).collect()
}

/// When an alert fires.
#[derive(Debug, PartialEq)]
struct Firing {
    /// Above this.
    fire: f64,
    /// It is over at or below this.
    clear: f64,
    after_s: f64,
    keeps_for_s: f64,
    severity: String,
}

/// A rule that is built in: its name, its signal, and when it fires.
struct BuiltIn {
    id: (String, String),
    firing: Firing,
}

fn built_in() -> Vec<BuiltIn> {
    let rules = Alerts::default().options().rules.into_iter();
    rules
        .map(|rule| {
            let signal = rule.signal.name();
            let seconds = |ms: i64| ms as f64 / 1e3;
            // Signals that are a time are a yes or no to Prometheus, which takes that time itself.
            let (fire, clear, after_s) = match signal {
                "redis_unavailable" | "leaderless" => (0.0, 0.0, rule.fire),
                _ => (rule.fire, rule.clear, seconds(rule.fires_after_ms)),
            };
            let (keeps_for_s, severity) = (seconds(rule.keep_firing_for_ms), rule.severity.name().to_owned());
            let firing = Firing { fire, clear, after_s, keeps_for_s, severity };
            BuiltIn { id: (rule.name, signal.to_owned()), firing }
        })
        .collect()
}

/// Above what the built-in rule of this name fires.
pub(crate) fn threshold(name: &str, signal: &str) -> f64 {
    let rules = Alerts::default().options().rules;
    let rule = rules.iter().find(|rule| (rule.name.as_str(), rule.signal.name()) == (name, signal));
    rule.unwrap_or_else(|| panic!("no built-in rule {name} looks at {signal}")).fire
}

/// The numbers that an expression's values are to be above.
fn thresholds(expression: &str) -> Vec<f64> {
    let after = expression.split(" > ").skip(1);
    after
        .map(|text| text.split([' ', '\n', ')']).next().and_then(|number| number.parse().ok()).expect("a number"))
        .collect()
}

/// A time as Prometheus writes it; 0 where there is none.
fn seconds(alert: &Value, field: &str) -> f64 {
    let Some(time) = alert[field].as_str() else { return 0.0 };
    let (number, unit) = time.split_at(time.len() - 1);
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        _ => panic!("{time} is neither seconds nor minutes"),
    };
    unit * number.parse::<f64>().expect("a number")
}

fn firing(alert: &Value) -> Firing {
    let thresholds = thresholds(text(alert, "expr"));
    Firing {
        fire: thresholds[0],
        clear: *thresholds.last().expect("it has one"),
        after_s: seconds(alert, "for"),
        keeps_for_s: seconds(alert, "keep_firing_for"),
        severity: text(&alert["labels"], "severity").to_owned(),
    }
}

#[test]
fn each_built_in_rule_has_an_alert_that_fires_when_it_does() {
    let rules = all();
    let of_nodes = rules.iter().filter(|rule| rule["labels"]["rule"].is_string());
    let alerts: Vec<((String, String), Firing)> = of_nodes
        .map(|alert| {
            let label = |name| text(&alert["labels"], name).to_owned();
            ((label("rule"), label("signal")), firing(alert))
        })
        .collect();
    let built_in = built_in();
    for BuiltIn { id, firing } in &built_in {
        let its = alerts.iter().filter(|(alert, _)| alert == id).map(|(_, firing)| firing);
        let its: Vec<_> = its.collect();
        assert!(!its.is_empty(), "{id:?} has no alert");
        its.iter().for_each(|alert| assert_eq!(*alert, firing, "{id:?}"));
    }
    let known: BTreeSet<_> = built_in.iter().map(|rule| &rule.id).collect();
    let unknown: Vec<_> = alerts.iter().map(|(id, _)| id).filter(|id| !known.contains(id)).collect();
    assert!(unknown.is_empty(), "no built-in rule is {unknown:?}");
}

#[test]
fn each_alert_says_what_is_wrong_what_it_means_and_what_to_do() {
    for alert in all().iter().filter(|rule| rule["alert"].is_string()) {
        let name = text(alert, "alert");
        for annotation in ["summary", "description", "action"] {
            assert!(!text(&alert["annotations"], annotation).trim().is_empty(), "{name} has no {annotation}");
        }
        let is_built_in = alert["labels"]["rule"].is_string();
        assert_ne!(is_built_in, OF_PROMETHEUS_ALONE.contains(&name), "{name}");
    }
}

#[test]
fn promtool_finds_no_mistake_in_the_rules_and_the_configuration() {
    promtool(2..=3, &["check", "rules", "--lint=all", "--lint-fatal"], &deployed("prometheus/rules.yaml"));
    promtool(2..=3, &["check", "config"], &deployed("prometheus/scrape.yaml"));
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    // From Prometheus 3 on a minute no longer has both of its ends, so the tests' figures are those of 2.
    promtool(2..=2, &["test", "rules"], &deployed("prometheus/rules_test.yaml"));
}
