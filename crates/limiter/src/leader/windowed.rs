//! Decisions that count in windows: sliding, fixed, calendar.

use super::wanted::Want;
use super::{Decision, Desk, Refusal, Standing};
use crate::window::{Slice, SliceGrant, WindowRule, WindowUse};
use crate::{ShardTime, SpentAt, Table};

/// A single grant is sized to last for so many commits at the window's own rate.
const COMMITS_A_GRANT: i128 = 20;

/// A request that waits is decided within so many commits.
const COMMITS_TO_DECIDE: i64 = 4;

/// The most slices that a bucket is granted at once; in windows too short for that, requests may wait in vain.
const MOST_SLICES: usize = 64;

impl Desk<'_> {
    pub(super) fn decide_windowed(&mut self, rule: WindowRule, uses: &mut Table<WindowUse>) -> Decision {
        let key = self.ask.key;
        if let Some(used) = uses.get_mut(key) {
            return self.decide_on(rule, used, false);
        }
        let mut used = WindowUse::from_grants(self.granted.slices(key));
        let is_new = used.is_empty();
        let decision = self.decide_on(rule, &mut used, is_new);
        if matches!(decision, Decision::Admitted(..)) && self.ask.cost > 0 {
            uses.insert(key, used);
        }
        decision
    }

    fn decide_on(&mut self, rule: WindowRule, used: &mut WindowUse, is_new: bool) -> Decision {
        let (cost, units, now) = (self.ask.cost, self.units(), self.now);
        used.prune(rule, now);
        let ahead = self.ask.ahead;
        if cost == 0 {
            let one_ns = used.wait_ns(rule, ahead.saturating_add(1), now).max(i64::from(ahead > 0));
            return self.admitted(self.windowed_standing(rule, used, one_ns), 0, SpentAt::Nothing);
        }
        let wait_ns = used.wait_ns(rule, units.saturating_add(ahead), now).max(i64::from(ahead > 0));
        if wait_ns > 0 || units > rule.quota().units() {
            return Decision::Denied(self.windowed_standing(rule, used, wait_ns.max(1)));
        }
        if !self.has_room(is_new) {
            return Decision::Refused(Refusal::NoRoom);
        }
        let slice = rule.slice(now);
        if !self.draw_on_slice(rule, slice, used) {
            return self.wait_for_grant(is_new);
        }
        if is_new {
            self.claim_room();
        }
        used.spend(rule, units, now);
        self.admitted(self.windowed_standing(rule, used, 0), units, SpentAt::Slice { start: slice.start })
    }

    /// Whether the leader has the right to spend in `slice`; asks for more before that runs out.
    fn draw_on_slice(&mut self, rule: WindowRule, slice: Slice, used: &WindowUse) -> bool {
        let (limit, key) = (self.ask.limit, self.ask.key);
        let slices = self.granted.slices(key);
        let right = units_granted(slices, slice.start);
        let spent = used.units_in(slice.start).saturating_add(self.units());
        if spent > right && self.needs_grant() {
            return false;
        }
        let spare = units_a_grant(rule, self.options.commit_ns) / 2;
        if spent > right || right - spent < spare {
            self.wanted.ask_early(limit, key);
        }
        let late = slice.end.since(self.now) < self.now.since(slice.start);
        let sliding = matches!(rule, WindowRule::Sliding(_));
        if sliding && late && !used.is_empty() && units_granted(slices, slice.end) == 0 {
            self.wanted.ask_next_slice(limit, key);
        }
        true
    }

    fn windowed_standing(&self, rule: WindowRule, used: &WindowUse, retry_after_ns: i64) -> Standing {
        let limit = rule.quota().units();
        Standing {
            limit,
            remaining: limit.saturating_sub(used.units()).saturating_sub(self.ask.ahead),
            retry_after_ns,
            reset_after_ns: used.reset_ns(rule, self.now),
        }
    }
}

fn units_granted(slices: &[SliceGrant], start: ShardTime) -> u64 {
    slices.iter().find(|slice| slice.start == start).map_or(0, |slice| slice.units)
}

/// How many units a single grant holds: what the window's rate allows in 20 commits, at least one, at most a tenth of the window.
fn units_a_grant(rule: WindowRule, commit_ns: i64) -> u64 {
    let quota = rule.quota();
    let rate = (i128::from(quota.units()) * COMMITS_A_GRANT).saturating_mul(i128::from(commit_ns));
    let most = (quota.units() / 10).max(1);
    (rate / i128::from(quota.window_ns())).clamp(1, i128::from(most)) as u64
}

/// The grants that a bucket needs: more in the present slice, in those during which a waiting request may be decided, the
/// next slice, and less in past ones where not all was spent.
pub(super) fn slices_for(
    rule: WindowRule,
    used: &WindowUse,
    want: Want,
    granted: &[SliceGrant],
    commit_ns: i64,
    now: ShardTime,
) -> Vec<SliceGrant> {
    let present = rule.slice(now);
    let chunk = units_a_grant(rule, commit_ns);
    let free = rule.quota().units().saturating_sub(used.units());
    let more_in = |slice: Slice, units: u64| {
        let units = used.units_in(slice.start).saturating_add(units.min(free));
        let is_more = units > units_granted(granted, slice.start);
        is_more.then_some(SliceGrant { start: slice.start, end: slice.end, units })
    };
    let past = exact_slices(used, granted).into_iter().filter(|slice| slice.start < present.start);
    let decided_by = now.plus(commit_ns.saturating_mul(COMMITS_TO_DECIDE));
    let coming = std::iter::successors(Some(present), |slice| Some(rule.slice(slice.end))).skip(1);
    let coming = coming.take(MOST_SLICES).enumerate().map_while(|(index, slice)| {
        let units = if slice.start <= decided_by { want.units } else { 0 };
        let early = if want.next_slice && index == 0 { chunk } else { 0 };
        (units > 0 || early > 0).then(|| more_in(slice, units.max(early)))
    });
    let present = more_in(present, want.units.max(1).saturating_add(chunk - 1));
    past.chain(present).chain(coming.flatten()).collect()
}

/// For every slice in which not exactly what was granted was spent, the grant that is exact.
pub(super) fn exact_slices(used: &WindowUse, granted: &[SliceGrant]) -> Vec<SliceGrant> {
    let spent_more = used.as_grants().filter(|slice| units_granted(granted, slice.start) < slice.units);
    let granted_more = granted.iter().filter(|slice| used.units_in(slice.start) < slice.units);
    let lowered = granted_more.map(|slice| SliceGrant { units: used.units_in(slice.start), ..*slice });
    spent_more.chain(lowered).collect()
}
