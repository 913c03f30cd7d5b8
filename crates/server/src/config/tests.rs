use super::*;
use std::path::Path;

fn load_file(file: &Path) -> Result<Config, ConfigError> {
    Config::load(&Flags { config: Some(file.to_owned()), ..Flags::default() }, [])
}

#[test]
fn explore() {
    let directory = tempfile::tempdir().expect("d");
    let file = directory.path().join("t.yaml");
    let deep = format!("http: {}", "[".repeat(300));
    let deep2 = (0..300).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
    let bomb = {
        let mut t = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..10 { t += &format!("a{i}: &a{i} [*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0}]\n", i - 1); }
        t
    };
    for yaml in [
        "", "# x\n", "---\n", "null", "http: 1", "http:", "limits: null", "limits: []", "limits: {}", "- a", "x", "http: a\nhttp: b", "\thttp: a",
        "http:\n\t- a", "htpp: x", "cluster:\n  nodez: 1", "cluster: {node: -1}", "cluster: {node: 1.5}", "cluster: {node: \"1\"}", "cluster: {node: 99999999999999999999}",
        "cluster: {node: .nan}", "alerts: {error_rate_threshold: .nan}", "alerts: {error_rate_threshold: canary}",
        "cluster: [1]", "cluster: {nodes: {x: a:1}}", "cluster: {nodes: {1: a}}",
        "limits:\n  - {name: a, requests_per_minute: 1}\n  - name: b\n    rate: 0\n    per: 1s",
        "limits:\n  - name: a\n    ratee: 1", "limits:\n  - name: a\n    completely_other: 1", "limits:\n  - algorithm: gcra",
        "limits:\n  - name: pro\n    requests_per_minute: 1", "rate_limits: {'a b': {requests_per_minute: 1}}",
        "rate_limits: {a: {burst_limit: 1}}", "a: &a [*a]", "http: *b", "http: 'unclosed canary", "http: {a: b", "http: ]", "a: b: c", "--- a\n--- b", "http: !!int canary", "http: !canary x",
        "log: '[[['", "log: 'canary=canary=canary'", "? [a]\n: b", "~: a", "1: a", "true: b", "http: |\n  canary", "data: ''", "data: 7", "%YAML 9.9\n---\nhttp: a", "http: \"\\q canary\"",
        "shared: &s {node: 2}\ncluster: *s", "cluster:\n  <<: {node: 0}", "redis: {}", "redis: {url: canary}", "redis: canary", "redis: {url: 1234}", "redis: {url: redis://x, url_file: canary}", "redis: {url_file: /canary}", "redis: {url_file: [1]}", "\u{feff}max_buckets: 0", "http: a\0b", "max_buckets: 0x10", "max_buckets: 1_000", "max_buckets: 1e3", "max_buckets: yes", "metrics: {legacy_names: yes}", "metrics: {legacy_names: no}", "x\u{1b}y\nz: 1", "\"a\\nb\": 1",
        deep.as_str(), deep2.as_str(), bomb.as_str(),
    ] {
        std::fs::write(&file, yaml).expect("w");
        let shown: String = yaml.chars().take(60).collect();
        match load_file(&file) {
            Ok(_) => eprintln!("{shown:?} OK"),
            Err(error) => eprintln!("{shown:?}\n      {}", error.to_string().replace(&*directory.path().to_string_lossy(), "")),
        }
    }
}
