//! What may have been taken from each bucket, and when its leaders changed: what the oracles of single answers start from.

use std::collections::BTreeMap;

use tollgate_cluster::Event;
use tollgate_limiter::Limit;

use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::Ms;
use crate::scenario::{FAULTS_UNTIL, Scenario, bucket_user, meets};

/// How long what was taken of one limit may wait for the others, and somewhat longer: until the hold runs out, or, when all is well, until
/// it is released.
const HELD: Ms = 1_500;
const HELD_IN_CALM: Ms = 100;

/// By when a leader that was deposed knows it, or has no lease any more. Until then it decides by what it was granted, and knows nothing
/// of its successor.
pub(super) const DEPOSED_KNOWS: Ms = 3_000;

/// From when on all is well.
const CALM: Ms = FAULTS_UNTIL + 2_000;

/// How long after it was sent a request that was not answered may still be decided, beside its patience.
const LATE: Ms = 5_000;

/// When leaders changed, and how long commits took.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    changes: Vec<Ms>,
    /// When a leader first did not know how much time had passed: from then on a clock is late, by how much nobody knows.
    late: Option<Ms>,
    /// The longest commit.
    pub(super) commit_ns: i64,
}

impl Leaders {
    /// A node told of something.
    pub(super) fn hear(&mut self, event: &Event, now: Ms) {
        match event {
            Event::TookOver { .. } | Event::HandedOver { .. } | Event::ActorRestarted { .. } => self.changes.push(now),
            Event::ClockLate { .. } => {
                self.late.get_or_insert(now);
            }
            Event::Committed { took_ns, .. } => self.commit_ns = self.commit_ns.max(*took_ns),
            _ => {}
        }
    }

    /// When leaders changed, in order.
    pub(super) fn changes(&self) -> &[Ms] {
        &self.changes
    }

    /// When leaders changed from one time to another.
    pub(super) fn changes_within(&self, from: Ms, until: Ms) -> &[Ms] {
        let before = self.changes.partition_point(|change| *change < from);
        let later = self.changes[before..].partition_point(|change| *change <= until);
        &self.changes[before..before + later]
    }

    /// When a leader changed last, by this time.
    pub(super) fn last_change(&self, until: Ms) -> Option<Ms> {
        let count = self.changes.partition_point(|change| *change <= until);
        self.changes.get(count.checked_sub(1)?).copied()
    }

    /// Whether a leader changed from one time to another.
    pub(super) fn changed(&self, from: Ms, until: Ms) -> bool {
        !self.changes_within(from, until).is_empty()
    }

    /// Whether all clocks were right until this time.
    pub(super) fn knew_the_time(&self, until: Ms) -> bool {
        self.late.is_none_or(|late| until < late)
    }
}

/// A bucket, and all that met it.
pub(super) struct Bucket<'a> {
    pub(super) limit: &'a Limit,
    /// Whose it is; `None` where all share it.
    pub(super) user: Option<u64>,
    /// Requests for it, in their order, each with its number.
    pub(super) operations: Vec<(usize, &'a Operation)>,
    pub(super) charges: Vec<Charge>,
}

/// Units that somebody may have taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// The request that took them.
    pub(super) by: usize,
    /// When they were taken at the earliest, and at the latest.
    pub(super) from: Ms,
    pub(super) until: Ms,
    pub(super) units: i64,
    /// Whether they have come back by then.
    pub(super) comes_back: bool,
}

/// All buckets that were asked for.
pub(super) fn buckets<'a>(scenario: &'a Scenario, history: &'a History, leaders: &Leaders) -> Vec<Bucket<'a>> {
    scenario.limits.iter().flat_map(|limit| buckets_of(limit, history, leaders)).collect()
}

fn buckets_of<'a>(limit: &'a Limit, history: &'a History, leaders: &Leaders) -> Vec<Bucket<'a>> {
    let mut buckets: BTreeMap<Option<u64>, Vec<(usize, &Operation)>> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        if let Some(user) = user_of(limit, operation) {
            buckets.entry(user).or_default().push((index, operation));
        }
    }
    let bucket = |(user, operations): (Option<u64>, Vec<(usize, &'a Operation)>)| {
        let taken = operations.iter().filter_map(|(index, operation)| charge(*index, operation, leaders));
        let charges = taken.chain(debts(history, &operations).into_values()).collect();
        Bucket { limit, user, operations, charges }
    };
    buckets.into_iter().map(bucket).collect()
}

/// Whose bucket of a limit an operation asks for; `None` if it does not.
fn user_of(limit: &Limit, operation: &Operation) -> Option<Option<u64>> {
    let Ask::Acquire { endpoint, user, .. } = operation.ask else { return None };
    meets(limit, endpoint).then(|| bucket_user(limit, user))
}

/// What an operation may have taken from a bucket; `None` if nothing.
fn charge(index: usize, operation: &Operation, leaders: &Leaders) -> Option<Charge> {
    let Ask::Acquire { cost, patience, .. } = operation.ask else { return None };
    let (until, comes_back) = match operation.verdict() {
        Some((received, verdict)) if verdict.allowed && !verdict.degraded => (received, false),
        // Something may have been taken, and given back, or not if a leader changed meanwhile.
        Some((received, verdict)) if !verdict.degraded && verdict.limits.len() > 1 => {
            let back = received + if operation.sent >= CALM { HELD_IN_CALM } else { HELD };
            (back, !leaders.changed(operation.sent, back))
        }
        Some((_, verdict)) if !verdict.degraded => return None,
        _ => (operation.sent + patience + LATE, false),
    };
    Some(Charge { by: index, from: operation.sent, until, units: cost as i64, comes_back })
}

/// Of each of these operations that was settled for more than it took: what was charged for that.
fn debts(history: &History, operations: &[(usize, &Operation)]) -> BTreeMap<usize, Charge> {
    let costs: BTreeMap<usize, u64> = operations
        .iter()
        .filter_map(|(index, operation)| match operation.ask {
            Ask::Acquire { cost, .. } => Some((*index, cost)),
            _ => None,
        })
        .collect();
    let mut debts: BTreeMap<usize, Charge> = BTreeMap::new();
    for operation in &history.operations {
        let Ask::Settle { acquired, actual } = operation.ask else { continue };
        let Some(cost) = costs.get(&acquired) else { continue };
        let until = match operation.answered {
            Some((received, Answer::Settled | Answer::SettledBefore)) => received,
            _ => operation.sent + LATE,
        };
        let units = actual.saturating_sub(*cost) as i64;
        let first = Charge { by: acquired, from: operation.sent, until, units, comes_back: false };
        let debt = debts.entry(acquired).or_insert(first);
        (debt.until, debt.units) = (debt.until.max(until), debt.units.max(units));
    }
    debts
}
