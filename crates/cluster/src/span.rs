//! Spans of time: nanoseconds where shards count, `Duration` where tokio waits.

use std::time::Duration;

/// In nanoseconds; what is longer than 292 years is that long.
pub(crate) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// What is before now is now.
pub(crate) fn duration(span_ns: i64) -> Duration {
    Duration::from_nanos(span_ns.max(0).unsigned_abs())
}
