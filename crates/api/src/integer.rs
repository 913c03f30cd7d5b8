//! Whole numbers as JSON and YAML writers produce them.
//!
//! Many JSON libraries know only one kind of number and write `1.0` or `1e3` for an integer, so a
//! float without a fraction is read as the integer it stands for. A string of digits is not a
//! number.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, Unexpected, Visitor};

/// First whole number beyond `u64`, exactly: 2⁶⁴.
const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;

/// Reads a whole number; for `#[serde(deserialize_with)]`.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(WholeVisitor)
}

/// Reads a whole number into a field that may be absent but, when present, may not be `null`.
pub(crate) fn some_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    whole(deserializer).map(Some)
}

/// The integer that `number` stands for; `None` for fractions, negatives, NaN and anything from 2⁶⁴
/// up.
pub(crate) fn from_float(number: f64) -> Option<u64> {
    let is_whole = (0.0..TWO_POW_64).contains(&number) && number.fract() == 0.0;
    is_whole.then_some(number as u64)
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from 0 to {}", u64::MAX)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<u64, E> {
        from_float(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<u64>) {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        assert_eq!(whole(&mut deserializer).ok(), expected, "{json}");
    }

    #[test]
    fn integral_numbers_are_read_and_all_else_is_refused() {
        for (json, expected) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9e18", Some(9_000_000_000_000_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551615.0", None),
            ("1e400", None),
            ("1e20", None),
            ("-1", None),
            ("-1.0", None),
            ("0.5", None),
            ("1.0000000001", None),
            ("\"1\"", None),
            ("true", None),
            ("null", None),
            ("[1]", None),
            ("{}", None),
            ("NaN", None),
        ] {
            check(json, expected);
        }
    }

    #[test]
    fn floats_without_an_integer_are_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, TWO_POW_64] {
            assert_eq!(from_float(number), None, "{number}");
        }
    }
}
