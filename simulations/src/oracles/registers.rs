//! The limits are linearizable: the limit `changing` is a register, which changes write and decisions read.
//!
//! No two changes write the same burst, and a decision tells which one it was made by. For such registers there is a simple test
//! (Gibbons and Korach, "Testing shared memories", 1997): the operations of one value are a cluster, which took effect somewhere from
//! the first end to the last beginning of any of them. If that zone has a length (forward), no other may take effect within it.
//!
//! While a change is being made, nodes count by the limit of before or by the new one, by turns if need be: a leader that was deposed
//! and does not know it may decide by the old one until its lease ends, for which the answer to the change waits. So the test is made
//! with decisions that no change overlaps; and of every decision it is asked that its version had not been overwritten, and the
//! overwriting answered, before it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{GIVEN_UP_AFTER, Violation};
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::Ms;
use crate::scenario;

/// All operations of one value.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    value: u64,
    written: Ms,
    first_end: Ms,
    last_begin: Ms,
}

impl Cluster {
    fn zone(&self) -> (Ms, Ms) {
        (self.first_end.min(self.last_begin), self.first_end.max(self.last_begin))
    }

    fn is_forward(&self) -> bool {
        self.first_end < self.last_begin
    }

    /// Whether no order of these two explains what was read.
    fn contradicts(&self, other: &Self) -> bool {
        let ((from, until), (begin, end)) = (self.zone(), other.zone());
        match (self.is_forward(), other.is_forward()) {
            (true, true) => from < end && begin < until,
            (true, false) => from < begin && end < until,
            (false, true) => begin < from && until < end,
            (false, false) => false,
        }
    }
}

/// Every register that no order of its writes and reads explains.
pub(super) fn judge(history: &History) -> Vec<Violation> {
    let bursts: BTreeMap<u64, u64> =
        versions(history).map(|version| (scenario::changing(version).algorithm.capacity(), version)).collect();
    let users: BTreeSet<u64> = history.operations.iter().filter_map(changing_user).collect();
    users.into_iter().filter_map(|user| limit_as_seen_by(user, history, &bursts)).collect()
}

/// The user whose bucket of the limit `changing` is asked for.
fn changing_user(operation: &Operation) -> Option<u64> {
    match operation.ask {
        Ask::Acquire { endpoint: "changing", user, .. } => Some(user),
        _ => None,
    }
}

/// The limit `changing` as decisions on one bucket read it.
fn limit_as_seen_by(user: u64, history: &History, bursts: &BTreeMap<u64, u64>) -> Option<Violation> {
    let changes = changes(history);
    let mut clusters = BTreeMap::from([(0, Cluster { value: 0, written: 0, first_end: 0, last_begin: 0 })]);
    changes.iter().for_each(|change| touch(&mut clusters, change.version, change.sent, change.answered, true));
    let reads: Vec<(u64, Ms, Ms)> =
        history.operations.iter().filter_map(|operation| read(operation, user, bursts)).collect();
    for (version, sent, received) in &reads {
        if changes.iter().all(|change| change.over < *sent || change.sent > *received) {
            touch(&mut clusters, *version, *sent, *received, false);
        }
    }
    let clusters: Vec<Cluster> = clusters.into_values().collect();
    contradiction(&clusters)
        .or_else(|| reads.into_iter().find_map(|(version, sent, received)| wrong(version, (sent, received), &changes)))
        .map(|how| Violation { promise: "limits are linearizable", how: format!("bucket of user {user}: {how}") })
}

/// The version that a decision on the user's bucket was made by, and when it was asked for and told.
fn read(operation: &Operation, user: u64, bursts: &BTreeMap<u64, u64>) -> Option<(u64, Ms, Ms)> {
    let (received, told) = operation.verdict()?;
    let is_read = !told.degraded && changing_user(operation) == Some(user);
    let capacity = told.limits.first().filter(|_| is_read)?.capacity;
    Some((*bursts.get(&capacity)?, operation.sent, received))
}

/// A change of the limit.
#[derive(Clone, Copy, Debug)]
struct Change {
    version: u64,
    sent: Ms,
    /// When it was told to hold; never, if it was not.
    answered: Ms,
    /// When nobody works on it any more.
    over: Ms,
}

fn changes(history: &History) -> Vec<Change> {
    let change = |operation: &Operation| {
        let Ask::Change { version } = operation.ask else { return None };
        let sent = operation.sent;
        Some(match operation.answered {
            Some((answered, Answer::Changed)) => Change { version, sent, answered, over: answered },
            _ => Change { version, sent, answered: Ms::MAX, over: sent + GIVEN_UP_AFTER },
        })
    };
    history.operations.iter().filter_map(change).collect()
}

/// Says how a decision is of a version that was not written yet, or was overwritten before it was asked for.
fn wrong(version: u64, (sent, received): (Ms, Ms), changes: &[Change]) -> Option<String> {
    let of = changes.iter().find(|change| change.version == version);
    if let Some(early) = of.filter(|change| change.sent > received) {
        return Some(format!("at {sent} was decided by {early:?}"));
    }
    let written = of.map_or(0, |change| change.answered);
    let later = changes.iter().find(|change| change.sent > written && change.answered < sent)?;
    Some(format!("at {sent} was decided by version {version}, and {later:?} had been answered"))
}

fn contradiction(clusters: &[Cluster]) -> Option<String> {
    let early = clusters.iter().find(|cluster| cluster.first_end < cluster.written);
    let mut pairs = clusters
        .iter()
        .enumerate()
        .flat_map(|(index, one)| clusters[index + 1..].iter().map(move |other| (one, other)));
    let pair = pairs.find(|(one, other)| one.contradicts(other));
    pair.map(|(one, other)| format!("versions {} and {}: {one:?}, {other:?}", one.value, other.value))
        .or_else(|| early.map(|cluster| format!("{cluster:?} was read before it was written")))
}

fn versions(history: &History) -> impl Iterator<Item = u64> {
    let asked = history.operations.iter().filter_map(|operation| match operation.ask {
        Ask::Change { version } => Some(version),
        _ => None,
    });
    std::iter::once(0).chain(asked)
}

fn touch(clusters: &mut BTreeMap<u64, Cluster>, value: u64, begin: Ms, end: Ms, writes: bool) {
    let cluster = clusters.entry(value).or_insert(Cluster { value, written: begin, first_end: end, last_begin: begin });
    cluster.first_end = cluster.first_end.min(end);
    cluster.last_begin = cluster.last_begin.max(begin);
    if writes {
        cluster.written = begin;
    }
}
