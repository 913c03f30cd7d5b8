//! From a limit as people write it to a limit that decides, and back.
//!
//! A document says only what was written; which keys go together, and what an absent one means, is decided here and
//! nowhere else. So a limit means the same in the configuration file and in `PUT /v1/limits/{name}`, and what a `GET`
//! shows can be `PUT` back.

use serde::Deserialize;
use serde::de::value::{Error as ValueError, SeqDeserializer};
use tollgate_api::{FieldError, LabelPatterns, LimitDocument, Period, PeriodUnit, TierDocument};
use tollgate_limiter::{
    Algorithm, Calendar, Consistency, Limit, LimitError, LimitName, OnUnavailable, Pace, Pattern, Quota, Selector,
};

const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// How long a permit lives that nobody releases: the usual timeout of a request.
const DEFAULT_PERMIT_TTL_NS: i64 = MINUTE_NS;
/// How long a reservation can be settled: longer than a call to a slow upstream with its retries.
const DEFAULT_RESERVATION_TTL_NS: i64 = 10 * MINUTE_NS;
/// A reservation that ends sooner could not be settled over a network with retries.
const MIN_RESERVATION_TTL_NS: i64 = SECOND_NS;
/// What is still out after a week has been forgotten by its owner.
const MAX_TTL_NS: i64 = 7 * DAY_NS;

/// The label that says of which tier a request is.
const TIER_LABEL: &str = "tier";
/// The label that a tier counts by.
const USER_LABEL: &str = "user";

/// The limit that `document` asks for.
///
/// # Errors
/// The first key that is missing, out of range, or does not go with the others; the error says what to write instead.
pub(crate) fn limit_from_document(document: &LimitDocument) -> Result<Limit, FieldError> {
    let name = LimitName::new(document.name.as_str()).map_err(field_error)?;
    document.validate()?;
    let algorithm = algorithm_of(document)?;
    Ok(Limit {
        name,
        prefix: document.prefix.clone(),
        selectors: document.matches.iter().map(|(label, patterns)| selector(label, patterns)).collect(),
        by: document.by.clone(),
        algorithm,
        consistency: consistency_of(document.consistency),
        on_unavailable: on_unavailable_of(document.on_unavailable),
        shadow: document.shadow,
        reservation_ttl_ns: reservation_ttl_ns(document, algorithm)?,
    })
}

/// The limit of a tier: a token bucket for each `user` among the requests whose label `tier` is `name`.
///
/// # Errors
/// A name that no limit can have (field `name`), and figures that are out of range.
pub(crate) fn limit_from_tier(name: &str, tier: &TierDocument) -> Result<Limit, FieldError> {
    limit_from_document(&LimitDocument {
        name: name.to_owned(),
        matches: [(TIER_LABEL.to_owned(), name.to_owned().into())].into(),
        by: vec![USER_LABEL.to_owned()],
        requests_per_minute: Some(tier.requests_per_minute),
        burst_limit: tier.burst_limit,
        ..LimitDocument::default()
    })
}

/// The document that asks for `limit`, every default spelled out. [`limit_from_document`] gives the same limit again.
pub(crate) fn document_from_limit(limit: &Limit) -> LimitDocument {
    let document = LimitDocument {
        name: limit.name.to_string(),
        prefix: limit.prefix.clone(),
        matches: limit.selectors.iter().map(|selector| (selector.label.clone(), patterns_of(selector))).collect(),
        by: limit.by.clone(),
        ttl: Some(period_of(limit.reservation_ttl_ns)),
        consistency: consistency_document(limit.consistency),
        on_unavailable: on_unavailable_document(limit.on_unavailable),
        shadow: limit.shadow,
        ..LimitDocument::default()
    };
    with_algorithm(document, limit.algorithm)
}

fn algorithm_of(document: &LimitDocument) -> Result<Algorithm, FieldError> {
    use tollgate_api::Algorithm as Written;
    if document.calendar.is_some() && document.algorithm != Written::FixedWindow {
        return Err(FieldError::new("calendar", "needs `algorithm: fixed_window`"));
    }
    match document.algorithm {
        Written::TokenBucket => pace_of(document).map(Algorithm::TokenBucket),
        Written::LeakyBucket => pace_of(document).map(Algorithm::LeakyBucket),
        Written::SlidingWindow => quota_of(document).map(Algorithm::SlidingWindow),
        Written::FixedWindow if document.calendar.is_some() => calendar_window_of(document),
        Written::FixedWindow => quota_of(document).map(|quota| Algorithm::FixedWindow(quota, None)),
        Written::Concurrency => concurrency_of(document),
    }
}

/// A rate, and the key that gave its units.
struct Rate {
    units: u64,
    per: Period,
    key: &'static str,
}

impl Rate {
    /// The limiter speaks of `rate` where `requests_per_minute` may have been written.
    fn error(&self, error: LimitError) -> FieldError {
        let field = if error.field == "rate" { self.key } else { error.field };
        FieldError::new(field, error.problem)
    }
}

fn rate_of(document: &LimitDocument) -> Result<Rate, FieldError> {
    let (field, problem) = match (document.requests_per_minute, document.rate, document.per) {
        (Some(units), None, None) => {
            return Ok(Rate { units, per: Period::new(1, PeriodUnit::Minute), key: "requests_per_minute" });
        }
        (None, Some(units), Some(per)) => return Ok(Rate { units, per, key: "rate" }),
        (Some(_), Some(_), _) => ("rate", "is given beside `requests_per_minute`: keep one of them"),
        (Some(_), None, Some(_)) => {
            ("per", "is given beside `requests_per_minute`: leave it out, or write `rate` instead of the other")
        }
        (None, Some(_), None) => ("per", "is missing: say what time `rate` is for, such as `per: 1s`"),
        (None, None, Some(_)) => ("rate", "is missing: say how many units `per` is for, such as `rate: 5`"),
        (None, None, None) => ("rate", "is missing: give `requests_per_minute`, or `rate` and `per`"),
    };
    Err(FieldError::new(field, problem))
}

fn pace_of(document: &LimitDocument) -> Result<Pace, FieldError> {
    let rate = rate_of(document)?;
    let per_ns = length_ns("per", rate.per)?;
    let burst = document.burst_limit.unwrap_or(rate.units);
    Pace::new(rate.units, per_ns, burst).map_err(|error| rate.error(error))
}

fn quota_of(document: &LimitDocument) -> Result<Quota, FieldError> {
    let rate = window_rate_of(document)?;
    let window_ns = length_ns("per", rate.per)?;
    Quota::new(rate.units, window_ns).map_err(|error| rate.error(error))
}

fn calendar_window_of(document: &LimitDocument) -> Result<Algorithm, FieldError> {
    let rate = window_rate_of(document)?;
    let Some(calendar) = calendar_of(rate.per) else {
        return Err(FieldError::new("per", "must be `1d`, `1w` or `1mo` with `calendar`"));
    };
    let quota = Quota::new(rate.units, longest_ns(calendar)).map_err(|error| rate.error(error))?;
    Ok(Algorithm::FixedWindow(quota, Some(calendar)))
}

fn window_rate_of(document: &LimitDocument) -> Result<Rate, FieldError> {
    if document.burst_limit.is_some() {
        return Err(FieldError::new("burst_limit", "has no meaning for a window, which holds its rate: leave it out"));
    }
    rate_of(document)
}

fn calendar_of(per: Period) -> Option<Calendar> {
    match (per.count(), per.unit()) {
        (1, PeriodUnit::Day) => Some(Calendar::Day),
        (1, PeriodUnit::Week) => Some(Calendar::Week),
        (1, PeriodUnit::Month) => Some(Calendar::Month),
        _ => None,
    }
}

/// The longest that a window of the calendar can be, in nanoseconds.
fn longest_ns(calendar: Calendar) -> i64 {
    match calendar {
        Calendar::Day => DAY_NS,
        Calendar::Week => 7 * DAY_NS,
        Calendar::Month => 31 * DAY_NS,
    }
}

fn concurrency_of(document: &LimitDocument) -> Result<Algorithm, FieldError> {
    if document.requests_per_minute.is_some() {
        return Err(FieldError::new(
            "requests_per_minute",
            "has no meaning for `concurrency`: `burst_limit` says how many may be out at once",
        ));
    }
    Ok(Algorithm::Concurrency { permits: permits_of(document)?, ttl_ns: permit_ttl_ns(document)? })
}

fn permits_of(document: &LimitDocument) -> Result<u64, FieldError> {
    match (document.burst_limit, document.rate) {
        (Some(permits), Some(rate)) if permits != rate => Err(FieldError::new(
            "rate",
            "differs from `burst_limit`, and each is the number of permits: keep one of them",
        )),
        (Some(0), _) => Err(FieldError::new("burst_limit", "must be at least 1")),
        (None, Some(0)) => Err(FieldError::new("rate", "must be at least 1")),
        (Some(permits), _) | (None, Some(permits)) => Ok(permits),
        (None, None) => Err(FieldError::new("burst_limit", "is missing: say how many may be out at once")),
    }
}

fn permit_ttl_ns(document: &LimitDocument) -> Result<i64, FieldError> {
    let (field, ttl) = match (document.ttl, document.per) {
        (None, None) => return Ok(DEFAULT_PERMIT_TTL_NS),
        (Some(ttl), None) => ("ttl", ttl),
        (None, Some(per)) => ("per", per),
        (Some(_), Some(_)) => {
            return Err(FieldError::new(
                "per",
                "is given beside `ttl`, and each is how long a permit lives: keep `ttl`",
            ));
        }
    };
    let ttl_ns = length_ns(field, ttl)?;
    if (1..=MAX_TTL_NS).contains(&ttl_ns) {
        Ok(ttl_ns)
    } else {
        Err(FieldError::new(field, "must be from 1ms to 7d, for it is how long a permit lives"))
    }
}

/// How long a reservation can be settled, in nanoseconds: as long as the permit lives, or else `ttl`.
fn reservation_ttl_ns(document: &LimitDocument, algorithm: Algorithm) -> Result<i64, FieldError> {
    if let Algorithm::Concurrency { ttl_ns, .. } = algorithm {
        return Ok(ttl_ns);
    }
    let Some(ttl) = document.ttl else { return Ok(DEFAULT_RESERVATION_TTL_NS) };
    let ttl_ns = length_ns("ttl", ttl)?;
    if (MIN_RESERVATION_TTL_NS..=MAX_TTL_NS).contains(&ttl_ns) {
        Ok(ttl_ns)
    } else {
        Err(FieldError::new("ttl", "must be from 1s to 7d, for it is how long a reservation can be settled"))
    }
}

fn length_ns(field: &str, period: Period) -> Result<i64, FieldError> {
    period.nanos().ok_or_else(|| {
        let problem = match period.unit() {
            PeriodUnit::Month if field == "per" => {
                "has months, which differ in length: write `1mo` with `algorithm: fixed_window` and `calendar: utc`"
            }
            PeriodUnit::Month => "has months, which differ in length: write days, such as `30d`",
            _ => "must be at most 100 years",
        };
        FieldError::new(field, problem)
    })
}

fn selector(label: &str, patterns: &LabelPatterns) -> Selector {
    let any_of = patterns.as_slice().iter().map(|pattern| Pattern::new(pattern.as_str())).collect();
    Selector { label: label.to_owned(), any_of }
}

fn patterns_of(selector: &Selector) -> LabelPatterns {
    let texts = selector.any_of.iter().map(Pattern::as_str);
    LabelPatterns::deserialize(SeqDeserializer::<_, ValueError>::new(texts))
        .expect("every selector was made from a document's patterns, of which there is at least one")
}

fn with_algorithm(document: LimitDocument, algorithm: Algorithm) -> LimitDocument {
    use tollgate_api::Algorithm as Written;
    match algorithm {
        Algorithm::TokenBucket(pace) => with_pace(document, Written::TokenBucket, pace),
        Algorithm::LeakyBucket(pace) => with_pace(document, Written::LeakyBucket, pace),
        Algorithm::SlidingWindow(quota) => {
            with_rate(LimitDocument { algorithm: Written::SlidingWindow, ..document }, quota.units(), quota.window_ns())
        }
        Algorithm::FixedWindow(quota, None) => {
            with_rate(LimitDocument { algorithm: Written::FixedWindow, ..document }, quota.units(), quota.window_ns())
        }
        Algorithm::FixedWindow(quota, Some(calendar)) => LimitDocument {
            algorithm: Written::FixedWindow,
            rate: Some(quota.units()),
            per: Some(period_of_calendar(calendar)),
            calendar: Some(tollgate_api::Calendar::Utc),
            ..document
        },
        // Its `ttl` is that of the reservation, which is there already.
        Algorithm::Concurrency { permits, .. } => {
            LimitDocument { algorithm: Written::Concurrency, burst_limit: Some(permits), ..document }
        }
    }
}

fn with_pace(document: LimitDocument, algorithm: tollgate_api::Algorithm, pace: Pace) -> LimitDocument {
    let document = LimitDocument { algorithm, burst_limit: Some(pace.burst()), ..document };
    with_rate(document, pace.rate(), pace.per_ns())
}

fn with_rate(document: LimitDocument, units: u64, per_ns: i64) -> LimitDocument {
    if per_ns == MINUTE_NS {
        LimitDocument { requests_per_minute: Some(units), ..document }
    } else {
        LimitDocument { rate: Some(units), per: Some(period_of(per_ns)), ..document }
    }
}

/// The shortest way to write a length: in the largest unit of which it is a whole number. A document cannot say less
/// than a millisecond, so neither does any limit that came from one.
fn period_of(length_ns: i64) -> Period {
    let units = [
        (PeriodUnit::Week, 7 * DAY_NS),
        (PeriodUnit::Day, DAY_NS),
        (PeriodUnit::Hour, 60 * MINUTE_NS),
        (PeriodUnit::Minute, MINUTE_NS),
        (PeriodUnit::Second, SECOND_NS),
    ];
    let largest = units.into_iter().find(|(_, unit_ns)| length_ns % unit_ns == 0);
    let (unit, unit_ns) = largest.unwrap_or((PeriodUnit::Millisecond, SECOND_NS / 1000));
    Period::new(length_ns.unsigned_abs() / unit_ns.unsigned_abs(), unit)
}

fn period_of_calendar(calendar: Calendar) -> Period {
    let unit = match calendar {
        Calendar::Day => PeriodUnit::Day,
        Calendar::Week => PeriodUnit::Week,
        Calendar::Month => PeriodUnit::Month,
    };
    Period::new(1, unit)
}

fn consistency_of(written: tollgate_api::Consistency) -> Consistency {
    match written {
        tollgate_api::Consistency::Exact => Consistency::Exact,
        tollgate_api::Consistency::Eventual => Consistency::Eventual,
    }
}

fn consistency_document(consistency: Consistency) -> tollgate_api::Consistency {
    match consistency {
        Consistency::Exact => tollgate_api::Consistency::Exact,
        Consistency::Eventual => tollgate_api::Consistency::Eventual,
    }
}

fn on_unavailable_of(written: tollgate_api::OnUnavailable) -> OnUnavailable {
    match written {
        tollgate_api::OnUnavailable::Local => OnUnavailable::Local,
        tollgate_api::OnUnavailable::Deny => OnUnavailable::Deny,
        tollgate_api::OnUnavailable::Allow => OnUnavailable::Allow,
    }
}

fn on_unavailable_document(on_unavailable: OnUnavailable) -> tollgate_api::OnUnavailable {
    match on_unavailable {
        OnUnavailable::Local => tollgate_api::OnUnavailable::Local,
        OnUnavailable::Deny => tollgate_api::OnUnavailable::Deny,
        OnUnavailable::Allow => tollgate_api::OnUnavailable::Allow,
    }
}

fn field_error(error: LimitError) -> FieldError {
    FieldError::new(error.field, error.problem)
}

#[cfg(test)]
mod tests;
