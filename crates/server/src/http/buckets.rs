//! `GET/DELETE /v1/buckets/{limit}?label=value…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tollgate_api::{BucketAnswer, DEFAULT_PREFIX, Problem, validate_labels, validate_prefix};
use tollgate_limiter::Limit;

use super::App;
use super::place::{Name, Pairs};
use super::respond::{ProblemResponse, acquire_problem, bad_field, millis, not_found};

/// Which bucket a query names.
struct BucketName {
    prefix: String,
    labels: BTreeMap<String, String>,
}

impl BucketName {
    fn from_query(limit: &Limit, pairs: Vec<(String, String)>) -> Result<Self, ProblemResponse> {
        let mut prefix = DEFAULT_PREFIX.to_owned();
        let mut labels = BTreeMap::new();
        for (name, value) in pairs {
            if name == "prefix" && !limit.by.contains(&name) {
                prefix = value;
            } else if !limit.by.contains(&name) {
                let known = limit.by.join(", ");
                return Err(bad_field(&name, format!("limit {} counts by: {known}", limit.name)));
            } else if labels.insert(name.clone(), value).is_some() {
                return Err(bad_field(&name, "is given twice"));
            }
        }
        validate_prefix(&prefix).map_err(Problem::from)?;
        validate_labels(&labels).map_err(Problem::from)?;
        Ok(Self { prefix, labels })
    }
}

fn find(app: &App, name: &str) -> Result<Arc<Limit>, ProblemResponse> {
    let limits = app.node.limits();
    let found = limits.get(name).map(|(_, limit)| Arc::clone(limit));
    found.ok_or_else(|| not_found(format!("there is no limit {name:?}")))
}

/// How one bucket stands. Labels that the limit counts by and the query lacks are absent, as in a request that lacks them.
#[utoipa::path(
    get, path = "/v1/buckets/{limit}",
    params(
        ("limit" = String, Path, description = "The limit's name"),
        ("prefix" = Option<String>, Query, description = "The namespace; `app` if none is given"),
    ),
    responses(
        (status = 200, description = "The bucket", body = BucketAnswer),
        (status = 400, description = "The limit does not count by such a label", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such limit", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Pairs(pairs): Pairs,
) -> Result<axum::Json<BucketAnswer>, ProblemResponse> {
    let limit = find(&app, &name)?;
    let bucket = BucketName::from_query(&limit, pairs)?;
    let standing = app.node.bucket(&name, &bucket.prefix, &bucket.labels).await;
    let standing = standing.map_err(|error| acquire_problem(&error))?;
    let standing = standing.ok_or_else(|| not_found(format!("there is no limit {name:?}")))?;
    Ok(axum::Json(BucketAnswer {
        name,
        prefix: bucket.prefix,
        labels: bucket.labels,
        limit: standing.limit,
        remaining: standing.remaining,
        retry_after_ms: millis(standing.retry_after_ns),
        reset_after_ms: millis(standing.reset_after_ns),
    }))
}

/// Makes one bucket whole.
#[utoipa::path(
    delete, path = "/v1/buckets/{limit}",
    params(
        ("limit" = String, Path, description = "The limit's name"),
        ("prefix" = Option<String>, Query, description = "The namespace; `app` if none is given"),
    ),
    responses(
        (status = 204, description = "It is whole"),
        (status = 400, description = "The limit does not count by such a label", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such limit", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reset(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Pairs(pairs): Pairs,
) -> Result<StatusCode, ProblemResponse> {
    let limit = find(&app, &name)?;
    let bucket = BucketName::from_query(&limit, pairs)?;
    let known = app.node.reset_bucket(&name, &bucket.prefix, &bucket.labels).await;
    match known.map_err(|error| acquire_problem(&error))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found(format!("there is no limit {name:?}"))),
    }
}
