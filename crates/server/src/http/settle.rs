//! `POST /v1/reserve` and `POST /v1/settle`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tollgate_api::{AcquireAnswer, AcquireRequest, Problem, QuotaExceeded, SettleAnswer, SettleRequest};

use super::App;
use super::acquire::{decide, with_reservation};
use super::body::Json;
use super::respond::{ProblemResponse, answer, settle_problem, verdict_response};

/// Takes a cost that is only estimated, to be settled when the real one is known. Unsettled it counts as spent in full.
#[utoipa::path(
    post, path = "/v1/reserve", request_body = AcquireRequest,
    responses(
        (status = 200, description = "It is reserved", body = AcquireAnswer),
        (status = 400, description = "The request makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Such a cost never fits", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "It may not pass now", body = QuotaExceeded, content_type = "application/problem+json"),
        (status = 503, description = "It could not be decided", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reserve(
    State(app): State<Arc<App>>,
    Json(request): Json<AcquireRequest>,
) -> Result<Response, ProblemResponse> {
    let verdict = decide(&app, &request).await?;
    let answer = answer(&verdict);
    let answer = if verdict.allowed { with_reservation(&app, &verdict, answer) } else { answer };
    Ok(verdict_response(&verdict, answer))
}

/// Gives back what was reserved and not used, or charges what was used beyond it. Once: a second settlement is a 409.
#[utoipa::path(
    post, path = "/v1/settle", request_body = SettleRequest,
    responses(
        (status = 200, description = "It is settled", body = SettleAnswer),
        (status = 400, description = "The request makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such reservation was given", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is settled already", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It has expired, and counts as spent", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be settled now; try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn settle(
    State(app): State<Arc<App>>,
    Json(request): Json<SettleRequest>,
) -> Result<axum::Json<SettleAnswer>, ProblemResponse> {
    request.validate().map_err(Problem::from)?;
    let SettleRequest { reservation, actual } = request;
    let settled = app.node.settle(&reservation, actual).await.map_err(settle_problem)?;
    Ok(axum::Json(SettleAnswer::new(reservation, settled.reserved, actual, settled.returned)))
}
