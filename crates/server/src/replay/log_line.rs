//! One line of an access log in the common or the combined format.
//!
//! ```text
//! 192.0.2.7 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 203023 "http://example.com/" "Mozilla/5.0"
//! ```
//!
//! Apache and nginx write both alike. What follows the known fields is left alone: servers are often told to add some.

use tollgate_limiter::ShardTime;

use super::log_time;

/// The most characters of a line that a message repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// The fields of a line, as they are written there, escapes and all. A field that is `-` is `None`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LogLine<'a> {
    /// The client's address, or its name.
    pub(super) address: &'a str,
    /// Who logged in.
    pub(super) user: Option<&'a str>,
    /// When the server logged the request; Unix time.
    pub(super) at: ShardTime,
    pub(super) method: &'a str,
    /// The path and query, in any form that a request line may have it.
    pub(super) target: &'a str,
    /// Three digits.
    pub(super) status: Option<&'a str>,
    /// Combined format only.
    pub(super) referer: Option<&'a str>,
    /// Combined format only.
    pub(super) agent: Option<&'a str>,
}

/// Why a line is not one of an access log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum LineProblem {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    #[error("expected an address, two fields and a time in brackets")]
    NoTime,
    #[error("`{0}` is not a time such as 17/May/2015:10:05:03 +0000")]
    BadTime(String),
    #[error("expected a request in quotes after the time")]
    NoRequest,
    #[error("the request `{0}` is not a method and a path")]
    BadRequest(String),
    #[error("`{0}` is not a status and a size")]
    BadStatus(String),
    #[error("the {0} has no closing quote")]
    OpenQuote(&'static str),
}

impl<'a> LogLine<'a> {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// What is missing from the line, or wrong with it.
    pub(super) fn parse(line: &'a str) -> Result<Self, LineProblem> {
        if line.trim().is_empty() {
            return Err(LineProblem::Empty);
        }
        let (who, at, rest) = split_at_time(line)?;
        let (address, user) = parse_who(who)?;
        let (request, rest) = quoted(rest).ok_or(LineProblem::NoRequest)?;
        let request = request.ok_or(LineProblem::OpenQuote("request"))?;
        let (method, target) = parse_request(request).ok_or_else(|| LineProblem::BadRequest(excerpt(request)))?;
        let (status, rest) = parse_status(rest).ok_or_else(|| LineProblem::BadStatus(excerpt(rest)))?;
        let (referer, rest) = parse_quoted(rest, "referer")?;
        let (agent, _) = parse_quoted(rest, "user agent")?;
        Ok(Self { address, user, at, method, target, status, referer, agent })
    }
}

/// Splits a line at its time. A login may hold any character, ` [` among them, so the first that reads as a time counts.
fn split_at_time(line: &str) -> Result<(&str, ShardTime, &str), LineProblem> {
    let opened = || line.match_indices(" [").map(|(index, bracket)| (&line[..index], &line[index + bracket.len()..]));
    let timed = opened().find_map(|(who, rest)| {
        let (time, rest) = rest.split_once(']')?;
        Some((who, log_time::parse(time)?, rest))
    });
    timed.ok_or_else(|| match opened().next() {
        Some((_, rest)) => LineProblem::BadTime(excerpt(rest.split(']').next().unwrap_or(rest))),
        None => LineProblem::NoTime,
    })
}

/// The address and the login of `address identity login`; the identity of RFC 1413 is of no use to anybody.
fn parse_who(who: &str) -> Result<(&str, Option<&str>), LineProblem> {
    let (address, rest) = who.split_once(' ').ok_or(LineProblem::NoTime)?;
    let (_, user) = rest.split_once(' ').ok_or(LineProblem::NoTime)?;
    if address.is_empty() { Err(LineProblem::NoTime) } else { Ok((address, present(user))) }
}

/// The method and target of a request line. HTTP/0.9 has no version in it, and a client that does not escape its paths
/// puts spaces into the target.
fn parse_request(request: &str) -> Option<(&str, &str)> {
    let (method, rest) = request.split_once(' ')?;
    let target = match rest.rsplit_once(' ') {
        Some((target, version)) if version.starts_with("HTTP/") => target,
        Some(_) | None => rest,
    };
    let is_method =
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_method && !target.trim().is_empty()).then_some((method, target))
}

/// The status of ` 200 2326`, and what follows the size.
fn parse_status(rest: &str) -> Option<(Option<&str>, &str)> {
    let (status, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (size, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_status = status == "-" || (status.len() == 3 && is_number(status));
    let is_size = size == "-" || is_number(size);
    (is_status && is_size).then_some((present(status), rest))
}

/// A quoted field, if there is one, and what follows it.
fn parse_quoted<'a>(rest: &'a str, name: &'static str) -> Result<(Option<&'a str>, &'a str), LineProblem> {
    match quoted(rest) {
        None => Ok((None, rest)),
        Some((Some(field), rest)) => Ok((present(field), rest)),
        Some((None, _)) => Err(LineProblem::OpenQuote(name)),
    }
}

/// What stands in quotes after one space, and what follows: `None` when no quote opens, a field of `None` when none closes.
fn quoted(rest: &str) -> Option<(Option<&str>, &str)> {
    let text = rest.strip_prefix(" \"")?;
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    });
    Some(end.map_or((None, ""), |end| (Some(&text[..end]), &text[end + 1..])))
}

fn present(field: &str) -> Option<&str> {
    Some(field).filter(|field| !matches!(*field, "" | "-"))
}

/// The beginning of a text, fit to be shown in a terminal.
fn excerpt(text: &str) -> String {
    let shown: String = text.trim().chars().take(MAX_QUOTED_CHARS).flat_map(char::escape_debug).collect();
    if text.trim().chars().count() > MAX_QUOTED_CHARS { shown + "…" } else { shown }
}
