//! `POST /v1/acquire` and `POST /v1/acquire_many`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireManyRequest, AcquireRequest, AcquireResult, FieldError, MAX_REQUESTS,
    Problem, QuotaExceeded, parse_json,
};
use tollgate_cluster::{Request, Verdict};

use super::App;
use super::body::Json;
use super::respond::{ProblemResponse, acquire_problem, answer, millis, verdict_response};
use crate::telemetry::Decided;

/// Decides a request that was parsed.
pub(super) async fn decide(app: &App, request: &AcquireRequest) -> Result<Verdict, Problem> {
    request.validate().map_err(|error| invalid(app, error))?;
    let started = Instant::now();
    let asked = Request {
        prefix: &request.prefix,
        endpoint: &request.endpoint,
        labels: &request.labels,
        cost: request.cost,
        patience: Duration::from_millis(request.wait_ms),
    };
    match app.node.acquire(&asked).await {
        Ok(verdict) => {
            let AcquireRequest { endpoint, labels, cost, .. } = request;
            app.telemetry.decided(&verdict, &Decided { endpoint, labels, cost: *cost, took: started.elapsed() });
            Ok(verdict)
        }
        Err(error) => {
            app.telemetry.refused(&request.endpoint, &error);
            Err(acquire_problem(&error))
        }
    }
}

fn invalid(app: &App, error: FieldError) -> Problem {
    app.telemetry.invalid();
    error.into()
}

/// The answer to a verdict; it names a reservation where a permit was given, since only settling that returns it.
fn answer_to(app: &App, verdict: &Verdict) -> AcquireAnswer {
    let answer = answer(verdict);
    if verdict.holds_permit() { with_reservation(app, verdict, answer) } else { answer }
}

/// Adds the reservation of what was taken.
pub(super) fn with_reservation(app: &App, verdict: &Verdict, answer: AcquireAnswer) -> AcquireAnswer {
    let ttl_ns = verdict.limits.iter().map(|limit| limit.limit.reservation_ttl_ns).min();
    AcquireAnswer { reservation: Some(app.node.reservation(verdict)), ttl_ms: Some(ttl_ns.map_or(0, millis)), ..answer }
}

/// Asks whether a request may pass, and takes its cost from every limit it meets, or from none.
#[utoipa::path(
    post, path = "/v1/acquire", request_body = AcquireRequest,
    responses(
        (status = 200, description = "It may pass", body = AcquireAnswer),
        (status = 400, description = "The request makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Such a cost never fits", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "It may not pass now", body = QuotaExceeded, content_type = "application/problem+json"),
        (status = 503, description = "It could not be decided", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn acquire(
    State(app): State<Arc<App>>,
    Json(request): Json<AcquireRequest>,
) -> Result<Response, ProblemResponse> {
    let verdict = decide(&app, &request).await?;
    Ok(verdict_response(&verdict, answer_to(&app, &verdict)))
}

/// The requests, each not parsed yet, so that one that makes no sense does not spoil the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyRequests<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

/// Decides up to 1000 requests, independent of each other. Answers in their order, always with 200.
#[utoipa::path(
    post, path = "/v1/acquire_many", request_body = AcquireManyRequest,
    responses(
        (status = 200, description = "Each request's answer, with its status", body = AcquireManyAnswer),
        (status = 400, description = "The list makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn acquire_many(
    State(app): State<Arc<App>>,
    super::body::Raw(body): super::body::Raw,
) -> Result<Response, ProblemResponse> {
    let many: ManyRequests<'_> = parse_json(&body).map_err(|error| ProblemResponse(error.into()))?;
    if many.requests.len() > MAX_REQUESTS {
        let problem = format!("must have at most {MAX_REQUESTS} requests, and has {}", many.requests.len());
        return Err(ProblemResponse(FieldError::new("requests", problem).into()));
    }
    let answers = many.requests.iter().enumerate().map(|(index, request)| one_of_many(&app, index, request.get()));
    let results = join_all(answers).await;
    Ok(axum::Json(AcquireManyAnswer { results }).into_response())
}

async fn one_of_many(app: &App, index: usize, request: &str) -> AcquireResult {
    let decided = async {
        let request: AcquireRequest = parse_json(request.as_bytes()).map_err(Problem::from)?;
        let verdict = decide(app, &request).await?;
        Ok::<_, Problem>(answer_to(app, &verdict))
    };
    decided.await.map_or_else(|problem| within(problem, index).into(), AcquireResult::from)
}

/// Names the request that a problem's field is of.
fn within(mut problem: Problem, index: usize) -> Problem {
    problem.field = problem.field.map(|field| format!("requests[{index}].{field}"));
    problem
}
