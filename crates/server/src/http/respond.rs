//! From verdicts and errors to what goes over the wire.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tollgate_api::headers::{
    PolicyItem, RATE_LIMIT, RATE_LIMIT_POLICY, StateItem, rate_limit, rate_limit_policy, retry_after,
};
use tollgate_api::{AcquireAnswer, LimitAnswer, Problem, QuotaExceeded};
use tollgate_cluster::{AcquireError, ChangeError, LimitVerdict, SettleReservationError, Verdict};
use tollgate_limiter::{Algorithm, SettleError, Standing};

/// A problem as a response.
pub(super) struct ProblemResponse(pub(super) Problem);

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        with_media_type(status, &self.0)
    }
}

impl From<Problem> for ProblemResponse {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

fn with_media_type(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    response
}

/// A problem that its status says all about.
pub(super) fn problem(status: StatusCode, detail: impl Into<String>) -> Problem {
    Problem::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), detail)
}

/// What no limit, bucket or call of this name is.
pub(super) fn not_found(detail: impl Into<String>) -> ProblemResponse {
    ProblemResponse(problem(StatusCode::NOT_FOUND, detail))
}

/// A request that makes no sense.
pub(super) fn bad_request(detail: impl Into<String>) -> ProblemResponse {
    ProblemResponse(problem(StatusCode::BAD_REQUEST, detail))
}

/// A mistake in `field` of the request.
pub(super) fn bad_field(field: &str, detail: impl Into<String>) -> ProblemResponse {
    ProblemResponse(problem(StatusCode::BAD_REQUEST, detail).with_field(field))
}

/// Why a request was not decided.
pub(super) fn acquire_problem(error: &AcquireError) -> Problem {
    let detail = error.to_string();
    match error {
        AcquireError::NeverFits { .. } => problem(StatusCode::UNPROCESSABLE_ENTITY, detail).with_field("cost"),
        AcquireError::NoRoom | AcquireError::Overloaded(_) | AcquireError::Unavailable => {
            problem(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}

/// Why a reservation was not settled.
pub(super) fn settle_problem(error: SettleReservationError) -> Problem {
    let status = match error {
        SettleReservationError::Unknown => StatusCode::NOT_FOUND,
        SettleReservationError::Refused(SettleError::AlreadySettled) => StatusCode::CONFLICT,
        SettleReservationError::Refused(SettleError::Expired) => StatusCode::GONE,
        SettleReservationError::Refused(SettleError::UnderWay) | SettleReservationError::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    problem(status, error.to_string()).with_field("reservation")
}

/// Why a limit or a node was not changed.
pub(super) fn change_problem(error: &ChangeError) -> Problem {
    let status = match error {
        ChangeError::UnknownLimit | ChangeError::UnknownNode | ChangeError::UnknownSilence => StatusCode::NOT_FOUND,
        ChangeError::TooManySilences
        | ChangeError::TooManyLimits
        | ChangeError::TooManyNodes
        | ChangeError::OtherData
        | ChangeError::AddressTaken
        | ChangeError::ElsewhereAlready
        | ChangeError::LastNode => StatusCode::CONFLICT,
        ChangeError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, error.to_string())
}

/// Whole milliseconds, rounded up.
pub(super) fn millis(span_ns: i64) -> u64 {
    span_ns.max(0).unsigned_abs().div_ceil(1_000_000)
}

/// The body of an answer.
pub(super) fn answer(verdict: &Verdict) -> AcquireAnswer {
    let decisive = most_restrictive(verdict);
    let standing = decisive.map(|limit| limit.standing);
    AcquireAnswer {
        allowed: verdict.allowed,
        remaining: standing.map(|standing| standing.remaining),
        retry_after_ms: standing.map_or(0, |standing| retry_after_ms(verdict.allowed, &standing)),
        reset_after_ms: standing.map_or(0, |standing| millis(standing.reset_after_ns)),
        degraded: verdict.degraded,
        limits: verdict.limits.iter().map(limit_answer).collect(),
        reservation: None,
        ttl_ms: None,
    }
}

fn retry_after_ms(allowed: bool, standing: &Standing) -> u64 {
    if allowed { 0 } else { millis(standing.retry_after_ns) }
}

/// Of the limits that are enforced, the one that a client should heed: of those that deny the one that denies longest, else the one
/// with the least left. A limit in shadow only where there is no other.
fn most_restrictive(verdict: &Verdict) -> Option<&LimitVerdict> {
    let rank = |limit: &&LimitVerdict| {
        let denies = !limit.allowed && !limit.limit.shadow;
        let wait_ns = if denies { limit.standing.retry_after_ns } else { 0 };
        let left = std::cmp::Reverse(limit.standing.remaining);
        (!limit.limit.shadow, denies, wait_ns, left, limit.standing.reset_after_ns)
    };
    verdict.limits.iter().max_by_key(rank)
}

fn limit_answer(verdict: &LimitVerdict) -> LimitAnswer {
    LimitAnswer {
        name: verdict.limit.name.to_string(),
        allowed: verdict.allowed,
        limit: verdict.standing.limit,
        remaining: verdict.standing.remaining,
        retry_after_ms: retry_after_ms(verdict.allowed, &verdict.standing),
        reset_after_ms: millis(verdict.standing.reset_after_ns),
        shard: verdict.shard,
        shadow: verdict.limit.shadow,
    }
}

/// The whole response to a request that was decided.
pub(super) fn verdict_response(verdict: &Verdict, answer: AcquireAnswer) -> Response {
    let retry_after_ms = answer.retry_after_ms;
    let mut response = if answer.allowed {
        Json(answer).into_response()
    } else {
        with_media_type(StatusCode::TOO_MANY_REQUESTS, &QuotaExceeded::from(answer))
    };
    let headers = response.headers_mut();
    add_rate_limits(headers, verdict);
    if !verdict.allowed {
        insert(headers, RETRY_AFTER, &retry_after(retry_after_ms));
    }
    response
}

fn add_rate_limits(headers: &mut HeaderMap, verdict: &Verdict) {
    if verdict.limits.is_empty() {
        return;
    }
    let policies = verdict.limits.iter().map(|limit| PolicyItem {
        name: limit.limit.name.as_str(),
        quota: limit.standing.limit,
        window_seconds: window_seconds(&limit.limit.algorithm),
    });
    let states = verdict.limits.iter().map(|limit| StateItem {
        name: limit.limit.name.as_str(),
        remaining: limit.standing.remaining,
        reset_after_ms: millis(limit.standing.reset_after_ns),
    });
    insert(headers, HeaderName::from_static(RATE_LIMIT_POLICY), &rate_limit_policy(policies));
    insert(headers, HeaderName::from_static(RATE_LIMIT), &rate_limit(states));
}

/// The window of a quota in whole seconds, rounded up. Permits have none: they return when they are settled.
fn window_seconds(algorithm: &Algorithm) -> Option<u64> {
    match algorithm {
        Algorithm::Concurrency { .. } => None,
        Algorithm::TokenBucket(_)
        | Algorithm::LeakyBucket(_)
        | Algorithm::SlidingWindow(_)
        | Algorithm::FixedWindow(..) => Some(algorithm.window_ns().unsigned_abs().div_ceil(1_000_000_000)),
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Names of limits are ASCII without quotes, so every value is one that a header takes.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
