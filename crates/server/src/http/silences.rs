//! `POST/GET /v1/silences`, `GET/DELETE /v1/silences/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use tollgate_api::{LabelPatterns, Problem, SilenceAnswer, SilenceList, SilenceRequest};
use tollgate_cluster::ChangeError;
use tollgate_feedback::alert::{Matcher, Silence};

use super::App;
use super::body::Json;
use super::place::Name;
use super::respond::{ProblemResponse, bad_field, change_problem, not_found};

/// The longest that a silence may last from now, in milliseconds: a year. What is never to be told is a matter of routes.
const LONGEST_MS: i64 = 366 * 24 * 60 * 60 * 1_000;

/// Has nobody be told of some alerts for a while. They are evaluated all the same, and told when it ends if they still fire.
#[utoipa::path(
    post, path = "/v1/silences", request_body = SilenceRequest,
    responses(
        (status = 201, description = "It holds on every node, and survives restarts", body = SilenceAnswer),
        (status = 400, description = "The silence makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many silences", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Json(request): Json<SilenceRequest>,
) -> Result<Response, ProblemResponse> {
    request.validate().map_err(Problem::from)?;
    let now_ms = app.node.alert_time_ms();
    let silence = silence(request, now_ms)?;
    let id = app.node.put_silence(silence.clone()).await.map_err(|error| change_problem(&error))?;
    let answer = silence_answer(id, silence, now_ms);
    Ok((StatusCode::CREATED, [(LOCATION, format!("/v1/silences/{id}"))], axum::Json(answer)).into_response())
}

fn silence(request: SilenceRequest, now_ms: i64) -> Result<Silence, ProblemResponse> {
    let SilenceRequest { matchers, from_ms, until_ms, duration_ms, author, comment } = request;
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let from_ms = from_ms.map_or(now_ms, signed);
    let lasts_until_ms = duration_ms.map(|lasts_ms| from_ms.saturating_add(signed(lasts_ms)));
    let until_ms = until_ms.map(signed).or(lasts_until_ms).unwrap_or(now_ms);
    let said = if duration_ms.is_some() { "duration_ms" } else { "until_ms" };
    if until_ms <= now_ms.max(from_ms) {
        return Err(bad_field(said, format!("ends at {until_ms}, which is over: it is {now_ms}")));
    }
    if until_ms.saturating_sub(now_ms) > LONGEST_MS {
        return Err(bad_field(said, "ends more than 366 days from now: have a route tell nobody instead"));
    }
    let matcher = |(label, patterns): (String, LabelPatterns)| Matcher { label, any_of: patterns.as_slice().to_vec() };
    Ok(Silence { matchers: matchers.into_iter().map(matcher).collect(), from_ms, until_ms, author, comment })
}

fn silence_answer(id: u64, silence: Silence, now_ms: i64) -> SilenceAnswer {
    let Silence { matchers, from_ms, until_ms, author, comment } = silence;
    let matcher = |Matcher { label, any_of }| Some((label, LabelPatterns::new(any_of)?));
    let matchers = matchers.into_iter().filter_map(matcher).collect();
    SilenceAnswer { id, matchers, from_ms, until_ms, author, comment, active: from_ms <= now_ms }
}

/// The silences that last, or begin later.
#[utoipa::path(get, path = "/v1/silences", responses((status = 200, description = "The silences", body = SilenceList)))]
pub(super) async fn list(State(app): State<Arc<App>>) -> axum::Json<SilenceList> {
    axum::Json(SilenceList { silences: all(&app) })
}

fn all(app: &App) -> Vec<SilenceAnswer> {
    let now_ms = app.node.alert_time_ms();
    let answer = |(id, silence): (u64, &Silence)| silence_answer(id, silence.clone(), now_ms);
    app.node.read_alerts(|ledger| ledger.silences(now_ms).map(answer).collect())
}

/// One silence that lasts, or begins later.
#[utoipa::path(
    get, path = "/v1/silences/{id}", params(("id" = u64, Path, description = "The silence's number")),
    responses(
        (status = 200, description = "The silence", body = SilenceAnswer),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such silence, or it is over", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(State(app): State<Arc<App>>, name: Name) -> Result<axum::Json<SilenceAnswer>, ProblemResponse> {
    let id = number(&name)?;
    let silence = all(&app).into_iter().find(|silence| silence.id == id);
    silence.map(axum::Json).ok_or_else(|| unknown(id))
}

/// Ends a silence.
#[utoipa::path(
    delete, path = "/v1/silences/{id}", params(("id" = u64, Path, description = "The silence's number")),
    responses(
        (status = 204, description = "It is over"),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such silence, or it was over", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(State(app): State<Arc<App>>, name: Name) -> Result<StatusCode, ProblemResponse> {
    let id = number(&name)?;
    let ended = app.node.end_silence(id).await;
    ended.map_err(|error| match error {
        ChangeError::UnknownSilence => unknown(id),
        error => change_problem(&error).into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(Name(text): &Name) -> Result<u64, ProblemResponse> {
    text.parse().map_err(|_| bad_field("id", format!("must be the number of a silence, and is {text:?}")))
}

fn unknown(id: u64) -> ProblemResponse {
    not_found(format!("there is no silence {id}, or it is over"))
}
