//! The times of access logs, and times in reports.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use tollgate_limiter::ShardTime;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `17/May/2015:10:05:03 +0000`; `None` for anything else, days that are not in the calendar among it.
pub(super) fn parse(text: &str) -> Option<ShardTime> {
    let (local, zone) = text.split_once(' ')?;
    let (date, clock) = local.split_once(':')?;
    let [day, month, year] = parts(date, '/')?;
    let [hour, minute, second] = parts(clock, ':')?;
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let year = i16::try_from(digits(year, 4)?).ok()?;
    // A leap second, which a day in jiff does not have, counts as the second before it.
    let second = digits(second, 2)?;
    let second = if second == 60 { 59 } else { second };
    let small = |number: u16| i8::try_from(number).ok();
    let date = (small(digits(day, 2)?)?, small(digits(hour, 2)?)?, small(digits(minute, 2)?)?, small(second)?);
    let (day, hour, minute, second) = date;
    let local = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let at = offset(zone)?.to_timestamp(local).ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(ShardTime::from_nanos)
}

/// Reads `+0530`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+')?),
    };
    let number = i32::from(digits(text, 4)?);
    let (hours, minutes) = (number / 100, number % 100);
    let is_zone = hours < 24 && minutes < 60;
    is_zone.then(|| Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok()).flatten()
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// The number that exactly so many decimal digits make, at most four.
fn digits(text: &str, count: usize) -> Option<u16> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `2015-05-17T10:05:03Z`, as RFC 3339 has it.
pub(super) fn rfc3339(at: ShardTime) -> String {
    timestamp(at).to_string()
}

/// `2015-05-17 10:05:03`, in UTC, to the second.
pub(super) fn readable(at: ShardTime) -> String {
    Offset::UTC.to_datetime(timestamp(at)).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2015-05-17 10:05`, in UTC, to the minute.
pub(super) fn readable_minute(at: ShardTime) -> String {
    Offset::UTC.to_datetime(timestamp(at)).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The two greatest units of a span: `3d 11h`, `2m 5s`, `0s`.
pub(super) fn span(span_ns: i64) -> String {
    let seconds = SignedDuration::from_nanos(span_ns).as_secs().max(0);
    let units = [("d", 86_400, i64::MAX), ("h", 3_600, 24), ("m", 60, 60), ("s", 1, 60)];
    let counted = units.map(|(name, length, most)| (seconds / length % most, name));
    let from = counted.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let shown = counted.iter().skip(from).take(2).filter(|(count, _)| *count > 0 || seconds == 0);
    shown.map(|(count, name)| format!("{count}{name}")).collect::<Vec<_>>().join(" ")
}

fn timestamp(at: ShardTime) -> Timestamp {
    Timestamp::from_nanosecond(at.nanos().into()).expect("63 bits of nanoseconds are within jiff's 20,000 years")
}
