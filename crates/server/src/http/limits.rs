//! `GET/PUT/DELETE /v1/limits[/{name}]`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tollgate_api::{LimitDocument, LimitList, Problem};
use tollgate_cluster::ChangeError;
use tollgate_limiter::{Limit, LimitName};

use super::App;
use super::body::Json;
use super::place::Name;
use super::respond::{ProblemResponse, bad_field, change_problem, not_found};
use crate::rules::{document_from_limit, limit_from_document};

/// All limits, tiers among them, in the order of their names.
#[utoipa::path(get, path = "/v1/limits", responses((status = 200, description = "All limits", body = LimitList)))]
pub(super) async fn list(State(app): State<Arc<App>>) -> axum::Json<LimitList> {
    let limits = app.node.limits().iter().map(|(_, limit)| document_from_limit(limit)).collect();
    axum::Json(LimitList { limits })
}

/// One limit.
#[utoipa::path(
    get, path = "/v1/limits/{name}", params(("name" = String, Path, description = "The limit's name")),
    responses(
        (status = 200, description = "The limit", body = LimitDocument),
        (status = 404, description = "There is no such limit", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Name(name): Name,
) -> Result<axum::Json<LimitDocument>, ProblemResponse> {
    let limits = app.node.limits();
    let (_, limit) = limits.get(&name).ok_or_else(|| unknown(&name))?;
    Ok(axum::Json(document_from_limit(limit)))
}

fn unknown(name: &str) -> ProblemResponse {
    not_found(format!("there is no limit {name:?}"))
}

/// Has a document that gives only figures, such as a tier's, change those of the limit that there is: else a new rate for the
/// tier `pro` would make one bucket that all requests share.
fn keep_scope(document: &mut LimitDocument, present: &Limit) {
    if document.prefix.is_none() && document.matches.is_empty() && document.by.is_empty() {
        let LimitDocument { prefix, matches, by, .. } = document_from_limit(present);
        (document.prefix, document.matches, document.by) = (prefix, matches, by);
    }
}

/// Creates or replaces a limit. It holds from the next decision on, and survives restarts.
///
/// A body without `prefix`, `match` and `by` keeps those of the limit that there is.
#[utoipa::path(
    put, path = "/v1/limits/{name}", params(("name" = String, Path, description = "The limit's name")),
    request_body = LimitDocument,
    responses(
        (status = 200, description = "It is replaced", body = LimitDocument),
        (status = 201, description = "It is created", body = LimitDocument),
        (status = 400, description = "The limit makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many limits", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Json(mut document): Json<LimitDocument>,
) -> Result<Response, ProblemResponse> {
    if document.name.is_empty() {
        document.name.clone_from(&name);
    }
    if document.name != name {
        return Err(bad_field("name", format!("the limit is called {:?} and the path says {name:?}", document.name)));
    }
    if let Some((_, present)) = app.node.limits().get(&name) {
        keep_scope(&mut document, present);
    }
    let limit = limit_from_document(&document).map_err(Problem::from)?;
    let document = document_from_limit(&limit);
    let created = app.node.put_limit(limit).await.map_err(|error| change_problem(&error))?;
    app.telemetry.know(&app.node.limits());
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(document)).into_response())
}

/// Removes a limit, with its buckets.
#[utoipa::path(
    delete, path = "/v1/limits/{name}", params(("name" = String, Path, description = "The limit's name")),
    responses(
        (status = 204, description = "It is removed"),
        (status = 404, description = "There is no such limit", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(State(app): State<Arc<App>>, Name(name): Name) -> Result<StatusCode, ProblemResponse> {
    let known = LimitName::new(name.as_str()).map_err(|_| unknown(&name))?;
    let deleted = app.node.delete_limit(known).await;
    deleted.map_err(|error| match error {
        ChangeError::UnknownLimit => unknown(&name),
        error => change_problem(&error).into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
