//! Who waits as long as he was told, and asks for no more than he did, passes, if nobody took anything meanwhile and the same leader
//! decides.
//!
//! A node remembers what was denied and says so again, so what a denial tells may be as old as the first one there that told the same.

use std::collections::BTreeMap;

use tollgate_cluster::NodeId;
use tollgate_limiter::Consistency;

use super::Violation;
use super::charges::{Bucket, Charge, DEPOSED_KNOWS, Leaders};
use crate::history::{Ask, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::scenario::LENGTH;
use crate::swarm::MAX_DRIFT;

/// Two denials of one process that let one pass at times no farther apart may be one that was remembered, for as long as a run at most,
/// by a clock that drifts.
const SAME: Ms = 2 + LENGTH * 2 * MAX_DRIFT.unsigned_abs() / 1_000_000;

/// The most units that a request asks for.
const MAX_COST: u64 = 3;

/// Every bucket that denied somebody again who had waited.
pub(super) fn judge(buckets: &[Bucket<'_>], leaders: &Leaders) -> Vec<Violation> {
    // What a denial said does not hold for the limit that came after it, nor binds it who decides without having asked.
    let is_judged = |bucket: &&Bucket<'_>| {
        bucket.limit.name.as_str() != "changing" && bucket.limit.consistency == Consistency::Exact
    };
    buckets.iter().filter(is_judged).filter_map(|bucket| judge_bucket(bucket, leaders)).collect()
}

fn judge_bucket(bucket: &Bucket<'_>, leaders: &Leaders) -> Option<Violation> {
    let denials = denials(bucket);
    let of_cost = |cost: u64| denials.iter().filter(move |denial| denial.cost == cost).copied().collect();
    let by_cost: Vec<Vec<Denial>> = (0..=MAX_COST).map(of_cost).collect();
    let unrest = Unrest::new(&bucket.charges);
    denials.iter().find_map(|again| {
        let deposed_knew = leaders.last_change(again.received).map(|change| change + DEPOSED_KNOWS);
        let since = unrest.last_before(again).max(deposed_knew);
        let is_new = |denial: &&Denial| since.is_none_or(|since| denial.known_since > since);
        let earlier = by_cost[again.cost as usize..].iter().filter_map(|denials| {
            // Of all denials since nobody took anything the first tells most: the bucket only fills.
            let after = denials.partition_point(|denial| since.is_some_and(|since| denial.sent <= since));
            denials[after..].iter().take_while(|denial| denial.sent < again.sent).find(is_new)
        });
        let first = earlier.into_iter().find(|denial| denial.passes_at <= again.sent)?;
        let name = bucket.limit.name.as_str();
        Some(Violation {
            promise: "who waits as long as he was told passes",
            how: format!(
                "{name} of user {:?} told #{} to wait until {}, and denied #{}",
                bucket.user, first.index, first.passes_at, again.index
            ),
        })
    })
}

/// A denial by one limit.
#[derive(Clone, Copy, Debug)]
struct Denial {
    index: usize,
    process: Process,
    cost: u64,
    sent: Ms,
    received: Ms,
    /// When the same request would pass as it was told.
    told_at: Ms,
    /// From when on it would, by whatever clock.
    passes_at: Ms,
    /// How old that knowledge may be.
    known_since: Ms,
}

/// All denials of a bucket by its limit, in the order in which they were asked for.
fn denials(bucket: &Bucket<'_>) -> Vec<Denial> {
    let denial = |(index, operation): &(usize, &Operation)| Denial::of(bucket, *index, operation);
    let mut denials: Vec<Denial> = bucket.operations.iter().filter_map(denial).collect();
    let origins = Origins::of(bucket, &denials);
    denials.iter_mut().for_each(|denial| denial.known_since = origins.first_of(denial));
    denials
}

/// Where what a process tells may come from.
struct Origins {
    /// When a process first told of each time to pass, by cost.
    told: BTreeMap<(Process, u64, Ms), Ms>,
    /// When a process was first asked for something of which it tells only that it was not decided, though one limit may have denied it.
    untold: BTreeMap<(Process, u64), Ms>,
}

/// A node, and which of its processes.
type Process = (NodeId, u64);

impl Origins {
    fn of(bucket: &Bucket<'_>, denials: &[Denial]) -> Self {
        let mut told: BTreeMap<(Process, u64, Ms), Ms> = BTreeMap::new();
        for Denial { process, cost, told_at, sent, .. } in denials {
            let first = told.entry((*process, *cost, *told_at)).or_insert(*sent);
            *first = *sent.min(first);
        }
        let mut untold: BTreeMap<(Process, u64), Ms> = BTreeMap::new();
        for (_, operation) in &bucket.operations {
            let Ask::Acquire { endpoint, cost, .. } = operation.ask else { continue };
            // An endpoint of another name meets several limits.
            let meets_others = endpoint != bucket.limit.name.as_str();
            if meets_others && operation.verdict().is_none_or(|(_, told)| told.degraded) {
                untold.entry(((operation.node, operation.process), cost)).or_insert(operation.sent);
            }
        }
        Self { told, untold }
    }

    /// The earliest question of which a denial may be the answer.
    fn first_of(&self, denial: &Denial) -> Ms {
        let Denial { process, cost, told_at, sent, .. } = *denial;
        let at = |told_at: Ms| (process, cost, told_at);
        let same = self.told.range(at(told_at.saturating_sub(SAME))..=at(told_at + SAME));
        let untold = self.untold.get(&(process, cost));
        same.map(|(_, first)| first).chain(untold).fold(sent, |first, other| first.min(*other))
    }
}

impl Denial {
    fn of(bucket: &Bucket<'_>, index: usize, operation: &Operation) -> Option<Self> {
        let Ask::Acquire { cost, patience: 0, .. } = operation.ask else { return None };
        let (received, told) = operation.verdict().filter(|(_, told)| !told.degraded)?;
        let limit = told.limits.iter().find(|limit| limit.name == bucket.limit.name.as_str())?;
        let ms = |ns: i64| ns.unsigned_abs().div_ceil(MS_NS.unsigned_abs());
        let told_at = received + ms(limit.retry_after_ns);
        let passes_at = told_at + ms(limit.retry_after_ns / 1_000_000 * 2 * MAX_DRIFT) + 1;
        (!limit.allowed).then_some(Self {
            index,
            process: (operation.node, operation.process),
            cost,
            sent: operation.sent,
            received,
            told_at,
            passes_at,
            known_since: operation.sent,
        })
    }
}

/// When somebody may have taken something from a bucket.
struct Unrest(Vec<Begun>);

/// Of all charges that may have begun by a time, the two that end last, of different requests.
#[derive(Clone, Copy)]
struct Begun {
    by: Ms,
    latest: [Option<End>; 2],
}

/// By when a charge is over, and which request made it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct End {
    until: Ms,
    by: usize,
}

impl Unrest {
    fn new(charges: &[Charge]) -> Self {
        let mut charges = charges.to_vec();
        charges.sort_unstable_by_key(|charge| charge.from);
        let begun = charges.iter().scan([None; 2], |latest, charge| {
            let end = End { until: charge.until, by: charge.by };
            *latest = with(*latest, end);
            Some(Begun { by: charge.from, latest: *latest })
        });
        Self(begun.collect())
    }

    /// Until when others than the one who was denied may have taken something before he was told; `None` if never.
    fn last_before(&self, denial: &Denial) -> Option<Ms> {
        let begun = self.0.partition_point(|begun| begun.by <= denial.received);
        let Begun { latest, .. } = self.0.get(begun.checked_sub(1)?)?;
        latest.iter().flatten().find(|end| end.by != denial.index).map(|end| end.until)
    }
}

/// The latest ends when there is one more.
fn with([first, second]: [Option<End>; 2], end: End) -> [Option<End>; 2] {
    let is_of = |other: Option<End>| other.is_some_and(|other| other.by == end.by);
    match (Some(end) > first, Some(end) > second) {
        (true, _) if is_of(first) => [Some(end), second],
        (true, _) => [Some(end), first],
        (false, true) if !is_of(first) => [first, Some(end)],
        _ => [first, second],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Told, ToldOfLimit};
    use crate::scenario::Scenario;

    /// A request of user 0 that was denied, and told to wait for so many milliseconds.
    fn denied(sent: Ms, cost: u64, wait: i64) -> Operation {
        let limit = ToldOfLimit {
            name: "slow".to_owned(),
            capacity: 5,
            allowed: false,
            remaining: 0,
            retry_after_ns: wait * MS_NS,
        };
        let told = Told { allowed: false, degraded: false, limits: vec![limit] };
        let ask = Ask::Acquire { endpoint: "slow", user: 0, cost, patience: 0 };
        Operation { node: 1, process: 1, sent, answered: Some((sent + 1, Answer::Verdict(told))), ask }
    }

    #[test]
    fn who_waited_is_denied_again_only_if_somebody_took_something_meanwhile() {
        let scenario = Scenario::new(1);
        let taken = |from, until| Charge { by: 9, from, until, units: 1, comes_back: false };
        let cases = [
            ("too early", denied(900, 1, 100), None, 0),
            ("in time", denied(1_100, 1, 500), None, 1),
            ("of more", denied(1_100, 2, 500), None, 0),
            ("somebody took a unit", denied(1_100, 1, 500), Some(taken(400, 500)), 0),
            ("somebody may have taken a unit", denied(1_100, 1, 500), Some(taken(0, 4_000)), 0),
            ("somebody took a unit before", denied(1_100, 1, 500), Some(taken(0, 5)), 1),
        ];
        for (claim, again, charge, violations) in cases {
            let first = denied(10, 1, 1_000);
            let operations = vec![(0, &first), (1, &again)];
            let charges = charge.into_iter().collect();
            let bucket = Bucket { limit: scenario.limit("slow"), user: Some(0), operations, charges };
            assert_eq!(judge(&[bucket], &Leaders::default()).len(), violations, "{claim}");
        }
    }

    #[test]
    fn what_is_told_may_be_remembered_from_an_answer_that_was_long_on_its_way() {
        let scenario = Scenario::new(1);
        let late = Operation { answered: denied(510, 1, 500).answered, ..denied(10, 1, 500) };
        let [overtook, remembered, again] = [denied(20, 1, 300), denied(600, 1, 410), denied(1_100, 1, 500)];
        let operations = vec![(0, &late), (1, &overtook), (2, &remembered), (3, &again)];
        let charges = vec![Charge { by: 9, from: 400, until: 500, units: 1, comes_back: false }];
        let bucket = Bucket { limit: scenario.limit("slow"), user: Some(0), operations, charges };
        assert!(judge(&[bucket], &Leaders::default()).is_empty());
    }

    #[test]
    fn what_is_remembered_for_long_is_known_since_it_was_first_told() {
        let scenario = Scenario::new(1);
        let [first, remembered, again] = [denied(10, 1, 10_000), denied(5_000, 1, 5_010), denied(10_070, 1, 5_000)];
        let operations = vec![(0, &first), (1, &remembered), (2, &again)];
        let charges = vec![Charge { by: 9, from: 2_000, until: 2_100, units: 1, comes_back: false }];
        let bucket = Bucket { limit: scenario.limit("slow"), user: Some(0), operations, charges };
        assert!(judge(&[bucket], &Leaders::default()).is_empty());
    }
}
