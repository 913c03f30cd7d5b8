//! The header fields that tell a client where it stands.
//!
//! `RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers: lists of strings
//! with parameters in the syntax of structured fields, RFC 9651. They hold one item for every limit
//! that matched, in the same order. The values are ASCII without line breaks whatever a limit is
//! called.

use std::fmt::Write;

/// Name of the field that [`rate_limit_policy`] renders.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";
/// Name of the field that [`rate_limit`] renders.
pub const RATE_LIMIT: &str = "ratelimit";

/// Largest integer of a structured field: fifteen digits (RFC 9651, 3.3.1). Anything larger is sent
/// as this.
const MAX_STRUCTURED_INTEGER: u64 = 999_999_999_999_999;
/// Room for one item with a name and figures of usual length, in bytes.
const ITEM_BYTES: usize = 48;

/// What a limit promises, for `RateLimit-Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyItem<'a> {
    /// Name of the limit.
    pub name: &'a str,
    /// Units that it gives in one window.
    pub quota: u64,
    /// Length of the window in seconds; `None` for a limit that has none, such as `concurrency`.
    pub window_seconds: Option<u64>,
}

/// How a limit stands, for `RateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateItem<'a> {
    /// Name of the limit.
    pub name: &'a str,
    /// Units that can be taken at once now.
    pub remaining: u64,
    /// When the limit would be unspent again, in milliseconds from now.
    pub reset_after_ms: u64,
}

/// The value of `RateLimit-Policy`, such as `"pro";q=100;w=12`; empty without items, and the field
/// is then left out.
pub fn rate_limit_policy<'a>(items: impl IntoIterator<Item = PolicyItem<'a>>) -> String {
    render(items, |value, item| {
        push_string(value, item.name);
        push_parameter(value, "q", item.quota);
        if let Some(window_seconds) = item.window_seconds {
            push_parameter(value, "w", window_seconds);
        }
    })
}

/// The value of `RateLimit`, such as `"pro";r=99;t=1`; empty without items, and the field is then
/// left out.
pub fn rate_limit<'a>(items: impl IntoIterator<Item = StateItem<'a>>) -> String {
    render(items, |value, item| {
        push_string(value, item.name);
        push_parameter(value, "r", item.remaining);
        push_parameter(value, "t", whole_seconds(item.reset_after_ms));
    })
}

/// The value of `Retry-After`: whole seconds, rounded up, so that nobody comes back too early.
pub fn retry_after(retry_after_ms: u64) -> String {
    whole_seconds(retry_after_ms).to_string()
}

fn whole_seconds(duration_ms: u64) -> u64 {
    duration_ms.div_ceil(1000)
}

fn render<T>(items: impl IntoIterator<Item = T>, push: impl Fn(&mut String, T)) -> String {
    let items = items.into_iter();
    let mut value = String::with_capacity(items.size_hint().0.saturating_mul(ITEM_BYTES));
    for item in items {
        if !value.is_empty() {
            value.push_str(", ");
        }
        push(&mut value, item);
    }
    value
}

/// A string of RFC 9651, 3.3.3; it can hold printable ASCII only, anything else becomes `?`.
fn push_string(value: &mut String, text: &str) {
    value.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => value.extend(['\\', character]),
            ' '..='~' => value.push(character),
            _ => value.push('?'),
        }
    }
    value.push('"');
}

fn push_parameter(value: &mut String, key: &str, number: u64) {
    let number = number.min(MAX_STRUCTURED_INTEGER);
    write!(value, ";{key}={number}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, quota: u64, window_seconds: Option<u64>) -> String {
        rate_limit_policy([PolicyItem { name, quota, window_seconds }])
    }

    fn state(name: &str, remaining: u64, reset_after_ms: u64) -> String {
        rate_limit([StateItem { name, remaining, reset_after_ms }])
    }

    #[test]
    fn policies_are_rendered_as_the_draft_says() {
        for (rendered, expected) in [
            (policy("pro", 100, Some(12)), r#""pro";q=100;w=12"#),
            (policy("uploads", 5, None), r#""uploads";q=5"#),
            (policy("big", u64::MAX, Some(u64::MAX)), r#""big";q=999999999999999;w=999999999999999"#),
        ] {
            assert_eq!(rendered, expected);
        }
    }

    #[test]
    fn states_are_rendered_as_the_draft_says() {
        for (rendered, expected) in [
            (state("pro", 99, 600), r#""pro";r=99;t=1"#),
            (state("pro", 0, 1000), r#""pro";r=0;t=1"#),
            (state("pro", 0, 1001), r#""pro";r=0;t=2"#),
            (state("pro", 100, 0), r#""pro";r=100;t=0"#),
        ] {
            assert_eq!(rendered, expected);
        }
    }

    #[test]
    fn no_name_escapes_its_string() {
        for (name, expected) in [
            (r#"a"b\c"#, r#""a\"b\\c";r=1;t=0"#),
            ("a\r\nSet-Cookie: x", r#""a??Set-Cookie: x";r=1;t=0"#),
            ("zoë", r#""zo?";r=1;t=0"#),
            ("", r#""";r=1;t=0"#),
        ] {
            assert_eq!(state(name, 1, 0), expected);
        }
    }

    #[test]
    fn items_are_separated_by_commas_and_none_is_an_empty_value() {
        let items = ["a", "b"].map(|name| StateItem { name, remaining: 1, reset_after_ms: 0 });
        assert_eq!(rate_limit(items), r#""a";r=1;t=0, "b";r=1;t=0"#);
        assert_eq!(rate_limit([]), "");
        assert_eq!(rate_limit_policy([]), "");
    }

    #[test]
    fn retry_after_is_never_early() {
        for (retry_after_ms, seconds) in [(0, "0"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2")] {
            assert_eq!(retry_after(retry_after_ms), seconds);
        }
        assert_eq!(retry_after(u64::MAX), "18446744073709552");
    }
}
