//! The time in which decisions are made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant on a shard's clock, in nanoseconds.
///
/// The clock starts at Unix time when the shard is created and from then on counts elapsed time only, so an instant is
/// close to Unix time but never steps with it. All arithmetic saturates: the clock ends in the year 2262.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ShardTime(i64);

impl ShardTime {
    /// The earliest instant; no bucket has ever been spent then.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant: a right up to here is a right without bound.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The instant `span_ns` later (earlier when negative).
    #[must_use]
    pub const fn plus(self, span_ns: i64) -> Self {
        Self(self.0.saturating_add(span_ns))
    }

    /// Nanoseconds from `earlier` to here; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for ShardTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}
