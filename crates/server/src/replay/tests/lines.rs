//! What is a line of an access log, and what is not.

use super::harness::at;
use crate::replay::log_line::LogLine;
use crate::replay::log_lines::{LogLines, MAX_LINE_BYTES, RawLine};
use crate::replay::log_time;

const TIME: &str = "17/May/2015:10:05:03 +0000";

/// A line with everything in it, to be changed in places.
fn whole<'a>() -> LogLine<'a> {
    LogLine {
        address: "192.0.2.7",
        user: None,
        at: at(TIME),
        method: "GET",
        target: "/a?b",
        status: Some("200"),
        referer: None,
        agent: Some("Mozilla/5.0"),
    }
}

#[test]
fn lines_of_the_common_and_the_combined_format_are_read() {
    let common = LogLine { agent: None, ..whole() };
    let cases = [
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 203023 "-" "Mozilla/5.0""#, whole()),
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 2326"#, common),
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 -"#, common),
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 2326 0.012"#, common),
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" - -"#, LogLine { status: None, ..common }),
        (r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b" 200 5"#, common),
        (
            r#"2001:db8::1 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/2.0" 200 5"#,
            LogLine { address: "2001:db8::1", user: Some("ann"), ..common },
        ),
        (
            r#"192.0.2.7 - ann [x] smith [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 5"#,
            LogLine { user: Some("ann [x] smith"), ..common },
        ),
        (
            r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a b c HTTP/1.1" 404 5"#,
            LogLine { target: "/a b c", status: Some("404"), ..common },
        ),
        (
            r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 5 "http://x/" "a \"b\" \\" "10.0.0.1""#,
            LogLine { referer: Some("http://x/"), agent: Some(r#"a \"b\" \\"#), ..common },
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(LogLine::parse(line), Ok(expected), "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_told() {
    let long = format!("192.0.2.7 - - [{TIME}] \"{}\" 200 5", "x".repeat(500));
    let cases = [
        ("", "it is empty"),
        (" \t", "it is empty"),
        ("hello", "expected an address, two fields and a time in brackets"),
        (
            " - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5",
            "expected an address, two fields and a time in brackets",
        ),
        (
            "1.2.3.4 [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5",
            "expected an address, two fields and a time in brackets",
        ),
        ("1.2.3.4 - - [yesterday] \"GET /\" 200 5", "`yesterday` is not a time such as 17/May/2015:10:05:03 +0000"),
        ("1.2.3.4 - - [\u{1b}[31m", "`\\u{1b}[31m` is not a time such as 17/May/2015:10:05:03 +0000"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000]", "expected a request in quotes after the time"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] GET / 200 5", "expected a request in quotes after the time"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1", "the request has no closing quote"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"-\" 408 0", "the request `-` is not a method and a path"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"\" 400 0", "the request `` is not a method and a path"),
        (
            r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01 \x00" 400 0"#,
            r"the request `\\x16\\x03\\x01 \\x00` is not a method and a path",
        ),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" OK 5", "`OK 5` is not a status and a size"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 2000 5", "`2000 5` is not a status and a size"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200", "`200` is not a status and a size"),
        ("1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5 \"x", "the referer has no closing quote"),
        (
            "1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"a\\\"",
            "the user agent has no closing quote",
        ),
        ("\u{fffd}\u{fffd}\0\u{7}", "expected an address, two fields and a time in brackets"),
        (&long, "the request `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` is not a method and a path"),
    ];
    for (line, problem) in cases {
        assert_eq!(LogLine::parse(line).map_err(|error| error.to_string()), Err(problem.to_owned()), "{line}");
    }
}

#[test]
fn times_are_read_in_their_zone_and_only_if_they_are_in_the_calendar() {
    let cases = [
        ("17/May/2015:10:05:03 +0000", Some("2015-05-17T10:05:03Z")),
        ("17/May/2015:10:05:03 +0530", Some("2015-05-17T04:35:03Z")),
        ("31/Dec/2015:20:00:00 -0800", Some("2016-01-01T04:00:00Z")),
        ("29/Feb/2016:00:00:00 +0000", Some("2016-02-29T00:00:00Z")),
        ("31/Dec/2016:23:59:60 +0000", Some("2016-12-31T23:59:59Z")),
        ("01/Jan/1969:00:00:00 +0000", Some("1969-01-01T00:00:00Z")),
        ("29/Feb/2015:00:00:00 +0000", None),
        ("31/Jun/2015:00:00:00 +0000", None),
        ("00/Jan/2015:00:00:00 +0000", None),
        ("17/may/2015:10:05:03 +0000", None),
        ("17/Mai/2015:10:05:03 +0000", None),
        ("17/May/2015:24:05:03 +0000", None),
        ("17/May/2015:10:60:03 +0000", None),
        ("17/May/2015:10:05:61 +0000", None),
        ("17/May/2015:10:05:03", None),
        ("17/May/2015:10:05:03 0000", None),
        ("17/May/2015:10:05:03 +2400", None),
        ("17/May/2015:10:05:03 +0060", None),
        ("17/May/2015:10:05:03 +00:00", None),
        ("+7/May/2015:10:05:03 +0000", None),
        ("7/May/2015:10:05:03 +0000", None),
        ("17/May/15:10:05:03 +0000", None),
        ("17/May/9999:10:05:03 +0000", None),
        ("17/May/0001:10:05:03 +0000", None),
        ("2015-05-17T10:05:03Z", None),
    ];
    for (text, expected) in cases {
        assert_eq!(log_time::parse(text).map(log_time::rfc3339).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_span_is_told_in_its_two_greatest_units() {
    let second = 1_000_000_000;
    let cases = [(0, "0s"), (59, "59s"), (3_600, "1h"), (3_605, "1h"), (90_061, "1d 1h"), (300_000, "3d 11h")];
    for (seconds, expected) in cases {
        assert_eq!(log_time::span(seconds * second), expected);
    }
}

/// The lengths of the lines in `bytes`; `None` for one that is too long.
fn lengths(bytes: &[u8]) -> Vec<Option<usize>> {
    let mut lines = LogLines::new(bytes);
    let mut lengths = Vec::new();
    while let Some(line) = lines.next().expect("memory can be read") {
        lengths.push(match line {
            RawLine::Text(text) => Some(text.chars().count()),
            RawLine::TooLong => None,
        });
    }
    lengths
}

#[test]
fn a_line_of_any_length_and_any_bytes_is_one_line() {
    let longest = "x".repeat(MAX_LINE_BYTES);
    let too_long = "x".repeat(MAX_LINE_BYTES + 1);
    let far_too_long = "x".repeat(5 * MAX_LINE_BYTES);
    let cases: [(Vec<u8>, Vec<Option<usize>>); 7] = [
        (b"".to_vec(), vec![]),
        (b"ab\nc".to_vec(), vec![Some(2), Some(1)]),
        (b"ab\r\n\nc\n".to_vec(), vec![Some(2), Some(0), Some(1)]),
        (b"a\xff\xfe\0b\n".to_vec(), vec![Some(5)]),
        (format!("{longest}\nab\n").into_bytes(), vec![Some(MAX_LINE_BYTES), Some(2)]),
        (format!("{too_long}\nab\n").into_bytes(), vec![None, Some(2)]),
        (format!("{far_too_long}\n{far_too_long}").into_bytes(), vec![None, None]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(lengths(&bytes), expected, "{} bytes", bytes.len());
    }
}
