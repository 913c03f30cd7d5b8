//! From a line of the log to the question that a service would have asked.

use std::collections::BTreeMap;

use tollgate_api::{DEFAULT_PREFIX, MAX_LABEL_VALUE_BYTES};

use super::arguments::{EndpointStyle, UserSource};
use super::log_line::LogLine;

/// The longest endpoint, in bytes, as in the HTTP API.
const MAX_ENDPOINT_BYTES: usize = 128;

/// The endpoint of a request for the root of the site, which has no path.
const ROOT: &str = "root";

/// What stands in an endpoint for a character that it may not hold, and for a segment that names one thing of many.
const PLACEHOLDER: &str = "_";

/// Letters and digits from which on a segment of hexadecimal digits is taken for an identifier and not for a word.
const MIN_HEX_IDENTIFIER: usize = 8;

/// A request as the limiter sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct LoggedRequest {
    /// What was asked for; also the value of the label `endpoint`.
    pub(super) endpoint: String,
    /// All other labels.
    pub(super) labels: BTreeMap<String, String>,
}

impl LoggedRequest {
    /// The namespace of all replayed requests.
    pub(super) fn prefix(&self) -> &'static str {
        DEFAULT_PREFIX
    }

    /// The value of a label, `endpoint` among them.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        if name == "endpoint" { Some(&self.endpoint) } else { self.labels.get(name).map(String::as_str) }
    }
}

/// How lines become requests.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) endpoint: EndpointStyle,
    pub(super) user: UserSource,
    /// Labels that every request has, whatever its line says.
    pub(super) fixed: BTreeMap<String, String>,
}

impl Mapping {
    /// The request of a line. What the line does not say is left out of the labels.
    pub(super) fn request(&self, line: &LogLine<'_>) -> LoggedRequest {
        let target = Target::of(line.target);
        let user = match self.user {
            UserSource::Address => Some(line.address),
            UserSource::Login => line.user,
        };
        let labels = [
            ("user", user),
            ("ip", Some(line.address)),
            ("method", Some(line.method)),
            ("status", line.status),
            ("path", Some(target.path)),
            ("host", target.host),
            ("referer", line.referer),
            ("agent", line.agent),
        ];
        let known = labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), label_value(value?))));
        let mut labels: BTreeMap<_, _> = known.collect();
        labels.extend(self.fixed.clone());
        LoggedRequest { endpoint: endpoint(target.path, self.endpoint), labels }
    }
}

/// The target of a request line (RFC 9112 §3.2), without its query.
struct Target<'a> {
    /// Only in the absolute form, which proxies are asked in.
    host: Option<&'a str>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn of(target: &'a str) -> Self {
        let target = target.split(['?', '#']).next().unwrap_or(target);
        let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
            return Self { host: None, path: target };
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self { host: Some(host), path: if path.is_empty() { "/" } else { path } }
    }
}

/// The endpoint of a path, in the characters that the API allows.
fn endpoint(path: &str, style: EndpointStyle) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return ROOT.to_owned();
    }
    let routed = match style {
        EndpointStyle::Path => None,
        EndpointStyle::Route => Some(route(path)),
    };
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '/' | '-');
    let mut endpoint = routed.as_deref().unwrap_or(path).replace(|char| !allowed(char), PLACEHOLDER);
    endpoint.truncate(MAX_ENDPOINT_BYTES);
    endpoint
}

/// The path with every segment that looks like an identifier replaced, so that `users/41` and `users/42` are one endpoint.
fn route(path: &str) -> String {
    let segments = path.split('/').map(|segment| if is_identifier(segment) { PLACEHOLDER } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a segment is a number, or hexadecimal digits (a UUID, a hash) with a decimal one among them.
fn is_identifier(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().filter(u8::is_ascii_hexdigit).count();
    let is_number = digits > 0 && digits == segment.len();
    let is_hex = digits > 0 && hex >= MIN_HEX_IDENTIFIER && segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_number || is_hex
}

/// A field of the log as a label's value: without the server's escapes, without control characters, and not too long.
fn label_value(field: &str) -> String {
    let text = if field.contains('\\') { unescaped(field) } else { field.to_owned() };
    let mut value = text.replace(char::is_control, "\u{fffd}");
    value.truncate(value.floor_char_boundary(MAX_LABEL_VALUE_BYTES));
    value
}

/// Undoes what Apache and nginx do to quotes, backslashes and bytes that do not print: `\"`, `\\`, `\n`, `\x1b`.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = if byte == b'\\' { escaped_byte(tail) } else { (byte, tail) };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that is written after a backslash, and what follows it.
fn escaped_byte(after_backslash: &[u8]) -> (u8, &[u8]) {
    match after_backslash {
        [b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (hex_digit(*high) << 4 | hex_digit(*low), tail)
        }
        [b'n', tail @ ..] => (b'\n', tail),
        [b't', tail @ ..] => (b'\t', tail),
        [b'r', tail @ ..] => (b'\r', tail),
        [byte, tail @ ..] => (*byte, tail),
        [] => (b'\\', &[]),
    }
}

/// The value of a hexadecimal digit; 0 for any other byte.
fn hex_digit(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}
