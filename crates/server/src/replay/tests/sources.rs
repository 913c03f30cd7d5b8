//! Where a log may come from, and what may be wrong with it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::harness::Desk;

const LINE: &str = "192.0.2.7 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5\n";

fn desk(log: &[u8]) -> Desk {
    let desk = Desk::with(&[("tollgate.yaml", "rate_limits: {}\nlimits: [{name: all, rate: 2, per: 1s}]\n")]);
    desk.put("log", log);
    desk
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// The lines of the report about the log itself.
fn head(log: &[u8]) -> Result<String, String> {
    let report = desk(log).replay("@log --config @tollgate.yaml")?;
    Ok(report.split("\n\n").next().unwrap_or_default().to_owned())
}

#[test]
fn a_log_may_be_plain_or_gzip_of_any_number_of_members() {
    let plain = head(LINE.repeat(3).as_bytes());
    assert_eq!(plain.as_deref(), Ok("log: 3 requests in 0s, 2015-05-17 10:05:03 to 2015-05-17 10:05:03 UTC"));
    assert_eq!(head(&gzip(&LINE.repeat(3))), plain);
    assert_eq!(head(&[gzip(LINE), gzip(&LINE.repeat(2))].concat()), plain);
    assert_eq!(head(LINE.repeat(3).trim_end().as_bytes()), plain, "the last line has no end");
}

#[test]
fn of_a_log_that_is_cut_off_what_can_be_read_counts() {
    let numbered = |number| LINE.replace("/a", &format!("/{number:x}/{}", number * 7_919 % 9_973));
    let text: String = (0..20_000).map(numbered).collect();
    let whole = gzip(&text);
    let head = head(&whole[..whole.len() / 2]).expect("half a log can be reported");
    assert!(head.contains("damaged after line "), "{head}");
    assert!(!head.contains("log: 20000 requests"), "{head}");
    assert!(!head.contains("no requests"), "the line that is cut in two is not held against the log: {head}");
}

#[test]
fn garbage_behind_the_last_member_is_told_and_costs_nothing() {
    let head = head(&[gzip(&LINE.repeat(3)), b"garbage".to_vec()].concat()).expect("it can be reported");
    assert!(head.starts_with("log: 3 requests"), "{head}");
    assert!(head.contains("damaged after line 3"), "{head}");
}

#[test]
fn lines_that_are_not_requests_are_counted_and_the_first_are_named() {
    let long = "x".repeat(70_000);
    let log = format!("{LINE}hello\n{long}\n\n{LINE}\u{1b}]0;x\n-\n-\n-\n");
    let expected = "\
log: 2 requests in 0s, 2015-05-17 10:05:03 to 2015-05-17 10:05:03 UTC
lines skipped, since they are no requests: 7 of 9
  line 2: expected an address, two fields and a time in brackets
  line 3: it is longer than 65536 bytes
  line 4: it is empty
  line 6: expected an address, two fields and a time in brackets
  line 7: expected an address, two fields and a time in brackets
  …";
    assert_eq!(head(log.as_bytes()).as_deref(), Ok(expected));
}

#[test]
fn a_log_without_a_request_is_an_error_that_names_it() {
    let cut = &gzip(LINE)[..12];
    let cases: [(&[u8], &str); 5] = [
        (b"", "log: it is empty"),
        (b"\n", "log: not an access log: none of its 1 lines is a request (line 1: it is empty)"),
        (
            b"a\nb\n",
            "log: not an access log: none of its 2 lines is a request (line 1: expected an address, two fields and a time in brackets)",
        ),
        (b"\x1f\x8bnot gzip", "log: damaged before its first request: invalid gzip header"),
        (cut, "log: damaged before its first request: incomplete deflate stream"),
    ];
    for (log, expected) in cases {
        assert_eq!(head(log), Err(expected.to_owned()));
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let desk = desk(LINE.as_bytes());
    desk.put("wrong.yaml", b"limits: [{name: all, rate: 0, per: 1s}]\n");
    let cases = [
        ("@missing --config @tollgate.yaml", "missing: No such file or directory (os error 2)"),
        ("@log --config @wrong.yaml", "wrong.yaml:1:22: limits[0].rate: must be at least 1"),
        ("@log --config @tollgate.yaml --against @wrong.yaml", "wrong.yaml:1:22: limits[0].rate: must be at least 1"),
        ("@log --config @tollgate.yaml --label endpoint=x", "label endpoint: is what --endpoint makes of the path"),
        ("@log --config @tollgate.yaml --tier a --label tier=b", "label tier: is given twice"),
        ("@log --config @tollgate.yaml --label a:b=c", "labels: must have label names of 1 to 64 of A-Z a-z 0-9 _ . -"),
    ];
    for (arguments, expected) in cases {
        assert_eq!(desk.replay(arguments), Err(expected.to_owned()), "{arguments}");
    }
}

#[test]
fn a_directory_is_not_a_log() {
    let desk = desk(b"");
    let error = desk.replay("@ --config @tollgate.yaml").expect_err("a directory cannot be read");
    assert!(error.ends_with("Is a directory (os error 21)"), "{error}");
}

#[test]
fn more_labels_than_a_request_may_have_are_an_error() {
    let labels: String = (0..9).map(|number| format!(" --label l{number}=x")).collect();
    let error = desk(LINE.as_bytes()).replay(&format!("@log --config @tollgate.yaml{labels}"));
    assert_eq!(error, Err("labels: at most 8 can be given beside those of a line".to_owned()));
}
