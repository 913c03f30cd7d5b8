//! Reading the same sources again, and what a running node can take over.

use std::fs;

use super::{Files, flags, load_yaml, variables};
use crate::config::{Config, Flags};

#[test]
fn a_reload_reads_the_files_anew_and_keeps_variables_and_flags() {
    let files = Files::new();
    let file = files.write("t.yaml", "limits: [{name: a, requests_per_minute: 1}]");
    let flags = Flags { config: Some(file.clone()), ..flags(&["--node", "2"]) };
    let config = Config::load(&flags, variables(&[("TOLLGATE_HTTP", "environment:1")])).expect("no mistakes");
    fs::write(&file, "http: 'file:1'\nlimits: [{name: b, requests_per_minute: 1}]").expect("writable");
    let new = config.reload().expect("no mistakes");
    assert_eq!(new.limits.last().map(|limit| limit.name.as_str()), Some("b"));
    assert_eq!((new.http.as_str(), new.cluster.node), ("environment:1", 2));
    assert!(config.needs_restart(&new).is_empty());
    fs::write(&file, "limits: 5").expect("writable");
    let error = new.reload().expect_err("a mistake");
    assert_eq!(files.relative(&error.to_string()), "t.yaml:1:1: limits: must be a list");
}

#[test]
fn what_needs_a_restart_is_named() {
    let load = |yaml: &str| load_yaml(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    for (yaml, expected) in [
        ("rate_limits: {}\nlimits: [{name: a, requests_per_minute: 1}]", &[][..]),
        ("http: 'a:1'\ndata: d", &["http", "data"]),
        ("max_buckets: 5\nlog: debug\nmetrics: {legacy_names: false}", &["max_buckets", "metrics", "log"]),
        ("redis: {url: 'redis://a'}", &["redis"]),
        ("queue: {max_size: 50}\ncircuit_breaker: {timeout: 1}", &["circuit_breaker", "queue"]),
        ("alerts: {receivers: {webhook: {url: 'https://a'}}}", &[]),
        ("cluster: {node: 2, peer: 'p:1', shards: 2}", &["cluster.node", "cluster.peer", "cluster.shards"]),
        ("cluster: {nodes: {1: 'a:1'}, replication: 1}", &["cluster.nodes", "cluster.replication"]),
        (
            "cluster: {join: 'a:1', horizon_lead: 1s, deadline: 1s}",
            &["cluster.join", "cluster.horizon_lead", "cluster.deadline"],
        ),
    ] {
        assert_eq!(load("").needs_restart(&load(yaml)), expected, "{yaml}");
    }
}
