//! Which layer decides: defaults < file < environment < flags.

use super::{Files, flags, load_variables, variables};
use crate::config::{Config, Flags};

/// What the three layers that can be written mean together.
fn load(yaml: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Config {
    let files = Files::new();
    let flags = Flags { config: Some(files.write("t.yaml", yaml)), ..flags(arguments) };
    Config::load(&flags, variables(environment)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_layer_takes_precedence_over_those_below() {
    const VARIABLE: &[(&str, &str)] = &[("TOLLGATE_HTTP", "environment:1")];
    for (yaml, environment, arguments, expected) in [
        ("", &[][..], &[][..], "127.0.0.1:8080"),
        ("http: 'file:1'", &[], &[], "file:1"),
        ("http: 'file:1'", VARIABLE, &[], "environment:1"),
        ("http: 'file:1'", &[("TOLLGATE_HTTP", "")], &[], "file:1"),
        ("http: 'file:1'", VARIABLE, &["--http", "flag:1"], "flag:1"),
        ("", VARIABLE, &["--http", "flag:1"], "flag:1"),
    ] {
        assert_eq!(load(yaml, environment, arguments).http.as_str(), expected, "{yaml} {environment:?} {arguments:?}");
    }
}

#[test]
fn every_flag_sets_its_key() {
    let arguments =
        ["--http", "h:1", "--data", "d", "--node", "2", "--peer", "p:2", "--nodes", "1=a:1,2=b:2", "--nodes", "3=c:3"];
    let config = load("cluster: {nodes: {1: 'x:1', 9: 'y:9'}, shards: 4}", &[], &arguments);
    assert_eq!((config.http.as_str(), config.data.to_str()), ("h:1", Some("d")));
    assert_eq!((config.cluster.node, config.cluster.listens_at().as_str(), config.cluster.shards), (2, "p:2", 4));
    let nodes: Vec<_> = config.cluster.nodes.iter().map(|(node, address)| (*node, address.as_str())).collect();
    assert_eq!(nodes, [(1, "a:1"), (2, "b:2"), (3, "c:3")]);
    let join = load("", &[], &["--join", "j:1"]).cluster.join;
    assert_eq!(join.map(|address| address.to_string()).as_deref(), Some("j:1"));
}

#[test]
fn a_variable_sets_one_key_and_leaves_its_neighbours() {
    let yaml = "cluster: {node: 2, shards: 4, nodes: {2: 'file:2'}}\nredis: {url: 'redis://file'}";
    let environment = [
        ("TOLLGATE_CLUSTER__SHARDS", "8"),
        ("TOLLGATE_CLUSTER__NODES__3", "environment:3"),
        ("TOLLGATE_REDIS__FAILOVER_URLS", "['redis://a', 'redis://b']"),
        ("TOLLGATE_METRICS__LEGACY_NAMES", "false"),
        ("TOLLGATE_CLUSTER__HORIZON_LEAD", "500ms"),
        ("TOLLGATE_DATA", "007"),
    ];
    let config = load(yaml, &environment, &[]);
    assert_eq!((config.cluster.node, config.cluster.shards), (2, 8));
    assert_eq!(config.cluster.nodes.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(config.redis.map(|redis| redis.failover_urls.len()), Some(2));
    assert!(!config.metrics.legacy_names);
    assert_eq!(config.cluster.horizon_lead.as_millis(), 500);
    assert_eq!(config.data.to_str(), Some("007"), "a text is taken as it is");
}

#[test]
fn a_variable_can_set_a_section_and_another_a_key_of_it() {
    let environment = [("TOLLGATE_CLUSTER", "{node: 2, shards: 4}"), ("TOLLGATE_CLUSTER__SHARDS", "8")];
    let config = load("cluster: {node: 3, replication: 5}", &environment, &[]);
    assert_eq!((config.cluster.node, config.cluster.shards, config.cluster.replication), (2, 8, 3));
}

#[test]
fn a_variable_changes_one_figure_of_a_tier() {
    let burst = |config: &Config, name: &str| {
        let tier = config.limits.iter().find(|limit| limit.name.as_str() == name);
        tier.map(|limit| limit.algorithm.capacity())
    };
    let environment = [("TOLLGATE_RATE_LIMITS__PRO__BURST_LIMIT", "7")];
    let config = load("", &environment, &[]);
    assert_eq!((burst(&config, "pro"), burst(&config, "basic")), (Some(7), Some(20)));
    let config = load("rate_limits: {pro: {requests_per_minute: 1}}", &environment, &[]);
    assert_eq!((burst(&config, "pro"), burst(&config, "basic")), (Some(7), None));
    let config = load("", &[("TOLLGATE_RATE_LIMITS", "{gold: {requests_per_minute: 3}}")], &[]);
    assert_eq!((burst(&config, "gold"), burst(&config, "pro")), (Some(3), None));
}

#[test]
fn the_file_is_named_by_the_flag_or_else_by_the_variable() {
    let files = Files::new();
    let [one, two] = ["one", "two"].map(|name| files.write(name, format!("http: '{name}:1'")));
    let environment = variables(&[("TOLLGATE_CONFIG", two.to_str().expect("UTF-8"))]);
    let http = |flags: &Flags| Config::load(flags, environment.clone()).map(|config| config.http.to_string());
    assert_eq!(http(&Flags::default()), Ok("two:1".to_owned()));
    assert_eq!(http(&Flags { config: Some(one), ..Flags::default() }), Ok("one:1".to_owned()));
}

#[test]
fn older_names_are_aliases_of_lower_precedence() {
    let url = |environment: &[(&str, &str)]| {
        let redis = load("redis: {url: 'redis://file'}", environment, &[]).redis;
        redis.map(|redis| redis.url.expose().to_owned())
    };
    let alias = ("REDIS_URL", "redis://alias");
    assert_eq!(url(&[alias]).as_deref(), Some("redis://alias"));
    assert_eq!(url(&[alias, ("TOLLGATE_REDIS__URL", "redis://own")]).as_deref(), Some("redis://own"));
    assert_eq!(load("log: warn", &[("RUST_LOG", "debug")], &[]).log, "debug");
}

#[test]
fn names_without_a_meaning_are_told_and_those_of_others_are_not() {
    let config = load_variables(&[
        ("TOKEN_BUCKET_CAPACITY", "100"),
        ("MAISD_CACHE_SIZE_MB", "100"),
        ("DEFAULT_EXPIRY", ""),
        ("TOLLGATE_URL", "http://elsewhere"),
        ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
        ("TOLLGATE_SERVICE_PORT_HTTP", "8080"),
        ("TOLLGATE_PORT", "tcp://10.0.0.1:8080"),
        ("TOLLGATE_PEERS_PORT_9101_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);
    let expected = [
        "MAISD_CACHE_SIZE_MB has no effect: Tollgate limits calls and does not optimise them",
        "TOKEN_BUCKET_CAPACITY has no effect: `burst_limit` of a tier or limit says how much a bucket holds",
    ];
    assert_eq!(config.map(|config| config.warnings), Ok(expected.map(str::to_owned).to_vec()));
}
