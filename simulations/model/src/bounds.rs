//! How large the model is.

use crate::{Rule, Ticks};

/// What bounds the model. Time is not bounded, nor is the number of leaderships, of requests or of refunds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What this configuration looks at most of all.
    pub name: &'static str,
    /// Buckets of the limit.
    pub buckets: usize,
    /// Ticks of the axis that a unit takes: T.
    pub interval: Ticks,
    /// Units that a bucket holds.
    pub burst: Ticks,
    /// The most units that a request asks for.
    pub cost: Ticks,
    /// How many ticks ahead of its clock a leader renews the horizon.
    pub horizon_lead: Ticks,
    /// How many units a ceiling is asked for beyond what was spent.
    pub grant: Ticks,
    /// Leaders that may spend at a time: the present one, and those of the past that have something left and do not know.
    pub leaders: usize,
    /// The most ticks that the clock of a leader is late.
    pub lateness: Ticks,
    /// Admissions that may still be given back, and refunds that such a one depends on: so many of each a leader.
    pub receipts: usize,
}

impl Bounds {
    /// A little of everything.
    pub const SMALL: Self = Self {
        name: "a little of everything",
        buckets: 1,
        interval: 1,
        burst: 2,
        cost: 2,
        horizon_lead: 1,
        grant: 1,
        leaders: 2,
        lateness: 1,
        receipts: 2,
    };

    /// More leaders that do not know that they are deposed.
    pub const DEPOSED: Self = Self { name: "two deposed leaders", leaders: 3, grant: 2, receipts: 0, ..Self::SMALL };

    /// Clocks that are late by more than a bucket takes to fill.
    pub const LATE: Self =
        Self { name: "clocks that are very late", horizon_lead: 2, lateness: 3, receipts: 0, ..Self::SMALL };

    /// Three admissions at a time that may be given back, in any order.
    pub const OVERLAPS: Self = Self {
        name: "refunds that overlap",
        burst: 3,
        cost: 3,
        horizon_lead: 2,
        lateness: 0,
        receipts: 3,
        ..Self::SMALL
    };

    /// One horizon for two buckets.
    pub const BUCKETS: Self = Self { name: "two buckets", buckets: 2, lateness: 0, receipts: 1, ..Self::SMALL };

    /// Ceilings end within a unit and are trimmed, and refunds give back a part of one.
    pub const FRACTIONS: Self = Self { name: "fractions of a unit", interval: 2, horizon_lead: 2, ..Self::SMALL };

    /// Those that are checked in seconds.
    pub const ALL: [Self; 6] = [Self::SMALL, Self::DEPOSED, Self::LATE, Self::OVERLAPS, Self::BUCKETS, Self::FRACTIONS];

    /// Fractions that overlap: minutes.
    pub const LARGE: Self =
        Self { name: "fractions that overlap", burst: 3, cost: 1, lateness: 0, receipts: 3, ..Self::FRACTIONS };

    /// Bounds within which it shows that the protocol needs a rule. Whole units leave nothing to be trimmed.
    pub fn to_miss(rule: Rule) -> Self {
        if rule == Rule::TrimmedCeilingsRest { Self::FRACTIONS } else { Self::SMALL }
    }

    /// Ticks in which an empty bucket fills: τ.
    pub(crate) fn tolerance(&self) -> Ticks {
        self.interval * self.burst
    }
}
