//! Every kind of mistake, and the line that it is told by.

use std::fs;

use super::{Files, flags, load_variables, load_yaml, variables};
use crate::config::{Config, Flags};

const KEYS: &str =
    "http, data, cluster, max_buckets, rate_limits, limits, redis, circuit_breaker, queue, alerts, metrics, log";

fn check(yaml: &str, expected: &str) {
    let error = load_yaml(yaml).err();
    assert_eq!(error.as_deref(), Some(expected), "{yaml}");
}

/// The same where only the key and the problem matter, not the column.
fn check_key(yaml: &str, expected: &str) {
    let error = load_yaml(yaml).err();
    let at_key = error.as_ref().and_then(|error| error.split_once(": "));
    assert_eq!(at_key.map(|(_, rest)| rest), Some(expected), "{yaml}");
}

#[test]
fn what_is_not_yaml_is_told_by_line() {
    for (yaml, expected) in [
        ("http: a\nhttp: b", "t.yaml:2:1: the key is given twice in its map"),
        ("limits:\n- {name: a, name: b}", "t.yaml:2:13: the key is given twice in its map"),
        ("http:\n\t- a", "t.yaml:2:2: is not valid YAML: tabs disallowed within this context (block indentation)"),
        ("http: 'a", "t.yaml:1:7: is not valid YAML: unclosed quote"),
        ("cluster: {node: 1", "t.yaml:1:10: is not valid YAML: unclosed bracket '{'"),
        ("a: b: c", "t.yaml:1:5: is not valid YAML: mapping values are not allowed in this context"),
        ("http: *b", "t.yaml:1:7: is not valid YAML: reference to unknown value"),
        ("a: &a [*a]", "t.yaml:1:8: is not valid YAML: Recursive reference not allowed here"),
        ("--- {}\n--- {}", "t.yaml:2:5: is not valid YAML: only single YAML document expected but multiple found"),
        ("alerts: {error_rate_threshold: .nan}", "t.yaml:1:32: is not valid YAML: value `.nan` is not a finite number"),
        ("log: a\0b", "t.yaml:1:7: is not valid YAML: unexpected character: `\\u{0}'"),
        ("- a", "t.yaml:1:1: must be a map of settings, such as `http: 127.0.0.1:8080`"),
        ("just words", "t.yaml:1:1: must be a map of settings, such as `http: 127.0.0.1:8080`"),
    ] {
        check(yaml, expected);
    }
}

#[test]
fn unknown_and_missing_keys_are_told_with_what_was_meant() {
    check("htpp: x", "t.yaml:1:1: htpp: is not a key: did you mean `http`?");
    check("cluster:\n  node: 1\n  shard: 2", "t.yaml:3:3: cluster.shard: is not a key: did you mean `shards`?");
    check("limits:\n  - name: a\n    ratee: 1", "t.yaml:3:5: limits[0].ratee: is not a key: did you mean `rate`?");
    check("colour: x", &format!("t.yaml:1:1: colour: is not a key here, where there are {KEYS}"));
    check("\"a\\nb\": 1", &format!("t.yaml:1:1: a\\nb: is not a key here, where there are {KEYS}"));
    let long = "k".repeat(500);
    check(&format!("{long}: 1"), &format!("t.yaml:1:1: {}…: is not a key here, where there are {KEYS}", &long[..200]));
    check("redis: {}", "t.yaml:1:1: redis.url: is missing");
    check("rate_limits: {a: {burst_limit: 1}}", "t.yaml:1:15: rate_limits.a.requests_per_minute: is missing");
    check("alerts: {receivers: {pagerduty: {}}}", "t.yaml:1:22: alerts.receivers.pagerduty.routing_key: is missing");
}

#[test]
fn values_of_the_wrong_type_are_told_with_the_right_one() {
    const ADDRESS: &str = "must be an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`";
    const DURATION: &str = "must be a duration such as `1s`, `500ms` or `1d`, or a whole number of seconds";
    for (yaml, key, problem) in [
        ("http: 8080", "http", ADDRESS),
        ("http: localhost", "http", ADDRESS),
        ("http: [a, b]", "http", ADDRESS),
        ("http:", "http", "has no value: give it one or leave the key out"),
        ("limits: null", "limits", "has no value: give it one or leave the key out"),
        ("redis:", "redis", "has no value: give it one or leave the key out"),
        ("data: 7", "data", "must be a text"),
        ("cluster: [1]", "cluster", "must be a map of the settings of the cluster"),
        ("limits: {}", "limits", "must be a list"),
        ("limits: 5", "limits", "must be a list"),
        ("rate_limits: []", "rate_limits", "must be a map"),
        ("max_buckets: many", "max_buckets", "must be a whole number that is not negative"),
        ("max_buckets: -1", "max_buckets", "must be a whole number that is not negative"),
        ("max_buckets: 1.5", "max_buckets", "must be a whole number that is not negative"),
        ("max_buckets: '1'", "max_buckets", "must be a whole number that is not negative"),
        ("max_buckets: 99999999999999999999", "max_buckets", "must be a whole number that is not negative"),
    ] {
        check(yaml, &format!("t.yaml:1:1: {key}: {problem}"));
    }
    for (yaml, expected) in [
        ("metrics: {legacy_names: no}", "metrics.legacy_names: must be true or false"),
        ("alerts: {error_rate_threshold: x}", "alerts.error_rate_threshold: must be a number"),
        ("cluster: {horizon_lead: soon}", &format!("cluster.horizon_lead: {DURATION}")),
        ("cluster: {horizon_lead: 1.5}", &format!("cluster.horizon_lead: {DURATION}")),
        (
            "cluster: {deadline: 1mo}",
            "cluster.deadline: must not be in months, which differ in length: write days, such as `30d`",
        ),
        ("cluster: {deadline: 9e18}", "cluster.deadline: must be at most 292 years"),
        ("cluster: {nodes: {x: 'a:1'}}", "cluster.nodes.x: must be a whole number that is not negative"),
    ] {
        check_key(yaml, expected);
    }
}

#[test]
fn values_out_of_range_are_told_with_the_range() {
    for (yaml, expected) in [
        ("data: ''", "data: must be a directory"),
        ("max_buckets: 0", "max_buckets: must be from 1 to 1000000000000"),
        ("log: '[[['", "log: must be a filter such as `info` or `warn,tollgate_server=debug`"),
        ("cluster: {node: 0}", "cluster.node: must be at least 1"),
        ("cluster: {shards: 0}", "cluster.shards: must be from 1 to 256"),
        ("cluster: {shards: 257}", "cluster.shards: must be from 1 to 256"),
        ("cluster: {replication: 8}", "cluster.replication: must be from 1 to 7"),
        ("cluster: {horizon_lead: 99ms}", "cluster.horizon_lead: must be from 100ms to 60s"),
        ("cluster: {horizon_lead: 61}", "cluster.horizon_lead: must be from 100ms to 60s"),
        ("cluster: {deadline: 0ms}", "cluster.deadline: must be from 1ms to 10s"),
        ("cluster: {nodes: {2: 'a:1'}}", "cluster.nodes: must hold this node, which is 1"),
        ("cluster: {nodes: {1: 'a:1', 2: 'a:1'}}", "cluster.nodes.2: has the address of another node"),
        ("cluster: {nodes: {1: 'a:0'}}", "cluster.nodes.1: must have a port other than 0"),
        ("cluster: {nodes: {0: 'a:1'}}", "cluster.nodes.0: is no node: their numbers begin with 1"),
        ("cluster: {join: 'a:0'}", "cluster.join: must have a port other than 0"),
        (
            "cluster: {join: 'a:1', nodes: {1: 'a:1'}}",
            "cluster.join: is given beside `nodes`: form a cluster with one or join it with the other",
        ),
        (
            "redis: {url: 'http://a'}",
            "redis.url: must be a URL that begins with one of redis://, rediss://, redis+sentinel://, rediss+sentinel://",
        ),
        (
            "redis: {url: 'redis://a', failover_urls: ['redis://b', 'redis://']}",
            "redis.failover_urls[1]: must be a URL that begins with one of redis://, rediss://, redis+sentinel://, \
             rediss+sentinel://",
        ),
        ("circuit_breaker: {threshold: 0}", "circuit_breaker.threshold: must be from 1 to 1000000"),
        ("circuit_breaker: {timeout: 0}", "circuit_breaker.timeout: must be from 1ms to 86400s"),
        ("queue: {max_size: 0}", "queue.max_size: must be from 1 to 10000000"),
        ("queue: {max_size: 5}", "queue.batch_size: must be from 1 to `max_size`, which is 5"),
        ("queue: {batch_size: 0}", "queue.batch_size: must be from 1 to `max_size`, which is 1000"),
        ("alerts: {queue_full_threshold: 100.5}", "alerts.queue_full_threshold: must be from 0.0 to 100.0"),
        ("alerts: {circuit_trips_threshold: 0}", "alerts.circuit_trips_threshold: must be from 1 to 1000000000"),
        ("alerts: {rules: {r: {for: 2d}}}", "alerts.rules.r.for: must be from 0ns to 86400s"),
        ("alerts: {rules: {r: {fire: 1, clear: 2}}}", "alerts.rules.r.clear: must be at most `fire`"),
        (
            "alerts: {rules: {r: {severity: bad}}}",
            "alerts.rules.r.severity: must be one of `info`, `warning`, `error`, `critical`",
        ),
        ("alerts: {rules: {r: {receivers: []}}}", "alerts.rules.r.receivers: must name at least one receiver"),
        ("alerts: {routes: [{to: [slack]}]}", "alerts.routes[0].to[0]: is not one of the keys of `alerts.receivers`"),
        (
            "alerts: {receivers: {slack: {url: x}}}",
            "alerts.receivers.slack.url: must be a URL that begins with one of https://, http://",
        ),
        (
            "alerts: {receivers: {pagerduty: {routing_key: ''}}}",
            "alerts.receivers.pagerduty.routing_key: must not be empty",
        ),
    ] {
        check_key(yaml, expected);
    }
}

#[test]
fn a_rule_that_could_never_mean_anything_is_told_by_key() {
    const NO_RULE: &str = "is missing: no built-in rule has this name, so say";
    let never = |most: u64, metric: &str| {
        format!("must be below {most}, the most that `{metric}` ever shows: it would never fire")
    };
    let names = "error_rate, queue_full, circuit_trips, response_time, batch_failures, redis_latency, redis_unavailable, \
                 breaches, key_denials, usage_spike, degraded, leaderless, disk_failed, disk_full, node_down, mode";
    for (rule, expected) in [
        ("r: {fire: 1}", format!("r.metric: {NO_RULE} what to look at")),
        ("r: {metric: mode}", format!("r.fire: {NO_RULE} when it fires")),
        ("r: {metric: error_rat, fire: 1}", "r.metric: is not a metric: did you mean `error_rate`?".to_owned()),
        ("r: {metric: colour, fire: 1}", format!("r.metric: is not a metric, of which there are {names}")),
        (
            "error_rate: {metric: mode}",
            "error_rate.metric: is given to a built-in rule: give the rule another name".to_owned(),
        ),
        ("error_rate: {clear: 6}", "error_rate.clear: must be at most `fire`, which is 5 by default".to_owned()),
        ("response_time: {fire: 1000}", format!("response_time.fire: {}", never(1_000, "response_time"))),
        ("r: {metric: disk_full, fire: 100}", format!("r.fire: {}", never(100, "disk_full"))),
        ("node_down: {fire: 1}", format!("node_down.fire: {}", never(1, "node_down"))),
        (
            "limiter_failing: {fire: 0.5}",
            "limiter_failing.fire: is given to a rule of several metrics: give each a rule of its own".to_owned(),
        ),
        (
            "limiter_failing: {clear: 0}",
            "limiter_failing.clear: is given to a rule of several metrics: give each a rule of its own".to_owned(),
        ),
    ] {
        check_key(&format!("alerts: {{rules: {{{rule}}}}}"), &format!("alerts.rules.{expected}"));
    }
    check_key(
        "alerts: {response_time_threshold: 2000}",
        &format!("alerts.response_time_threshold: {}", never(1_000, "response_time")),
    );
}

#[test]
fn a_template_that_would_fail_at_night_is_told_at_the_start() {
    let too_long = "x".repeat(4_097);
    for (template, expected) in [
        ("{{ rule", "line 1: is not a template of Jinja: an expression or a tag is not complete or not known"),
        ("a\nb {% if %}", "line 2: is not a template of Jinja: an expression or a tag is not complete or not known"),
        ("{{ colour }}", "uses `colour`, which no message has"),
        ("{{ labels.colour }}", "uses `labels.colour`, which no message has"),
        ("{% if status == 'never' %}{{ colour }}{% endif %}", "uses `colour`, which no message has"),
        ("{% for alert in alerts %}{{ alert.colour }}{% endfor %}", "line 1: uses something that no message has"),
        ("{{ rule | colour }}", "line 1: uses a filter that does not exist"),
        ("{{ colour() }}", "uses `colour`, which no message has"),
        ("{% for i in range(99999) %}{{ i }}{% endfor %}", "line 1: takes too many steps"),
        (
            "{% include 'x' %}",
            "line 1: is not a template of Jinja: an expression or a tag is not complete or not known",
        ),
        (&too_long, "must be at most 4096 bytes long"),
    ] {
        let template = serde_json::to_string(template).expect("a text");
        check_key(
            &format!("alerts: {{rules: {{error_rate: {{template: {template}}}}}}}"),
            &format!("alerts.rules.error_rate.template: {expected}"),
        );
    }
}

#[test]
fn a_wrong_mail_setting_is_told_by_key() {
    let email = "alerts: {receivers: {email: {smtp: 'smtps://host', from: a@b, to: [c@d]}}}";
    for (right, wrong, expected) in [
        ("smtps://host", "host", "smtp: must be a URL that begins with one of smtps://, smtp://"),
        ("a@b", "ab", "from: must be a mail address such as `ops@example.org`"),
        ("c@d", "c@d, e", "to[1]: must be a mail address such as `ops@example.org`"),
        ("[c@d]", "[]", "to: must hold at least one address"),
        ("[c@d]", "[c@d], digest_at: '25:00'", "digest_at: must be a time of day such as `08:00`"),
        ("[c@d]", "[c@d], digest_at: 8", "digest_at: must be a text"),
        (
            "[c@d]",
            "[c@d], time_zone: 'Not a zone'",
            "time_zone: must be the name of a time zone such as `Europe/Berlin`",
        ),
    ] {
        check_key(&email.replace(right, wrong), &format!("alerts.receivers.email.{expected}"));
    }
}

#[test]
fn limits_that_cannot_be_are_told_where_they_stand() {
    let limits = "limits:\n  - {name: a, requests_per_minute: 1}\n";
    for (yaml, expected) in [
        ("  - name: b\n    rate: 0\n    per: 1s", "t.yaml:4:5: limits[1].rate: must be at least 1"),
        (
            "  - name: b\n    rate: 5",
            "t.yaml:3:5: limits[1].per: is missing: say what time `rate` is for, such as `per: 1s`",
        ),
        (
            "  - requests_per_minute: 5",
            "t.yaml:3:5: limits[1].name: must be 1 to 64 characters of A-Z a-z 0-9 _ . -, the first not a dot",
        ),
        (
            "  - name: b\n    requests_per_minute: 5\n    match:\n      user: \"\\a\"",
            "t.yaml:6:7: limits[1].match.user: must not contain control characters",
        ),
        (
            "  - name: b\n    requests_per_minute: 5\n    match:\n      user: 42",
            "t.yaml:6:7: limits[1].match.user: must be a text such as `search` or \"42\", or a list of such texts",
        ),
        (
            "  - name: b\n    algorithm: gcra",
            "t.yaml:4:5: limits[1].algorithm: must be one of `token_bucket`, `sliding_window`, `fixed_window`, \
             `leaky_bucket`, `concurrency`",
        ),
        (
            "  - requests_per_minute: 5\n    name: a",
            "t.yaml:4:5: limits[1].name: is the name of `limits[0]`, too: every tier and limit needs a name of its own",
        ),
        (
            "  - requests_per_minute: 5\n    name: pro",
            "t.yaml:4:5: limits[1].name: is the name of `rate_limits.pro`, too: every tier and limit needs a name of its own",
        ),
        ("  - [a, b]", "t.yaml:3:5: limits[1]: must be a limit: an object with `name`, a rate, and what it matches"),
        ("  -", "t.yaml:3:4: limits[1]: has no value: give it one or leave the key out"),
    ] {
        check(&format!("{limits}{yaml}\n"), expected);
    }
    check(
        "rate_limits:\n  'a b': {requests_per_minute: 1}",
        "t.yaml:2:3: rate_limits.a b: the name must be 1 to 64 characters of A-Z a-z 0-9 _ . -, the first not a dot",
    );
    check(
        "rate_limits:\n  a:\n    requests_per_minute: 0",
        "t.yaml:3:5: rate_limits.a.requests_per_minute: must be at least 1",
    );
    check(
        "rate_limits:\n  a: {requests_per_minute: 1}\n  a.b: {requests_per_minute: 0}",
        "t.yaml:3:9: rate_limits.a.b.requests_per_minute: must be at least 1",
    );
}

#[test]
fn files_that_hold_no_configuration_are_told() {
    let files = Files::new();
    let check = |name: &str, expected: &str| {
        let flags = Flags { config: Some(files.0.path().join(name)), ..Flags::default() };
        let error = Config::load(&flags, []).expect_err(expected).to_string();
        assert_eq!(files.relative(&error), expected);
    };
    fs::create_dir(files.0.path().join("directory.yaml")).expect("the directory is writable");
    files.write("latin1.yaml", b"http: 127.0.0.1:80\n# caf\xe9\n");
    files.write("huge.yaml", vec![b'#'; 4 * 1024 * 1024 + 1]);
    check("missing.yaml", "missing.yaml: cannot be read: No such file or directory (os error 2)");
    check("directory.yaml", "directory.yaml: is a directory, not a file");
    check("latin1.yaml", "latin1.yaml:2:6: is not UTF-8");
    check("huge.yaml", "huge.yaml: is larger than 4096 KiB");
}

#[test]
fn a_short_file_cannot_stand_for_a_huge_tree() {
    let tenfold = |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(","));
    let bomb: String = (1..10).map(tenfold).collect();
    let deep: String = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for (yaml, problem) in [
        (format!("a0: &a0 [x]\n{bomb}"), "repeats too much by aliases"),
        (deep, "is too large or nested too deeply"),
        (format!("http: {}{}", "[".repeat(100), "]".repeat(100)), "is too large or nested too deeply"),
        (format!("http: {}", "[".repeat(100_000)), "is not valid YAML: recursion limit exceeded"),
    ] {
        let error = load_yaml(&yaml).err().unwrap_or_default();
        assert!(error.ends_with(problem), "{error}");
    }
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    for (name, value, expected) in [
        ("TOLLGATE_HTPP", "a:1", "TOLLGATE_HTPP: htpp: is not a key: did you mean `http`?"),
        ("TOLLGATE_CLUSTER__NODEZ", "1", "TOLLGATE_CLUSTER__NODEZ: cluster.nodez: is not a key: did you mean `node`?"),
        (
            "TOLLGATE_CLUSTER__NODE",
            "one",
            "TOLLGATE_CLUSTER__NODE: cluster.node: must be a whole number that is not negative",
        ),
        ("TOLLGATE_CLUSTER__NODE", "0", "TOLLGATE_CLUSTER__NODE: cluster.node: must be at least 1"),
        ("TOLLGATE_CLUSTER", "one", "TOLLGATE_CLUSTER: cluster: must be a map of the settings of the cluster"),
        ("TOLLGATE_LIMITS", "[{name: a}", "TOLLGATE_LIMITS: limits: is not valid YAML: unclosed bracket '['"),
        (
            "TOLLGATE_LIMITS",
            "[{name: a, rate: 1}]",
            "TOLLGATE_LIMITS: limits[0].per: is missing: say what time `rate` is for, such as `per: 1s`",
        ),
        (
            "TOLLGATE_RATE_LIMITS__PRO__BURST_LIMIT",
            "0",
            "TOLLGATE_RATE_LIMITS__PRO__BURST_LIMIT: rate_limits.pro.burst_limit: must be at least 1",
        ),
        (
            "TOLLGATE_HTTP__PORT_NUMBER",
            "80",
            "TOLLGATE_HTTP__PORT_NUMBER: http: must be an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`",
        ),
        (
            "TOLLGATE_http",
            "a:1",
            "TOLLGATE_http: must be a key in upper case with `__` between levels, such as TOLLGATE_CLUSTER__NODE",
        ),
        (
            "TOLLGATE_CLUSTER____NODE",
            "1",
            "TOLLGATE_CLUSTER____NODE: must be a key in upper case with `__` between levels, such as TOLLGATE_CLUSTER__NODE",
        ),
        (
            "REDIS_URL",
            "nowhere",
            "REDIS_URL: redis.url: must be a URL that begins with one of redis://, rediss://, redis+sentinel://, \
             rediss+sentinel://",
        ),
    ] {
        let error = load_variables(&[(name, value)]).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_told_by_its_name() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"\xff".to_vec());
    let error = Config::load(&Flags::default(), [("TOLLGATE_DATA".into(), value)]).expect_err("not UTF-8");
    assert_eq!(error.to_string(), "TOLLGATE_DATA: is not UTF-8");
}

#[test]
fn a_variable_cannot_reach_into_what_is_not_a_map() {
    let files = Files::new();
    let flags = Flags { config: Some(files.write("t.yaml", "cluster: 5")), ..Flags::default() };
    let error = Config::load(&flags, variables(&[("TOLLGATE_CLUSTER__NODE", "1")])).expect_err("no map");
    let expected = "t.yaml:1:1: cluster: must be a map of keys, since TOLLGATE_CLUSTER__NODE sets one of them";
    assert_eq!(files.relative(&error.to_string()), expected);
}

#[test]
fn a_wrong_flag_is_told_by_its_name() {
    for (arguments, expected) in [
        (&["--node", "x"][..], "--node: cluster.node: must be a whole number that is not negative"),
        (&["--http", "80"], "--http: http: must be an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`"),
        (&["--nodes", "a:1"], "--nodes: must be a list such as `1=10.0.0.1:9101,2=10.0.0.2:9101`"),
        (&["--nodes", "1=a:1,1=b:1"], "--nodes: names a node twice"),
        (&["--nodes", "x=a:1"], "--nodes: cluster.nodes.x: must be a whole number that is not negative"),
        (&["--nodes", "2=a:1"], "--nodes: cluster.nodes: must hold this node, which is 1"),
        (
            &["--node", "2", "--nodes", "2=a:1", "--nodes", "3=a:1"],
            "--nodes: cluster.nodes.3: has the address of another node",
        ),
    ] {
        let error = Config::load(&flags(arguments), []).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}
