//! A leader that no quorum answers falls silent, so that its followers elect another; and speaks again for a while, in case that none
//! of them can be, because its own log is the longest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::LeaderId;

/// How long a leader goes on without a quorum: longer than followers take to believe that it is gone, so that one which only pauses
/// loses nothing by this.
const PATIENCE: Duration = Duration::from_millis(900);

/// How long it is silent before it speaks again: longer than an election takes.
const QUIET: Duration = Duration::from_millis(1_500);

/// How long it speaks then: a few heartbeats, which a quorum answers at once if it can.
const PROBE: Duration = Duration::from_millis(400);

/// Whether the leader of a group is silent.
#[derive(Default)]
pub(crate) struct Silence {
    /// The leadership that is held, and when it was first seen.
    since: Mutex<Option<(LeaderId, Instant)>>,
    is_silent: AtomicBool,
}

impl Silence {
    /// Whether the holder of `leadership`, which a quorum last answered at `acked`, is to be silent from here on.
    pub(super) fn is_due(&self, leadership: Option<LeaderId>, acked: Option<Instant>, now: Instant) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = leadership.is_some_and(|leadership| {
            let began = since.filter(|(known, _)| *known == leadership).map_or(now, |(_, began)| began);
            *since = Some((leadership, began));
            let alone = now.saturating_duration_since(acked.unwrap_or(began).max(began));
            let over = alone.saturating_sub(PATIENCE);
            !over.is_zero() && over.as_millis() % (QUIET + PROBE).as_millis() < QUIET.as_millis()
        });
        self.is_silent.store(is_silent, Ordering::Relaxed);
        is_silent
    }

    /// Whether the leader is silent now.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::leadership;

    #[test]
    fn a_leader_is_silent_when_no_quorum_has_answered_for_long() {
        let silence = Silence::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let cases = [
            ("it has just begun", Some(1), None, 0, false),
            ("no answer yet", Some(1), None, 900, false),
            ("no answer for long", Some(1), None, 901, true),
            ("answered", Some(1), Some(1_000), 1_500, false),
            ("and then no more", Some(1), Some(1_000), 1_901, true),
            ("still", Some(1), Some(1_000), 3_399, true),
            ("it tries again", Some(1), Some(1_000), 3_400, false),
            ("for a while", Some(1), Some(1_000), 3_799, false),
            ("nobody has answered", Some(1), Some(1_000), 3_800, true),
            ("it leads no longer", None, None, 4_000, false),
            ("it leads anew", Some(2), None, 5_000, false),
            ("an answer to an earlier leadership counts for nothing", Some(2), Some(1_000), 5_500, false),
            ("and this one has none", Some(2), None, 5_901, true),
        ];
        for (claim, term, acked, now, expected) in cases {
            let due = silence.is_due(term.map(leadership), acked.map(at), at(now));
            assert_eq!((due, silence.is_silent()), (expected, expected), "{claim}");
        }
    }
}
