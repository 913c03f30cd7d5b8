//! Which series an expression of PromQL asks for.

use std::collections::BTreeSet;

/// Words between operands that are no names.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// Words before a list of labels.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The selectors of an expression: the name of a metric each, with the labels that it must have.
pub(crate) fn selectors(expression: &str) -> BTreeSet<&str> {
    let (mut found, mut rest) = (BTreeSet::new(), expression);
    while let Some(first) = rest.chars().next() {
        let word = word_at_start(rest);
        let after = &rest[word.len()..];
        rest = match first {
            '"' => after_quoted(rest),
            '[' => after_closing(rest, ']'),
            '0'..='9' => after,
            _ if GROUPINGS.contains(&word) => after_closing(after, ')'),
            _ if word.is_empty() => &rest[first.len_utf8()..],
            _ if OPERATORS.contains(&word) || is_function(after) => after,
            _ => {
                let end = if after.starts_with('{') { after_closing(after, '}') } else { after };
                found.insert(&rest[..rest.len() - end.len()]);
                end
            }
        };
    }
    found
}

/// The name of the metric that a selector asks for.
pub(crate) fn name(selector: &str) -> &str {
    word_at_start(selector)
}

/// Whether what comes before this is a function: arguments follow, or a grouping and then arguments.
fn is_function(after: &str) -> bool {
    let after = after.trim_start();
    after.starts_with('(') || ["by", "without"].contains(&word_at_start(after))
}

fn word_at_start(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':' | '.')));
    &text[..end.unwrap_or(text.len())]
}

/// What follows the text in quotes at the start.
fn after_quoted(text: &str) -> &str {
    let end = text[1..].find('"').expect("a text in quotes ends");
    &text[end + 2..]
}

/// What follows the first such bracket outside of quotes.
fn after_closing(text: &str, bracket: char) -> &str {
    let mut is_quoted = false;
    let end = text.find(|letter: char| {
        is_quoted ^= letter == '"';
        letter == bracket && !is_quoted
    });
    &text[end.expect("a bracket is closed") + 1..]
}

#[test]
fn selectors_are_found_and_nothing_else() {
    for (expression, expected) in [
        ("up", &["up"][..]),
        ("(1 - up{job=~\"a}.*\"}) > 0.5e3", &["up{job=~\"a}.*\"}"]),
        ("max by (job) (60 * changes(a_total[1m]) / count_over_time(a_total[1m]))", &["a_total"]),
        (
            "sum by (job, le) (rate(b{outcome=\"x\"}[1m])) and on (job) ALERTS{alertname=\"up\"}",
            &["ALERTS{alertname=\"up\"}", "b{outcome=\"x\"}"],
        ),
        ("label_replace(c, \"of\", \"Redis\", \"\", \"\") or 0 * job:d:rate1m", &["c", "job:d:rate1m"]),
        ("time() - 5", &[]),
    ] {
        assert_eq!(selectors(expression), expected.iter().copied().collect(), "{expression}");
    }
    assert_eq!(name("job:d:rate1m{a=\"b\"}"), "job:d:rate1m");
}
