//! What `deploy/` has for Prometheus and Grafana, against the real binary and a real Prometheus.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../e2e/node.rs"]
#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
mod node;

mod dashboard;
mod expression;
mod files;
mod prometheus;
mod rules;
mod scraped;
