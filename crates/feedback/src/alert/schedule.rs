//! When the digest of a day is due.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// A time of day somewhere, at which the digest of the day is sent, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestSchedule {
    /// The receiver's name.
    pub to: String,
    /// The time of day. Where clocks go forward over it, it is as much later; where it comes twice, the first counts.
    pub at: Time,
    /// Whose time that is.
    pub time_zone: TimeZone,
}

impl DigestSchedule {
    /// The latest day, as `2026-11-23`, whose digest is due at a time in Unix milliseconds, unless it is this one or an earlier that was
    /// written last. So after a longer while without a digest there is one, not many.
    #[must_use]
    pub fn due(&self, now_ms: i64, written: Option<&str>) -> Option<String> {
        let now = Timestamp::from_millisecond(now_ms).ok()?;
        let today = now.to_zoned(self.time_zone.clone()).date();
        let day = if self.at_of(today)? <= now { today } else { today.yesterday().ok()? };
        Some(day.to_string()).filter(|day| written.is_none_or(|written| written < day.as_str()))
    }

    fn at_of(&self, day: Date) -> Option<Timestamp> {
        Some(day.to_datetime(self.at).to_zoned(self.time_zone.clone()).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    /// Berlin's time, in the words of POSIX, so that no database of time zones is needed.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a legal rule")
    }

    #[test]
    fn one_digest_is_due_a_local_day() {
        let cases = [
            ("before the time", "08:00", "2026-11-23T06:59:59Z", None, Some("2026-11-22")),
            ("at the time", "08:00", "2026-11-23T07:00:00Z", None, Some("2026-11-23")),
            ("written already", "08:00", "2026-11-23T22:00:00Z", Some("2026-11-23"), None),
            ("of yesterday, written", "08:00", "2026-11-23T06:00:00Z", Some("2026-11-22"), None),
            ("after a week", "08:00", "2026-11-23T07:00:00Z", Some("2026-11-16"), Some("2026-11-23")),
            ("a clock that goes back", "08:00", "2026-11-20T07:00:00Z", Some("2026-11-23"), None),
            ("in summer", "08:00", "2026-07-01T06:00:00Z", Some("2026-06-30"), Some("2026-07-01")),
            ("a time that there is not", "02:30", "2026-03-29T01:29:59Z", Some("2026-03-28"), None),
            ("as much later", "02:30", "2026-03-29T01:30:00Z", Some("2026-03-28"), Some("2026-03-29")),
            ("a time that comes twice", "02:30", "2026-10-25T00:30:00Z", Some("2026-10-24"), Some("2026-10-25")),
            ("the second time", "02:30", "2026-10-25T01:30:00Z", Some("2026-10-25"), None),
        ];
        for (claim, at, now, written, expected) in cases {
            let schedule =
                DigestSchedule { to: "email".to_owned(), at: at.parse().expect("a time of day"), time_zone: berlin() };
            let now: Timestamp = now.parse().expect("a time");
            assert_eq!(schedule.due(now.as_millisecond(), written).as_deref(), expected, "{claim}");
        }
    }

    #[test]
    fn no_time_is_too_far_away() {
        for offset in [Offset::MIN, Offset::MAX] {
            let schedule = DigestSchedule { to: String::new(), at: Time::MAX, time_zone: TimeZone::fixed(offset) };
            for now_ms in [i64::MIN, i64::MAX, Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()] {
                let due = schedule.due(now_ms, None);
                assert!(due.is_none_or(|day| !day.is_empty()), "at {now_ms}");
            }
        }
    }
}
