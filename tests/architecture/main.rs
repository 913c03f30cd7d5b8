//! The walls between the crates, as `crates/README.md` draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each may use; a crate that is missing here fails the test, so that the map stays whole.
const ARROWS: &[(&str, &[&str])] = &[
    ("tollgate", &["tollgate-client", "tollgate-server"]),
    (
        "tollgate-server",
        &[
            "tollgate-api",
            "tollgate-cluster",
            "tollgate-feedback",
            "tollgate-limiter",
            "tollgate-storage",
            "tollgate-transport",
        ],
    ),
    ("tollgate-client", &["tollgate-api", "tollgate-feedback", "tollgate-transport"]),
    ("tollgate-cluster", &["tollgate-feedback", "tollgate-limiter", "tollgate-storage", "tollgate-transport"]),
    ("tollgate-api", &[]),
    ("tollgate-feedback", &[]),
    ("tollgate-limiter", &[]),
    ("tollgate-storage", &[]),
    ("tollgate-transport", &[]),
    ("xtask", &[]),
    (
        "tollgate-simulations",
        &["tollgate-cluster", "tollgate-feedback", "tollgate-limiter", "tollgate-storage", "tollgate-transport"],
    ),
    ("tollgate-model", &[]),
];

/// What only one crate may use, because it is that crate's purpose to keep it from the others.
const OWNED: &[(&str, &str)] = &[
    ("openraft", "tollgate-cluster"),
    ("ractor", "tollgate-cluster"),
    ("raft-engine", "tollgate-storage"),
    ("sled", "tollgate-storage"),
    ("axum", "tollgate-server"),
];

/// Crates that may use what another owns, in tools that are no part of the product.
const TOOLS: &[&str] = &["xtask"];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// What each of our crates depends on, tests and benchmarks left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]))
            .expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("there are packages");
    let used = |package: &Value| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().into_iter().flatten();
        all.filter(|dependency| dependency["kind"].is_null()).map(|dependency| text(&dependency["name"])).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), used(package))).collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let dependencies = dependencies();
    for (package, used) in &dependencies {
        let allowed = allowed.get(package.as_str()).unwrap_or_else(|| panic!("{package} has no arrows: add it here"));
        let ours = used.iter().filter(|name| dependencies.contains_key(*name));
        let wrong: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{package} may not use {wrong:?}");
    }
}

#[test]
fn what_one_crate_keeps_from_the_others_is_used_by_no_other() {
    for (package, used) in dependencies() {
        let foreign = OWNED.iter().filter(|(name, owner)| used.contains(*name) && *owner != package);
        let foreign: Vec<_> = foreign.filter(|_| !TOOLS.contains(&package.as_str())).collect();
        assert!(foreign.is_empty(), "{package} uses what belongs to another: {foreign:?}");
    }
}

#[test]
fn no_mistake_is_planted_in_the_product() {
    let tree = cargo(&["tree", "--offline", "-p", "tollgate", "-e", "features", "--prefix", "none"]);
    assert!(tree.contains("tollgate-limiter feature"), "the tree shows features:\n{tree}");
    let planted: Vec<&str> = tree.lines().filter(|line| line.contains("planted")).collect();
    assert!(planted.is_empty(), "the product is built with {planted:?}");
}

#[test]
fn the_limiter_knows_no_runtime() {
    let tree = cargo(&["tree", "--offline", "-p", "tollgate-limiter", "-e", "normal", "--prefix", "none"]);
    for runtime in ["tokio", "ractor", "openraft", "rand", "getrandom"] {
        let found = tree.lines().any(|line| line.split(' ').next() == Some(runtime));
        assert!(!found, "tollgate-limiter depends on {runtime}");
    }
}
