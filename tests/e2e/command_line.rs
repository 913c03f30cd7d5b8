//! The command line.

use std::process::Output;

use serde_json::{Value, json};

use crate::node::{Home, Node, tollgate};

fn run(node: &Node, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = tollgate().args(["--url", &node.url]).args(arguments).output();
    let Output { status, stdout, stderr } = output.expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn exit_codes_tell_allowed_denied_and_wrong() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 1, "per": "1h"})).await;
    let acquire = ["acquire", "e", "--label", "user=a"];
    assert_eq!(run(&node, &acquire).0, Some(0));
    assert_eq!(run(&node, &acquire).0, Some(1));
    assert_eq!(run(&node, &["peek", "e", "--label", "user=b"]).0, Some(0));
    let (code, _, errors) = run(&node, &["acquire", "no spaces"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("endpoint") && errors.lines().count() == 1, "{errors}");
}

#[tokio::test]
async fn limits_and_buckets_can_be_managed() {
    let node = Node::start();
    let file = node.home.path().join("limit.yaml");
    std::fs::write(&file, "{name: mine, by: [user], rate: 3, per: 1h}").expect("it is written");
    let file = file.to_str().expect("a path in ASCII");
    assert_eq!(run(&node, &["limits", "put", file]).0, Some(0));
    assert_eq!(node.admitted("a").await, 3);
    let (code, listed, _) = run(&node, &["limits"]);
    assert_eq!(code, Some(0));
    assert!(listed.contains("mine") && listed.contains("enterprise"), "{listed}");
    let (_, bucket, _) = run(&node, &["--json", "buckets", "get", "mine", "--label", "user=a"]);
    let bucket: Value = serde_json::from_str(&bucket).expect("the raw answer is JSON");
    assert_eq!(bucket["remaining"], json!(0));
    assert_eq!(run(&node, &["buckets", "reset", "mine", "--label", "user=a"]).0, Some(0));
    assert_eq!(node.admitted("a").await, 3);
    assert_eq!(run(&node, &["limits", "delete", "mine"]).0, Some(0));
    assert_eq!(node.get("/v1/limits/mine").await.status, 404);
    assert_eq!(run(&node, &["health"]).0, Some(0));
    assert_eq!(run(&node, &["stats"]).0, Some(0));
    assert_eq!(run(&node, &["stats", "nowhere"]).0, Some(2));
}

#[tokio::test]
async fn help_shows_examples_and_completions_are_there() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["acquire", "--help"], &["replay", "--help"]] {
        let output = tollgate().args(arguments).output().expect("the binary starts");
        assert!(output.status.success(), "{arguments:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = tollgate().args(["completions", shell]).output().expect("the binary starts");
        assert!(output.status.success() && output.stdout.len() > 1_000, "{shell}");
    }
}

#[test]
fn a_configuration_with_a_mistake_stops_the_start_with_one_line() {
    let cases = [
        ("http: 127.0.0.1:0\nlimts: []\n", ":2:", "limts"),
        ("limits:\n  - {name: a, rate: 0, per: 1s}\n", ":2:", "rate"),
        ("limits:\n  - {name: a, rate: 1, per: 9000000000000000000s}\n", ":2:", "per"),
        ("limits:\n  - {name: a, rate: 1, per: 1s}\n  - {name: a, rate: 1, per: 1s}\n", ":3:", "a"),
        ("rate_limits:\n  pro: {requests_per_minute: -5}\n", ":2:", "requests_per_minute"),
        ("cluster: {shards: 0}\n", ":1:", "shards"),
        ("cluster: [\n", ":", "tollgate.yaml"),
    ];
    for (yaml, line, key) in cases {
        let errors = Home::with_config(yaml).refused();
        assert_eq!(errors.lines().count(), 1, "{yaml}: {errors}");
        assert!(errors.contains(&format!("tollgate.yaml{line}")) && errors.contains(key), "{yaml}: {errors}");
    }
}

#[test]
fn an_address_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it listens").to_string();
    let home = Home::with_config(&format!("http: {address}\n"));
    let output = tollgate().arg("serve").arg("--config").arg(home.config()).arg("--data").arg(home.data()).output();
    let errors = String::from_utf8(output.expect("it starts").stderr).expect("text");
    assert!(errors.contains(&address), "{errors}");
}
