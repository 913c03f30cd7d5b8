//! Durations as people write them: `500ms`, `1s`, `2m`, `1h`, `1d`, `1w`, `1mo`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::integer;

/// A length of time, kept as it was written: `60s` is not turned into `1m`. A bare whole number is
/// seconds.
///
/// Any count can be written, 0 too. What a limit can do with it is for the server to say, which
/// learns from [`Period::nanos`] what fits its arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    count: u64,
    unit: PeriodUnit,
}

/// What a [`Period`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodUnit {
    /// `ms`
    Millisecond,
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`: 24 hours, as every day of UTC is here.
    Day,
    /// `w`: 7 days.
    Week,
    /// `mo`: a month of the calendar, which has no fixed length.
    Month,
}

/// Why a text is not a period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// It is not a whole number followed by a unit.
    #[error("expected a duration such as `1s`, `500ms` or `1d` (units: ms, s, m, h, d, w, mo)")]
    Shape,
    /// Its number is beyond 2⁶⁴ − 1.
    #[error("the number of the duration is too large: expected at most {}", u64::MAX)]
    TooLarge,
}

impl Period {
    /// `count` times `unit`.
    pub const fn new(count: u64, unit: PeriodUnit) -> Self {
        Self { count, unit }
    }

    /// How many of the unit.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The unit it was written in.
    pub const fn unit(self) -> PeriodUnit {
        self.unit
    }

    /// Its length in nanoseconds; `None` for months, which have no fixed one, and beyond 2⁶³ − 1
    /// (292 years).
    pub fn nanos(self) -> Option<i64> {
        i64::try_from(self.count).ok()?.checked_mul(self.unit.nanos()?)
    }
}

impl PeriodUnit {
    const ALL: [Self; 7] =
        [Self::Millisecond, Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As it is written after the number.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "mo",
        }
    }

    /// Length of one in nanoseconds; `None` for a month.
    const fn nanos(self) -> Option<i64> {
        const SECOND: i64 = 1_000_000_000;
        match self {
            Self::Millisecond => Some(SECOND / 1000),
            Self::Second => Some(SECOND),
            Self::Minute => Some(60 * SECOND),
            Self::Hour => Some(3600 * SECOND),
            Self::Day => Some(86_400 * SECOND),
            Self::Week => Some(7 * 86_400 * SECOND),
            Self::Month => None,
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, symbol) = text.split_at(digits);
        let unit = PeriodUnit::ALL.into_iter().find(|unit| unit.symbol() == symbol).ok_or(PeriodError::Shape)?;
        if count.is_empty() {
            return Err(PeriodError::Shape);
        }
        let count = count.parse().map_err(|_| PeriodError::TooLarge)?;
        Ok(Self { count, unit })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.count, self.unit.symbol())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

struct PeriodVisitor;

impl Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as `1s`, `500ms` or `1d`, or a whole number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        text.parse().map_err(|error| match error {
            PeriodError::Shape => E::invalid_value(de::Unexpected::Str(text), &self),
            PeriodError::TooLarge => E::custom(error),
        })
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Period, E> {
        Ok(Period::new(seconds, PeriodUnit::Second))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Period, E> {
        let count = u64::try_from(seconds).map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
        self.visit_u64(count)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Period, E> {
        match integer::from_float(seconds) {
            Some(count) => self.visit_u64(count),
            None => Err(E::invalid_value(de::Unexpected::Float(seconds), &self)),
        }
    }
}

impl PartialSchema for Period {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+(ms|s|m|h|d|w|mo)$"));
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        OneOfBuilder::new()
            .item(text.examples(["1s", "500ms", "1d"]))
            .item(seconds.description(Some("A whole number of seconds.")))
            .into()
    }
}

impl ToSchema for Period {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(&str, Option<i64>), PeriodError>) {
        let period = text.parse::<Period>();
        let found = period.map(|period| (period.to_string(), period.nanos()));
        assert_eq!(found, expected.map(|(written, nanos)| (written.to_owned(), nanos)), "{text:?}");
    }

    #[test]
    fn a_period_keeps_its_unit_and_knows_its_length() {
        check("500ms", Ok(("500ms", Some(500_000_000))));
        check("1s", Ok(("1s", Some(1_000_000_000))));
        check("007s", Ok(("7s", Some(7_000_000_000))));
        check("60s", Ok(("60s", Some(60_000_000_000))));
        check("2m", Ok(("2m", Some(120_000_000_000))));
        check("1h", Ok(("1h", Some(3_600_000_000_000))));
        check("1d", Ok(("1d", Some(86_400_000_000_000))));
        check("1w", Ok(("1w", Some(604_800_000_000_000))));
        check("1mo", Ok(("1mo", None)));
        check("0s", Ok(("0s", Some(0))));
    }

    #[test]
    fn a_length_beyond_i64_nanoseconds_is_none() {
        check("9223372036s", Ok(("9223372036s", Some(9_223_372_036_000_000_000))));
        check("9223372037s", Ok(("9223372037s", None)));
        check("18446744073709551615w", Ok(("18446744073709551615w", None)));
        check("18446744073709551616ms", Err(PeriodError::TooLarge));
    }

    #[test]
    fn what_is_not_a_number_and_a_unit_is_refused() {
        for text in ["", "s", "1", "1 s", " 1s", "1s ", "-1s", "+1s", "1.5s", "1S", "1sec", "1y", "1e3s", "٣s", "1m1s"]
        {
            check(text, Err(PeriodError::Shape));
        }
    }

    fn from_json(json: &str) -> Option<String> {
        serde_json::from_str::<Period>(json).ok().map(|period| period.to_string())
    }

    #[test]
    fn a_bare_whole_number_is_seconds() {
        for (json, expected) in [("60", Some("60s")), ("6e1", Some("60s")), ("9e18", Some("9000000000000000000s"))] {
            assert_eq!(from_json(json).as_deref(), expected, "{json}");
        }
        for json in ["-1", "0.5", "1e400", "1e20", "null", "true", "[]", "{}", "\"60\""] {
            assert_eq!(from_json(json), None, "{json}");
        }
    }

    #[test]
    fn an_error_shows_what_a_duration_looks_like() {
        let error = serde_json::from_str::<Period>("\"soon\"").expect_err("not a duration");
        assert!(error.to_string().contains("expected a duration such as `1s`, `500ms` or `1d`"), "{error}");
    }

    proptest! {
        #[test]
        fn a_written_period_reads_back_the_same(count: u64, unit in prop::sample::select(&PeriodUnit::ALL)) {
            let period = Period::new(count, unit);
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_breaks_the_parser(text: String) {
            prop_assert!(text.parse::<Period>().is_err() || text.is_ascii());
        }
    }
}
