//! The dashboard for Grafana: whole, laid out, and drawn at the thresholds of the alerts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{JOB, json, list, text};
use crate::rules::threshold;

/// Panels that have to be there under these very names.
const NAMED: [&str; 8] = [
    "Request Rate",
    "Error Rate",
    "Queue Status",
    "Circuit Breaker",
    "Redis Health",
    "Requests per second",
    "Breaches per tier",
    "Redis connection",
];

/// Panels with a line where a built-in rule fires: the rule and what it looks at.
const LINES: [(&str, &str, &str); 13] = [
    ("Error Rate", "error_rate", "error_rate"),
    ("Decision time", "response_time", "response_time"),
    ("Queue Status", "queue_full", "queue_full"),
    ("Circuit Breaker", "circuit_trips", "circuit_trips"),
    ("Redis connection", "redis_latency", "redis_latency"),
    ("Batches failed", "batch_failures", "batch_failures"),
    ("Breaches per tier", "breaches", "breaches"),
    ("Denials per endpoint", "excessive_use", "key_denials"),
    ("Degraded", "limiter_failing", "degraded"),
    ("Disk fill", "limiter_failing", "disk_full"),
    ("Redis Health", "limiter_failing", "disk_full"),
    ("Mode", "mode_change", "mode"),
    ("Mode", "mode_emergency", "mode"),
];

/// Units by the names that Grafana has for them.
const UNITS: [&str; 11] = ["bytes", "cpm", "cps", "ms", "none", "ops", "percent", "percentunit", "reqps", "s", "short"];

/// What the dashboard's variables are where everything is shown, longer names before those that they begin with.
const VARIABLES: [(&str, &str); 5] =
    [("$__rate_interval", "1m"), ("$endpoint", ".*"), ("$node", ".*"), ("$tier", ".*"), ("$job", JOB)];

/// How wide a dashboard is.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    json("grafana/tollgate.json")
}

/// All panels, rows left out.
fn panels() -> Vec<Value> {
    list(&dashboard(), "panels").iter().filter(|panel| panel["type"] != "row").cloned().collect()
}

/// What a panel, or a variable for its values, asks for.
pub(crate) struct Query {
    /// Of which panel or variable, for people.
    pub(crate) panel: String,
    /// With variables replaced.
    pub(crate) expression: String,
}

pub(crate) fn queries() -> Vec<Query> {
    let of_panel = |panel: &Value| -> Vec<Query> {
        let title = text(panel, "title");
        let query = |target| Query { panel: title.to_owned(), expression: replaced(text(target, "expr")) };
        list(panel, "targets").iter().map(query).collect()
    };
    let of_panels = panels();
    of_panels.iter().flat_map(of_panel).chain(of_variables()).collect()
}

/// The values of variables, as expressions of PromQL.
fn of_variables() -> Vec<Query> {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query");
    let query = |variable: &Value| {
        let asked = text(&variable["query"], "query");
        let (selector, label) = asked
            .strip_prefix("label_values(")
            .and_then(|asked| asked.strip_suffix(')')?.rsplit_once(", "))
            .unwrap_or_else(|| panic!("these are no values of a label: {asked}"));
        let expression = replaced(&format!("group by ({label}) ({selector})"));
        Query { panel: format!("variable {}", text(variable, "name")), expression }
    };
    variables.map(query).collect()
}

/// The expressions that mark times in all panels.
pub(crate) fn annotations() -> Vec<String> {
    let dashboard = dashboard();
    let annotations = list(&dashboard["annotations"], "list").iter();
    annotations.filter_map(|annotation| annotation["expr"].as_str()).map(replaced).collect()
}

fn replaced(expression: &str) -> String {
    let all = VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!all.contains('$'), "there is no such variable: {expression}");
    all
}

/// Where a panel is: its first column and row, and those behind its last.
fn place(panel: &Value) -> [u64; 4] {
    let of = |field: &str| panel["gridPos"][field].as_u64().unwrap_or_else(|| panic!("{field} of {panel}"));
    [of("x"), of("y"), of("x") + of("w"), of("y") + of("h")]
}

#[test]
fn panels_have_the_names_that_people_look_for() {
    let panels = panels();
    let titles: BTreeSet<&str> = panels.iter().map(|panel| text(panel, "title")).collect();
    let missing: Vec<_> = NAMED.iter().filter(|name| !titles.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(titles.len(), panels.len(), "each name is there once");
}

#[test]
fn panels_are_apart_and_fit() {
    let dashboard = dashboard();
    let all = list(&dashboard, "panels");
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().expect("a panel has a number")).collect();
    assert_eq!(ids.len(), all.len(), "each number is there once");
    for (index, panel) in all.iter().enumerate() {
        let [left, top, right, bottom] = place(panel);
        assert!(left < right && right <= COLUMNS && top < bottom, "{panel}");
        for other in &all[..index] {
            let [other_left, other_top, other_right, other_bottom] = place(other);
            let is_apart = right <= other_left || other_right <= left || bottom <= other_top || other_bottom <= top;
            assert!(is_apart, "{} and {} overlap", panel["title"], other["title"]);
        }
    }
}

#[test]
fn each_panel_says_what_it_shows_in_which_unit_of_the_chosen_prometheus() {
    let source = json_source();
    for panel in panels() {
        let title = text(&panel, "title");
        assert!(!text(&panel, "description").is_empty(), "{title}");
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        assert!(UNITS.contains(&unit), "{title}: {unit}");
        assert_eq!(panel["datasource"], source, "{title}");
        let targets = list(&panel, "targets");
        let names: BTreeSet<_> = targets.iter().map(|target| text(target, "refId")).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}: {names:?}");
        targets.iter().for_each(|target| assert_eq!(target["datasource"], source, "{title}"));
        for rule in list(&panel["fieldConfig"], "overrides") {
            assert!(names.contains(text(&rule["matcher"], "options")), "{title}: {rule}");
        }
    }
}

/// A Prometheus that is chosen above the dashboard.
fn json_source() -> Value {
    serde_json::json!({"type": "prometheus", "uid": "${DS_PROMETHEUS}"})
}

#[test]
fn variables_are_there_for_all_that_is_chosen() {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"], "list");
    let names: Vec<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["DS_PROMETHEUS", "job", "node", "endpoint", "tier"]);
    assert_eq!(variables[0]["type"], "datasource");
}

#[test]
fn lines_are_drawn_where_alerts_fire() {
    let panels = panels();
    for (title, rule, signal) in LINES {
        let panel = panels.iter().find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("no panel {title}"));
        let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps");
        let lines: Vec<f64> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
        assert!(lines.contains(&threshold(rule, signal)), "{title}: {lines:?}, {rule}");
    }
}
