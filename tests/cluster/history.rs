//! What clients asked and were answered.

use std::sync::OnceLock;

use tokio::time::Instant;

/// Nanoseconds of the one monotonic clock that all clients of this process share.
pub(crate) fn now_ns() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let passed = ORIGIN.get_or_init(Instant::now).elapsed();
    u64::try_from(passed.as_nanos()).expect("a test does not take centuries")
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Admitted,
    Denied,
    /// An answer that decides nothing: its status.
    Failed(u16),
    /// No connection could be made, so nothing was asked.
    NotAsked,
    /// The connection broke or nothing came in time: it may have been charged or not.
    NoAnswer(String),
}

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) limit: &'static str,
    pub(crate) user: u32,
    /// The number of the node that was asked.
    pub(crate) node: usize,
    pub(crate) units: u64,
    /// When it was sent, by [`now_ns`]: it was decided then or later.
    pub(crate) sent: u64,
    /// When its answer was received: it was decided then or earlier.
    pub(crate) received: u64,
    pub(crate) outcome: Outcome,
    /// The answer said that its shard could not be reached.
    pub(crate) degraded: bool,
    /// When its permit was given back, or had expired at the earliest: the permit was out at least from `received` until then.
    pub(crate) held_until: u64,
}

impl Record {
    /// It was decided by the shard's leader.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.outcome, Outcome::Admitted | Outcome::Denied) && !self.degraded
    }

    /// It was under way at some instant of `[from, until]`.
    pub(crate) fn overlaps(&self, (from, until): (u64, u64)) -> bool {
        self.sent <= until && self.received >= from
    }
}
