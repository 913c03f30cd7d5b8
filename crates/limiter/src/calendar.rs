//! Calendar windows: days, ISO weeks and months of the proleptic Gregorian calendar, in UTC.

use serde::{Deserialize, Serialize};

use crate::ShardTime;

/// Nanoseconds in a day; UTC days have no leap seconds on this time scale (POSIX time).
pub(crate) const DAY_NS: i64 = 86_400_000_000_000;

/// A window that begins where the calendar says, not at a multiple of its length.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Calendar {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday (ISO 8601).
    Week,
    /// From the first of a month to the first of the next.
    Month,
}

impl Calendar {
    /// The window that holds `at`: its first instant, and the first instant after it.
    pub(crate) fn window(self, at: ShardTime) -> (ShardTime, ShardTime) {
        let day = at.nanos().div_euclid(DAY_NS);
        let (first, next) = match self {
            Self::Day => (day, day + 1),
            Self::Week => {
                // Day 0, 1970-01-01, was a Thursday: three days after a Monday.
                let monday = day - (day + 3).rem_euclid(7);
                (monday, monday + 7)
            }
            Self::Month => {
                let (year, month) = month_of(day);
                (first_day(year, month), first_day(year, month + 1))
            }
        };
        (midnight(first), midnight(next))
    }

    /// The longest that a window can be, in nanoseconds.
    pub(crate) const fn longest_ns(self) -> i64 {
        match self {
            Self::Day => DAY_NS,
            Self::Week => 7 * DAY_NS,
            Self::Month => 31 * DAY_NS,
        }
    }
}

fn midnight(day: i64) -> ShardTime {
    ShardTime::from_nanos(day.saturating_mul(DAY_NS))
}

/// Year and month (1–12) of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years are counted from March, so that the leap
/// day comes last, in eras of 400 years, which all have the same length.
fn month_of(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month)
}

/// The day, counted from 1970-01-01, on which a month begins; month 13 is January of the next year. Same source.
fn first_day(year: i64, month: i64) -> i64 {
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    let march_year = year - i64::from(month <= 2);
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29, 2023-03-01 and so on, as days since 1970-01-01, from `date -u -d … +%s`.
    const FEB_29_2024: i64 = 19_782;
    const MAR_01_2023: i64 = 19_417;
    const FEB_28_2100: i64 = 47_540;
    const JAN_01_1970: i64 = 0;

    fn check(calendar: Calendar, at_ns: i64, expected_days: (i64, i64)) {
        let (start, end) = calendar.window(ShardTime::from_nanos(at_ns));
        assert_eq!((start, end), (midnight(expected_days.0), midnight(expected_days.1)), "{calendar:?} at {at_ns}");
    }

    #[test]
    fn windows_begin_where_the_calendar_says() {
        let cases = [
            (Calendar::Month, FEB_29_2024, (FEB_29_2024 - 28, FEB_29_2024 + 1)),
            (Calendar::Month, FEB_29_2024 + 1, (FEB_29_2024 + 1, FEB_29_2024 + 32)),
            (Calendar::Month, MAR_01_2023 - 1, (MAR_01_2023 - 28, MAR_01_2023)),
            (Calendar::Month, FEB_28_2100, (FEB_28_2100 - 27, FEB_28_2100 + 1)),
            (Calendar::Month, JAN_01_1970 - 1, (-31, 0)),
            (Calendar::Month, 364, (334, 365)),
            (Calendar::Week, JAN_01_1970, (-3, 4)),
            (Calendar::Week, 4, (4, 11)),
            (Calendar::Week, -4, (-10, -3)),
            (Calendar::Day, FEB_29_2024, (FEB_29_2024, FEB_29_2024 + 1)),
        ];
        for (calendar, day, expected) in cases {
            check(calendar, day * DAY_NS, expected);
            check(calendar, (day + 1) * DAY_NS - 1, expected);
        }
    }

    /// Days of the months of a year, by the rule that everybody knows.
    fn month_lengths(year: i64) -> [i64; 12] {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    }

    #[test]
    fn every_month_that_the_clock_knows_is_as_long_as_everybody_knows() {
        let mut first = -(1678..1970).flat_map(month_lengths).sum::<i64>();
        for length in (1678..2262).flat_map(month_lengths) {
            for day in first..first + length {
                check(Calendar::Month, day * DAY_NS, (first, first + length));
            }
            first += length;
        }
    }

    #[test]
    fn weeks_begin_on_mondays() {
        // 2024-01-01 was a Monday.
        for day in 19_723..19_730 {
            check(Calendar::Week, day * DAY_NS, (19_723, 19_730));
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for calendar in [Calendar::Day, Calendar::Week, Calendar::Month] {
            for at in [ShardTime::MIN, ShardTime::MAX] {
                let (start, end) = calendar.window(at);
                assert!(start < end, "{calendar:?} at {at}");
            }
        }
    }
}
