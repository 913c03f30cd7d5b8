//! `GET /v1/stats?endpoint=`.

use std::sync::Arc;

use axum::extract::State;
use tollgate_api::{
    BatchStats, BreakerStats, KeyDenials, LatencyStats, LimitDenials, NodeMode, Problem, QueueStats, StatsAnswer,
    StatsWindows, WindowStats,
};
use tollgate_feedback::sample::{Batches, DeniedKey, Requests, quantile_ms};

use super::App;
use super::place::Pairs;
use super::respond::{ProblemResponse, bad_field, not_found};
use crate::telemetry::{BreakerState, History, Mode, PartsStatus, Rolling, Window};

/// What this node measured lately: of all requests that it was asked to decide, or of those to one endpoint.
///
/// Endpoints that limits name exactly have statistics of their own; all others have them together, as the endpoint `other`.
#[utoipa::path(
    get, path = "/v1/stats",
    params(("endpoint" = Option<String>, Query, description = "The endpoint; of all requests if none is given")),
    responses(
        (status = 200, description = "The statistics", body = StatsAnswer),
        (status = 400, description = "The query makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The endpoint has no statistics of its own", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Pairs(pairs): Pairs,
) -> Result<axum::Json<StatsAnswer>, ProblemResponse> {
    let endpoint = endpoint(pairs)?;
    if let Some(endpoint) = &endpoint {
        app.telemetry.know(&app.node.limits());
        check_known(endpoint, &app.telemetry.endpoints())?;
    }
    let answer = stats(app.node.number(), endpoint, &app.telemetry.history(), &app.telemetry.parts());
    Ok(axum::Json(answer))
}

fn endpoint(pairs: Vec<(String, String)>) -> Result<Option<String>, ProblemResponse> {
    let mut endpoint = None;
    for (name, value) in pairs {
        if name != "endpoint" {
            return Err(bad_field(&name, "is no parameter of this call, which takes `endpoint`"));
        }
        if endpoint.replace(value).is_some() {
            return Err(bad_field(&name, "is given twice"));
        }
    }
    Ok(endpoint)
}

fn check_known(endpoint: &str, known: &[String]) -> Result<(), ProblemResponse> {
    if known.iter().any(|known| known == endpoint) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(not_found(format!("no limit names the endpoint {endpoint:?}; those with statistics are: {known}")))
}

fn stats(node: u64, endpoint: Option<String>, history: &History, parts: &PartsStatus) -> StatsAnswer {
    let window = |window: Window| window_stats(&history.rolling(window, endpoint.as_deref()));
    let windows = StatsWindows {
        one_minute: window(Window::Minute),
        fifteen_minutes: window(Window::Quarter),
        one_day: window(Window::Day),
    };
    StatsAnswer {
        endpoint,
        node,
        windows,
        queue: QueueStats {
            length: parts.queue.length,
            limit: parts.queue.limit,
            utilization: parts.queue.utilization(),
        },
        breaker: BreakerStats { state: breaker_state(parts.breaker), trips: parts.breaker_trips },
        mode: node_mode(parts.mode),
        limits: history.denials().into_iter().map(|(name, denials)| LimitDenials { name, denials }).collect(),
        denied_keys: history.denied_keys().into_iter().map(key_denials).collect(),
    }
}

fn window_stats(rolling: &Rolling) -> WindowStats {
    let Requests { allowed, denied, failed, degraded, latencies } = rolling.requests;
    let requests = rolling.requests.total();
    let quantile = |q: f64| quantile_ms(&latencies, q);
    WindowStats {
        seconds: rolling.seconds,
        requests,
        allowed,
        denied,
        failed,
        degraded,
        requests_per_second: ratio(requests, rolling.seconds),
        error_rate: ratio(failed, requests),
        latency_ms: LatencyStats { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) },
        batches: rolling.batches.map(batch_stats),
    }
}

/// One by the other, and 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn batch_stats(Batches { successful, partial, failed }: Batches) -> BatchStats {
    BatchStats { successful, partial, failed }
}

fn key_denials(DeniedKey { limit, key, denials }: DeniedKey) -> KeyDenials {
    KeyDenials { limit, key, denials }
}

fn breaker_state(state: BreakerState) -> tollgate_api::BreakerState {
    match state {
        BreakerState::Closed => tollgate_api::BreakerState::Closed,
        BreakerState::HalfOpen => tollgate_api::BreakerState::HalfOpen,
        BreakerState::Open => tollgate_api::BreakerState::Open,
    }
}

fn node_mode(mode: Mode) -> NodeMode {
    match mode {
        Mode::Normal => NodeMode::Normal,
        Mode::Reduced => NodeMode::Reduced,
        Mode::Emergency => NodeMode::Emergency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_endpoint_or_none() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        for (query, expected) in [
            (pairs(&[]), Ok(None)),
            (pairs(&[("endpoint", "search")]), Ok(Some("search".to_owned()))),
            (pairs(&[("endpoint", "a"), ("endpoint", "b")]), Err("endpoint".to_owned())),
            (pairs(&[("endpont", "a")]), Err("endpont".to_owned())),
        ] {
            let found = endpoint(query).map_err(|ProblemResponse(problem)| problem.field.unwrap_or_default());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn rates_are_of_what_is_known_and_0_of_nothing() {
        let requests = Requests { allowed: 60, denied: 30, failed: 10, ..Requests::default() };
        let stats = window_stats(&Rolling { seconds: 20, requests, batches: None });
        assert_eq!((stats.requests, stats.requests_per_second, stats.error_rate), (100, 5.0, 0.1));
        let stats = window_stats(&Rolling::default());
        assert_eq!((stats.requests_per_second, stats.error_rate, stats.latency_ms.p99), (0.0, 0.0, None));
    }
}
