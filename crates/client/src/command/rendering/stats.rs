//! From statistics to text.

use tollgate_api::{BreakerState, KeyDenials, LimitDenials, NodeMode, StatsAnswer, WindowStats};

use super::NOTHING;
use crate::command::table;

/// All that a node says of what it measured.
pub(super) fn render(answer: &StatsAnswer, is_terminal: bool) -> String {
    let windows = &answer.windows;
    let rows = [("1m", &windows.one_minute), ("15m", &windows.fifteen_minutes), ("24h", &windows.one_day)];
    let header = ["WINDOW", "REQUESTS", "PER SECOND", "ALLOWED", "DENIED", "FAILED", "DEGRADED", "P50", "P95", "P99"];
    let windows = table::render(header, rows.map(window_row), is_terminal);
    let limits = section(["LIMIT", "DENIALS"], answer.limits.iter().map(limit_row), is_terminal);
    let keys = section(["LIMIT", "KEY", "DENIALS"], answer.denied_keys.iter().map(key_row), is_terminal);
    format!("{}\n\n{windows}{limits}{keys}", headline(answer))
}

fn headline(answer: &StatsAnswer) -> String {
    let what = answer.endpoint.as_deref().map_or(String::new(), |endpoint| format!(", endpoint {endpoint}"));
    let (queue, breaker) = (&answer.queue, &answer.breaker);
    format!(
        "node {}{what}, mode {}, queue {}/{}, breaker {}",
        answer.node,
        mode(answer.mode),
        queue.length,
        queue.limit,
        breaker_state(breaker.state)
    )
}

fn mode(mode: NodeMode) -> &'static str {
    match mode {
        NodeMode::Normal => "normal",
        NodeMode::Reduced => "reduced",
        NodeMode::Emergency => "emergency",
    }
}

fn breaker_state(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half open",
        BreakerState::Open => "open",
    }
}

fn window_row((name, window): (&str, &WindowStats)) -> [String; 10] {
    let latency = &window.latency_ms;
    [
        name.to_owned(),
        window.requests.to_string(),
        format!("{:.1}", window.requests_per_second),
        window.allowed.to_string(),
        window.denied.to_string(),
        window.failed.to_string(),
        window.degraded.to_string(),
        milliseconds(latency.p50),
        milliseconds(latency.p95),
        milliseconds(latency.p99),
    ]
}

fn milliseconds(latency_ms: Option<f64>) -> String {
    latency_ms.map_or(NOTHING.to_owned(), |latency_ms| format!("{latency_ms:.3}ms"))
}

fn limit_row(limit: &LimitDenials) -> [String; 2] {
    [limit.name.clone(), limit.denials.to_string()]
}

fn key_row(denied: &KeyDenials) -> [String; 3] {
    [denied.limit.clone(), denied.key.clone(), denied.denials.to_string()]
}

/// A table behind an empty line; nothing where there are no rows.
fn section<const N: usize>(
    header: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
    is_terminal: bool,
) -> String {
    if rows.len() == 0 { String::new() } else { format!("\n{}", table::render(header, rows, is_terminal)) }
}
