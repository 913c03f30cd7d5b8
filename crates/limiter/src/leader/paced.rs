//! Decisions on the virtual time axis: token bucket and leaky bucket.

use super::refunds::Refunds;
use super::{Decision, Desk, Refusal, Standing};
use crate::{Pace, Planted, ShardTime, SpentAt, Table};

/// A single grant is sized to last for so many commits at the bucket's own pace.
const COMMITS_A_GRANT: i64 = 20;

/// When a request may pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Passing {
    /// As long as the burst is not exceeded (token bucket).
    WithinBurst,
    /// When all before it have drained (leaky bucket).
    OneByOne,
}

impl Desk<'_> {
    pub(super) fn decide_paced(
        &mut self,
        pace: Pace,
        passing: Passing,
        arrivals: &mut Table<ShardTime>,
        refunds: &mut Refunds,
    ) -> Decision {
        let (key, now) = (self.ask.key, self.now);
        let mut entry = arrivals.get_mut(key);
        let known = entry.as_deref().copied();
        let arrival = known.unwrap_or_else(|| self.granted.start(key));
        let wait_ns = self.paced_wait_ns(pace, passing, arrival, self.units());
        if wait_ns > 0 && !Planted::Canary.is_made() {
            let standing = self.paced_standing(pace, arrival, wait_ns);
            // A leaky bucket has room, but only for who waits.
            let remaining = if passing == Passing::OneByOne { 0 } else { standing.remaining };
            return Decision::Denied(Standing { remaining, ..standing });
        }
        if self.ask.cost == 0 {
            let one_ns = self.paced_wait_ns(pace, passing, arrival, 1);
            return self.admitted(self.paced_standing(pace, arrival, one_ns), 0, SpentAt::Nothing);
        }
        let end = pace.end(arrival, now, self.units());
        let is_new = known.is_none() && self.granted.ceiling(key).is_none();
        if !self.has_room(is_new) {
            return Decision::Refused(Refusal::NoRoom);
        }
        if !self.draw_on_grant(pace, end) {
            return self.wait_for_grant(is_new);
        }
        if is_new {
            self.claim_room();
        }
        match &mut entry {
            _ if self.needs_no_entry(end) => drop(arrivals.remove(key)),
            Some(arrival) => **arrival = end,
            None => drop(arrivals.insert(key, end)),
        }
        let spent = SpentAt::Interval { end: refunds.end_in_receipt(key, end) };
        self.admitted(self.paced_standing(pace, end, 0), self.units(), spent)
    }

    /// Whether a bucket that has spent up to `end` stands where a missing one starts, because it has spent all that was granted.
    /// While a grant is under way it needs its entry, which says what that is worth.
    fn needs_no_entry(&self, end: ShardTime) -> bool {
        let (limit, key) = (self.ask.limit, self.ask.key);
        let is_asked = || self.wanted.is_wanted(limit, key) || self.wanted.is_in_flight(limit, key);
        self.horizon < end && self.granted.start(key) == end && !is_asked()
    }

    /// Nanoseconds until `units` fit; 0 when they fit now.
    fn paced_wait_ns(&self, pace: Pace, passing: Passing, arrival: ShardTime, units: u64) -> i64 {
        let now = self.now;
        let queued = pace.end(arrival, now, self.ask.ahead);
        let wait_ns = match passing {
            Passing::WithinBurst => pace.wait_ns(pace.end(queued, now, units), now),
            Passing::OneByOne if units == 0 => 0,
            Passing::OneByOne => queued.since(now),
        };
        if self.ask.ahead > 0 && units > 0 { wait_ns.max(1) } else { wait_ns }
    }

    /// Whether the leader has the right to spend up to `end`; asks for more before that runs out. A bucket that earns no
    /// unit within a horizon is asked for only when a request waits: it is used so rarely that its memory counts more.
    fn draw_on_grant(&mut self, pace: Pace, end: ShardTime) -> bool {
        let (limit, key) = (self.ask.limit, self.ask.key);
        if self.horizon.since(end) >= most_a_grant_ns(pace, self.options.commit_ns) / 2 {
            return true;
        }
        let reserve_ns = pace.span_ns(units_a_grant(pace, self.options.commit_ns)) / 2;
        let ceiling = self.granted.ceiling(key).filter(|_| !self.wanted.is_trimming(limit, key));
        let right = ceiling.unwrap_or(ShardTime::MIN).max(self.horizon);
        if end > right && self.needs_grant() && !Planted::SpendsBeforeCommit.is_made() {
            return false;
        }
        let uses_horizon = pace.interval_ns() <= self.options.horizon_lead_ns;
        if end > right || (uses_horizon && right.since(end) < reserve_ns) {
            self.wanted.ask_early(limit, key);
        }
        true
    }

    fn paced_standing(&self, pace: Pace, arrival: ShardTime, retry_after_ns: i64) -> Standing {
        Standing {
            limit: pace.burst(),
            remaining: pace.remaining(arrival, self.now).saturating_sub(self.ask.ahead),
            retry_after_ns,
            reset_after_ns: arrival.since(self.now).max(0),
        }
    }
}

/// Whether a bucket can do without its entry: because it is whole, or stands where a missing one starts.
pub(super) fn is_spare(arrival: ShardTime, start: ShardTime, now: ShardTime) -> bool {
    arrival.max(start) <= now || arrival == start
}

/// What a single grant takes of the axis, at most: so much is computed without a division.
fn most_a_grant_ns(pace: Pace, commit_ns: i64) -> i64 {
    commit_ns.saturating_mul(COMMITS_A_GRANT).max(pace.interval_ns())
}

/// How many units a single grant holds: what the bucket earns in 20 commits, at least one, at most a tenth of its burst.
fn units_a_grant(pace: Pace, commit_ns: i64) -> u64 {
    let earned = commit_ns.saturating_mul(COMMITS_A_GRANT) / pace.interval_ns();
    (earned.max(1) as u64).min((pace.burst() / 10).max(1))
}

/// The ceiling for a bucket at which requests wait for `units`; 0 if none waits.
///
/// They are decided once it is committed, and then take an interval that is later by as long as that took.
pub(super) fn ceiling_for(pace: Pace, arrival: ShardTime, units: u64, commit_ns: i64, now: ShardTime) -> ShardTime {
    let by = now.plus(commit_ns.saturating_mul(COMMITS_A_GRANT));
    let spare = units_a_grant(pace, commit_ns).saturating_sub(u64::from(units > 0));
    let most = pace.end(by, by, pace.burst());
    pace.end(arrival, by, units.saturating_add(spare)).min(most).max(arrival)
}
