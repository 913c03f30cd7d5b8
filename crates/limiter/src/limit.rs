//! A limit: which requests it matches, what it counts by, and how.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Calendar, Pace, Quota};

/// A part of a limit that cannot be, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct LimitError {
    /// The key of the limit's document that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl LimitError {
    /// An error in `field`.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// The name of a limit: 1–64 characters of `[A-Za-z0-9_.-]`, so that it can stand in a path, a header and a metric.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct LimitName(String);

impl LimitName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// A name that is empty, longer than 64 characters, has other characters or begins with a dot, which a path would swallow.
    pub fn new(name: impl Into<String>) -> Result<Self, LimitError> {
        let name = name.into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (1..=64).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('.') {
            Ok(Self(name))
        } else {
            Err(LimitError::new("name", "must be 1 to 64 characters of A-Z a-z 0-9 _ . -, the first not a dot"))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named rule.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limit {
    /// Its name, unique in the cluster.
    pub name: LimitName,
    /// Only requests with this prefix; `None` for all.
    pub prefix: Option<String>,
    /// Only requests for which every one of these holds.
    pub selectors: Vec<Selector>,
    /// One bucket for each combination of the values of these labels; empty for one bucket in all.
    pub by: Vec<String>,
    /// How it counts.
    pub algorithm: Algorithm,
    /// What a crash may cost.
    pub consistency: Consistency,
    /// What to answer while the shard cannot commit.
    pub on_unavailable: OnUnavailable,
    /// Counts and reports, but never denies.
    pub shadow: bool,
    /// How long a reservation can be settled, in nanoseconds.
    pub reservation_ttl_ns: i64,
}

/// A condition on one label of a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Selector {
    /// The label's name.
    pub label: String,
    /// The label's value must fit one of these.
    pub any_of: Vec<Pattern>,
}

/// A value with `*` for any run of characters.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it is written in a limit's document.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `value` fits, in time linear in its length for each `*`.
    pub fn matches(&self, value: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or("");
        let Some(mut rest) = value.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(found) = rest.find(part) else { return false };
            rest = &rest[found + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Algorithm {
    /// A bucket that refills at a steady pace; requests pass at once while it holds enough (GCRA).
    TokenBucket(Pace),
    /// Requests pass one after the other at a steady pace; up to the burst may queue for their turn.
    LeakyBucket(Pace),
    /// At most so many units in any span of the window's length.
    SlidingWindow(Quota),
    /// At most so many units in each window, windows following each other without overlap.
    FixedWindow(Quota, Option<Calendar>),
    /// At most so many permits in use at once.
    Concurrency {
        /// Permits in all; at least 1.
        permits: u64,
        /// How long a permit lives that nobody releases, in nanoseconds.
        ttl_ns: i64,
    },
}

impl Algorithm {
    /// Whether it counts permits, which come back when their holders are done.
    pub fn is_of_permits(&self) -> bool {
        matches!(self, Self::Concurrency { .. })
    }

    /// The most units that a request can ever take at once: a greater cost never fits.
    pub fn capacity(&self) -> u64 {
        match self {
            Self::TokenBucket(pace) | Self::LeakyBucket(pace) => pace.burst(),
            Self::SlidingWindow(quota) | Self::FixedWindow(quota, _) => quota.units(),
            Self::Concurrency { permits, .. } => *permits,
        }
    }

    /// The time in which a spent bucket is whole again, in nanoseconds.
    pub fn window_ns(&self) -> i64 {
        match self {
            Self::TokenBucket(pace) | Self::LeakyBucket(pace) => pace.tolerance_ns(),
            Self::SlidingWindow(quota) => quota.window_ns(),
            Self::FixedWindow(quota, calendar) => calendar.map_or(quota.window_ns(), Calendar::longest_ns),
            Self::Concurrency { ttl_ns, .. } => *ttl_ns,
        }
    }
}

/// What a crash may cost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Consistency {
    /// Nothing is admitted that was not granted by the shard first: no crash lets more through.
    #[default]
    Exact,
    /// Decided from memory and replicated behind: a crash may let a little more through, nothing ever waits.
    Eventual,
}

/// What to answer while the shard cannot commit.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum OnUnavailable {
    /// The node's share of the limit, marked as degraded.
    #[default]
    Local,
    /// Nothing is admitted.
    Deny,
    /// Everything is admitted, marked as degraded.
    Allow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let cases = [
            ("search", "search", true),
            ("search", "searching", false),
            ("search", "", false),
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("reports/*", "reports/", true),
            ("reports/*", "reports/daily", true),
            ("reports/*", "report", false),
            ("*/daily", "reports/daily", true),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("a*a", "a", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("*a*a*", "a", false),
            ("*a*a*", "banana", true),
            ("**", "x", true),
            ("ü*é", "über é", true),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(value), expected, "{pattern:?} on {value:?}");
        }
    }

    #[test]
    fn names_that_cannot_stand_in_a_path_are_refused() {
        for name in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert!(LimitName::new(name).is_err(), "{name:?}");
        }
        for name in ["pro", "a.b-c_D9", &"x".repeat(64)] {
            assert!(LimitName::new(name).is_ok(), "{name:?}");
        }
    }
}
