//! The HTTP API. The axum router has no listener in it and can be called without one.

mod acquire;
mod alerts;
mod body;
mod buckets;
mod cluster;
mod limits;
mod listener;
mod observe;
mod place;
mod respond;
mod settle;
mod silences;
mod stats;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tollgate_api::Problem;
use tollgate_cluster::Node;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::alerting::Alerting;
use crate::telemetry::Telemetry;
use respond::ProblemResponse;

pub(crate) use listener::Listener;

/// What every handler works with.
pub(crate) struct App {
    pub(crate) node: Arc<Node>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) alerting: Arc<Alerting>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Tollgate",
    description = "A rate limiter that never admits more than the limit and answers from memory. \
                   Durations are whole milliseconds, rounded up. Errors are application/problem+json (RFC 9457).",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

/// All calls, and their OpenAPI document.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(acquire::acquire))
        .routes(routes!(acquire::acquire_many))
        .routes(routes!(settle::reserve))
        .routes(routes!(settle::settle))
        .routes(routes!(limits::list))
        .routes(routes!(limits::get, limits::put, limits::delete))
        .routes(routes!(buckets::get, buckets::reset))
        .routes(routes!(cluster::get))
        .routes(routes!(cluster::add))
        .routes(routes!(cluster::remove))
        .routes(routes!(cluster::drain, cluster::undrain))
        .routes(routes!(stats::get))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::test))
        .routes(routes!(alerts::explain))
        .routes(routes!(silences::add, silences::list))
        .routes(routes!(silences::get, silences::delete))
        .routes(routes!(observe::health))
        .routes(routes!(observe::ready))
        .routes(routes!(observe::metrics))
        .split_for_parts();
    let document = Arc::new(observe::openapi_document(&document));
    router
        .route("/openapi.json", axum::routing::get(move || observe::openapi(Arc::clone(&document))))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(app)
}

/// What a node answers that takes part in no cluster yet: that it does not.
pub(crate) fn starting_router() -> Router {
    Router::new().route("/health", axum::routing::get(observe::health_at_start)).fallback(starting)
}

async fn starting() -> Response {
    let detail = "the node is starting: it waits for the other nodes of its cluster";
    let problem = respond::problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    // The next request is to come over a connection that knows the node when it has started.
    ([(CONNECTION, "close"), (RETRY_AFTER, "1")], ProblemResponse(problem)).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let detail = format!("there is no {}; /openapi.json lists what there is", uri.path());
    respond::not_found(detail).into_response()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}", uri.path());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED.as_u16(), "Method not allowed", detail);
    ProblemResponse(problem).into_response()
}
