//! The rules and the dashboard on what a loaded node serves.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dashboard::{annotations, queries};
use crate::expression::{name, selectors};
use crate::files::{JOB, deployed, text, yaml};
use crate::node::{Home, Node};
use crate::prometheus::{Prometheus, promtool};
use crate::rules;

const CONFIG: &str = "
limits:
  - {name: search, match: {endpoint: search}, by: [user], rate: 1, per: 1h, burst_limit: 3}
";

/// How often it is asked whether Prometheus has looked at everything: for 25 s. It begins after five, and one group of rules is ten seconds
/// apart.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(250);

/// Names that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// Requests of three tiers to two endpoints, some of which are denied.
async fn load(node: &Node) {
    let request = |number: usize| {
        let (endpoint, tier) = (["search", "users"][number % 2], ["basic", "pro", "gold"][number % 3]);
        json!({"endpoint": endpoint, "labels": {"user": "1", "tier": tier}})
    };
    let requests: Vec<_> = (0..24).map(request).collect();
    let answer = node.post("/v1/acquire_many", json!({"requests": requests})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The expressions of all rules.
fn rule_expressions() -> Vec<String> {
    rules::all().iter().map(|rule| text(rule, "expr").to_owned()).collect()
}

/// The names that rules record under.
fn recorded() -> BTreeSet<String> {
    rules::all().iter().filter_map(|rule| rule["record"].as_str()).map(str::to_owned).collect()
}

/// The names of all series that the node serves.
fn served(metrics: &str) -> BTreeSet<&str> {
    metrics.lines().filter(|line| !line.starts_with('#')).map(name).filter(|name| !name.is_empty()).collect()
}

#[tokio::test]
async fn every_metric_that_is_asked_for_is_served() {
    let node = Home::with_config(CONFIG).start();
    let (metrics, recorded) = (node.metrics().await, recorded());
    let served = served(&metrics);
    let is_there = |name: &str, may_be_recorded| {
        served.contains(name) || OF_PROMETHEUS.contains(&name) || (may_be_recorded && recorded.contains(name))
    };
    for expression in rule_expressions() {
        let missing: Vec<_> = selectors(&expression).into_iter().filter(|asked| !is_there(name(asked), true)).collect();
        assert!(missing.is_empty(), "{missing:?} of {expression}");
    }
    // The dashboard does without recorded series, so that it shows the same where nobody loads the rules.
    let of_dashboard = queries().into_iter().map(|query| query.expression).chain(annotations());
    for expression in of_dashboard {
        let asked = selectors(&expression);
        let missing: Vec<_> = asked.iter().filter(|asked| !is_there(name(asked), false)).collect();
        assert!(!asked.is_empty() && missing.is_empty(), "{missing:?} of {expression}");
    }
}

#[test]
fn every_expression_of_the_dashboard_is_promql() {
    let of_panels = queries().into_iter().map(|query| query.expression);
    let rule = |(index, expression): (usize, String)| json!({"record": format!("q:{index}"), "expr": expression});
    let rules: Vec<Value> = of_panels.chain(annotations()).enumerate().map(rule).collect();
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("rules.yaml");
    // What is JSON is YAML.
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).expect("the rules can be written");
    promtool(2..=3, &["check", "rules"], &file);
}

/// The configuration that is deployed, of this node and in a hurry.
fn configuration(node: &Node) -> Value {
    let mut config = yaml("prometheus/scrape.yaml");
    config["global"]["scrape_interval"] = json!("1s");
    config["global"]["scrape_timeout"] = json!("1s");
    config["rule_files"] = json!([deployed("prometheus/rules.yaml")]);
    let job = &mut config["scrape_configs"][0];
    assert_eq!(job["job_name"], JOB);
    job["static_configs"][0]["targets"] = json!([node.url.trim_start_matches("http://")]);
    config
}

/// Whether it has looked at the node several times, and at each rule.
async fn has_looked(prometheus: &Prometheus) -> Result<(), String> {
    let scrapes = format!("count_over_time(up{{job=\"{JOB}\"}}[1m]) > 3");
    if prometheus.query(&scrapes).await?.is_empty() {
        return Err("too few scrapes".to_owned());
    }
    let rules = prometheus.rules().await?;
    match rules.iter().find(|rule| rule["health"] == "unknown") {
        _ if rules.is_empty() => Err("no rules".to_owned()),
        Some(rule) => Err(format!("{} was not looked at", rule["name"])),
        None => Ok(()),
    }
}

/// Loads the node until Prometheus has looked at everything.
async fn until_looked(prometheus: &Prometheus, node: &Node) {
    let mut missing = String::new();
    for _ in 0..ATTEMPTS {
        let Err(reason) = has_looked(prometheus).await else { return };
        missing = reason;
        load(node).await;
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{missing}: {}", prometheus.log());
}

#[tokio::test]
async fn prometheus_has_series_for_every_panel_and_every_rule() {
    let node = Home::with_config(CONFIG).start();
    load(&node).await;
    let Some(prometheus) = Prometheus::start(&configuration(&node)) else { return };
    until_looked(&prometheus, &node).await;
    for query in queries() {
        let series = prometheus.query(&query.expression).await;
        let is_shown = series.as_ref().is_ok_and(|series| !series.is_empty());
        assert!(is_shown, "{}: {series:?} of {}", query.panel, query.expression);
    }
    let recorded = recorded();
    for expression in rule_expressions() {
        let asked = selectors(&expression).into_iter();
        for selector in asked.filter(|asked| !recorded.contains(name(asked)) && name(asked) != "ALERTS") {
            let series = prometheus.query(selector).await;
            assert!(series.as_ref().is_ok_and(|series| !series.is_empty()), "{selector}: {series:?}");
        }
    }
    for rule in prometheus.rules().await.expect("it tells its rules") {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
