//! What operators and machines look at: health, readiness, metrics, the OpenAPI document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tollgate_api::{ComponentHealth, Health, HealthStatus, Problem};
use tollgate_cluster::{Node, ShardStatus};
use tollgate_storage::StorageHealth;
use utoipa::openapi::OpenApi;

use super::App;
use super::respond::ProblemResponse;
use crate::telemetry::Figures;

/// Whether the node can serve, and how each part of it stands.
#[utoipa::path(
    get, path = "/health",
    responses(
        (status = 200, description = "It can serve", body = Health),
        (status = 503, description = "It cannot", body = Health),
    )
)]
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = node_health(&app.node);
    let status = match health.status {
        HealthStatus::Ok | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, axum::Json(health)).into_response()
}

/// How a node is that takes part in no cluster yet.
pub(super) async fn health_at_start() -> Response {
    let waiting = component(Some("the node is starting: it waits for the other nodes of its cluster".to_owned()));
    let components = BTreeMap::from([("raft".to_owned(), waiting)]);
    let health = Health { status: HealthStatus::Unavailable, components };
    (StatusCode::SERVICE_UNAVAILABLE, [(CONNECTION, "close")], axum::Json(health)).into_response()
}

fn node_health(node: &Node) -> Health {
    let components = BTreeMap::from([("raft".to_owned(), raft_health(node)), ("store".to_owned(), store_health(node))]);
    let all_ok = components.values().all(|component| component.status == HealthStatus::Ok);
    let status = if all_ok { HealthStatus::Ok } else { HealthStatus::Unavailable };
    Health { status, components }
}

fn component(wrong: Option<String>) -> ComponentHealth {
    let status = if wrong.is_none() { HealthStatus::Ok } else { HealthStatus::Unavailable };
    ComponentHealth { status, detail: wrong }
}

fn raft_health(node: &Node) -> ComponentHealth {
    let shards = node.shard_status();
    let is_silent = |shard: &&ShardStatus| shard.leader.is_none() || !shard.running;
    let silent: Vec<_> = shards.iter().filter(is_silent).map(|shard| shard.id).collect();
    if !node.holds_limits() {
        return component(Some("group 0, which holds the limits, has stopped".to_owned()));
    }
    if !node.has_lease() {
        return component(Some(
            "cut off: no leader of group 0 confirms that the limits here are the latest".to_owned(),
        ));
    }
    component((!silent.is_empty()).then(|| format!("shards without a leader that can commit: {silent:?}")))
}

fn store_health(node: &Node) -> ComponentHealth {
    match node.storage_health() {
        StorageHealth::Healthy => component(None),
        StorageHealth::Full { reason } => component(Some(format!("the disk is full: {reason}"))),
        StorageHealth::Failed { reason } => component(Some(format!("the disk has failed: {reason}"))),
    }
}

/// Whether every shard has a leader and the limits are loaded.
#[utoipa::path(
    get, path = "/ready",
    responses(
        (status = 200, description = "It is ready"),
        (status = 503, description = "Not yet", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ProblemResponse> {
    if app.node.is_ready() {
        return Ok("ready\n");
    }
    let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    Err(Problem::new(status, "Not ready", "not every shard has a leader that answers").into())
}

/// The metrics, as Prometheus reads them. As long with ten million buckets as with ten.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let figures = Figures {
        buckets: app.node.buckets_held(),
        limits: app.node.limits().len(),
        shards_led: app.node.shard_status().iter().filter(|shard| shard.leads).count(),
        store_healthy: app.node.storage_health().is_healthy(),
    };
    app.telemetry.know(&app.node.limits());
    let text = app.telemetry.render(&figures);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The document as JSON. OpenAPI 3.1 has no other.
pub(super) fn openapi_document(document: &OpenApi) -> String {
    document.to_pretty_json().expect("a document made of our own types is JSON")
}

pub(super) async fn openapi(document: Arc<String>) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.as_str().to_owned()).into_response()
}
