//! Who waits as long as he was told, and asks for no more than he did, passes, if nobody took anything meanwhile.
//!
//! A node remembers what was denied and says so again, so what a denial tells may be as old as the first one there that told the same.

use std::collections::BTreeMap;

use tollgate_cluster::NodeId;

use super::Violation;
use super::charges::{Bucket, Charge, Leaders};
use crate::history::{Ask, Operation};
use crate::kernel::{MS_NS, Ms};
use crate::swarm::MAX_DRIFT;

/// Two denials that let one pass at times no farther apart may be one that was remembered.
const SAME: Ms = 10;

/// The most units that a request asks for.
const MAX_COST: u64 = 3;

/// Every bucket that denied somebody again who had waited.
pub(super) fn judge(buckets: &[Bucket<'_>], leaders: &Leaders) -> Vec<Violation> {
    // What a denial said does not hold for the limit that came after it.
    let constant = buckets.iter().filter(|bucket| bucket.limit.name.as_str() != "changing");
    constant.filter_map(|bucket| judge_bucket(bucket, leaders)).collect()
}

fn judge_bucket(bucket: &Bucket<'_>, leaders: &Leaders) -> Option<Violation> {
    let denials = denials(bucket);
    let of_cost = |cost: u64| denials.iter().filter(move |denial| denial.cost == cost).copied().collect();
    let by_cost: Vec<Vec<Denial>> = (0..=MAX_COST).map(of_cost).collect();
    let unrest = Unrest::new(&bucket.charges);
    denials.iter().find_map(|again| {
        let since = unrest.last_before(again);
        let earlier = by_cost[again.cost as usize..].iter().filter_map(|denials| {
            // Of all denials since nobody took anything the first tells most: the bucket only fills.
            denials.get(denials.partition_point(|denial| since.is_some_and(|since| denial.sent <= since)))
        });
        let is_new = |denial: &&Denial| since.is_none_or(|since| denial.known_since > since);
        let mut waited = earlier.filter(is_new).filter(|denial| denial.passes_at <= again.sent);
        let first = waited.find(|denial| !leaders.changed(denial.known_since, again.received))?;
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
    cost: u64,
    sent: Ms,
    received: Ms,
    /// From when on the same request would pass.
    passes_at: Ms,
    /// How old that knowledge may be.
    known_since: Ms,
}

/// All denials of a bucket by its limit, in the order in which they were asked for.
fn denials(bucket: &Bucket<'_>) -> Vec<Denial> {
    let mut remembered: BTreeMap<(NodeId, u64), Denial> = BTreeMap::new();
    let mut denials = Vec::new();
    for (index, operation) in &bucket.operations {
        let Some(mut denial) = Denial::of(bucket, *index, operation) else { continue };
        let last = remembered.entry((operation.node, denial.cost)).or_insert(denial);
        if last.passes_at.abs_diff(denial.passes_at) <= SAME {
            denial.known_since = last.known_since;
        }
        *last = denial;
        denials.push(denial);
    }
    denials
}

impl Denial {
    fn of(bucket: &Bucket<'_>, index: usize, operation: &Operation) -> Option<Self> {
        let Ask::Acquire { cost, patience: 0, .. } = operation.ask else { return None };
        let (received, told) = operation.verdict().filter(|(_, told)| !told.degraded)?;
        let limit = told.limits.iter().find(|limit| limit.name == bucket.limit.name.as_str())?;
        let wait_ns = limit.retry_after_ns + limit.retry_after_ns / 1_000_000 * 2 * MAX_DRIFT;
        let passes_at = received + wait_ns.unsigned_abs().div_ceil(MS_NS.unsigned_abs()) + 1;
        (!limit.allowed).then_some(Self {
            index,
            cost,
            sent: operation.sent,
            received,
            passes_at,
            known_since: operation.sent,
        })
    }
}

/// When somebody may have taken something from a bucket.
struct Unrest {
    /// By when it may have begun: the charges that end last of all that may have begun by then, and of these the two latest of different
    /// requests.
    latest: Vec<(Ms, [Option<(Ms, usize)>; 2])>,
}

impl Unrest {
    fn new(charges: &[Charge]) -> Self {
        let mut charges = charges.to_vec();
        charges.sort_unstable_by_key(|charge| charge.from);
        let latest = charges.iter().scan([None; 2], |latest, charge| {
            let this = Some((charge.until, charge.by));
            if this > latest[0] {
                *latest = if latest[0].is_some_and(|(_, by)| by == charge.by) {
                    [this, latest[1]]
                } else {
                    [this, latest[0]]
                };
            } else if this > latest[1] && latest[0].is_some_and(|(_, by)| by != charge.by) {
                latest[1] = this;
            }
            Some((charge.from, *latest))
        });
        Self { latest: latest.collect() }
    }

    /// Until when others than the one who was denied may have taken something before he was told; `None` if never.
    fn last_before(&self, denial: &Denial) -> Option<Ms> {
        let begun = self.latest.partition_point(|(from, _)| *from <= denial.received);
        let (_, latest) = self.latest.get(begun.checked_sub(1)?)?;
        latest.iter().flatten().find(|(_, by)| *by != denial.index).map(|(until, _)| *until)
    }
}
