//! Lengths of time, for `#[serde(deserialize_with)]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use tollgate_api::{Period, PeriodUnit};

/// Reads `2s`, `100ms` or a whole number of seconds.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let period = Period::deserialize(deserializer)?;
    let nanos = period.nanos().and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| de::Error::custom(problem(period)))
}

/// Reads the same where it may be absent.
pub(super) fn deserialize_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

fn problem(period: Period) -> &'static str {
    match period.unit() {
        PeriodUnit::Month => "must not be in months, which differ in length: write days, such as `30d`",
        _ => "must be at most 292 years",
    }
}
