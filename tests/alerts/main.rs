//! Alerts of real processes, told to real receivers: whatever fails, each receiver is told once, by one node, and no secret is said.

#[path = "../cluster/cluster.rs"]
#[expect(dead_code, reason = "other tests put load on clusters")]
mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../cluster/member.rs"]
mod member;
#[path = "../cluster/namespaces.rs"]
#[expect(dead_code, reason = "other tests break networks in more ways")]
mod namespaces;
#[path = "../e2e/node.rs"]
#[expect(dead_code, reason = "other tests do more with a node")]
mod node;
#[path = "../cluster/wait.rs"]
mod wait;

/// Clusters that run at once. Nobody puts load on them.
const CLUSTERS_AT_ONCE: usize = 4;

mod capture;
mod mail;
mod scene;

mod alertmanager;
mod breaches;
mod crashes;
mod floods;
mod hanging;
mod partitions;
mod reload;
mod secrets;
mod silences;
