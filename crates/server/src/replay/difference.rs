//! What a second configuration changes.

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_limiter::{Key, LimitName};

use super::report::{LimitReport, NAMED_KEYS};
use super::tally::{KeyTally, LimitTally, Tally};

/// How the outcome differs between two configurations.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    /// Requests that pass under the second configuration only.
    pub(super) newly_allowed: u64,
    /// Requests that pass under the first configuration only.
    pub(super) newly_denied: u64,
    /// Every limit of either, in the order of their names.
    pub(super) limits: Vec<LimitDifference>,
    /// The buckets whose denials changed most.
    pub(super) keys: Vec<KeyDifference>,
}

/// How one limit differs.
#[derive(Debug, Serialize)]
pub(super) struct LimitDifference {
    pub(super) name: String,
    /// `None` when only the second configuration has it.
    pub(super) configuration: Option<LimitReport>,
    /// `None` when only the first configuration has it.
    pub(super) against: Option<LimitReport>,
    /// Denials more (less when negative) under the second configuration.
    pub(super) denied_change: i64,
}

/// How the denials of one bucket differ. Those of a limit in shadow do not count.
#[derive(Debug, Serialize)]
pub(super) struct KeyDifference {
    pub(super) limit: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) requests: u64,
    pub(super) denied: u64,
    pub(super) denied_against: u64,
    pub(super) denied_change: i64,
}

/// What both configurations make of the same thing.
#[derive(Clone, Copy)]
struct Both<T> {
    first: Option<T>,
    second: Option<T>,
}

impl<T> Both<T> {
    fn none() -> Self {
        Self { first: None, second: None }
    }
}

/// A bucket, and whether its denials count.
#[derive(Clone, Copy)]
struct Bucket<'a> {
    key: &'a KeyTally,
    shadow: bool,
}

impl Bucket<'_> {
    fn denied(&self) -> u64 {
        if self.shadow { 0 } else { self.key.denied() }
    }
}

impl Difference {
    /// How `second` differs from `first`; the requests whose outcome differs were counted as they passed.
    pub(super) fn between(first: &Tally, second: &Tally, newly_allowed: u64, newly_denied: u64) -> Self {
        Self { newly_allowed, newly_denied, limits: limits(first, second), keys: keys(first, second) }
    }
}

fn limits(first: &Tally, second: &Tally) -> Vec<LimitDifference> {
    let mut both: BTreeMap<&LimitName, Both<&LimitTally>> = BTreeMap::new();
    for limit in first.limits.values() {
        both.entry(&limit.limit.name).or_insert_with(Both::none).first = Some(limit);
    }
    for limit in second.limits.values() {
        both.entry(&limit.limit.name).or_insert_with(Both::none).second = Some(limit);
    }
    both.into_iter().map(|(name, both)| LimitDifference::new(name, both)).collect()
}

impl LimitDifference {
    fn new(name: &LimitName, both: Both<&LimitTally>) -> Self {
        let configuration = both.first.map(LimitReport::new);
        let against = both.second.map(LimitReport::new);
        let denied = |report: &Option<LimitReport>| report.as_ref().map_or(0, |report| report.denied);
        let denied_change = change(denied(&configuration), denied(&against));
        Self { name: name.to_string(), configuration, against, denied_change }
    }
}

/// Buckets are the same when limit and label values are: then so is their key.
fn keys(first: &Tally, second: &Tally) -> Vec<KeyDifference> {
    let mut both: BTreeMap<(&LimitName, Key), Both<Bucket<'_>>> = BTreeMap::new();
    for (id, bucket) in buckets(first) {
        both.entry(id).or_insert_with(Both::none).first = Some(bucket);
    }
    for (id, bucket) in buckets(second) {
        both.entry(id).or_insert_with(Both::none).second = Some(bucket);
    }
    let changed = both.into_iter().map(|((name, _), both)| KeyDifference::new(name, both));
    let mut changed: Vec<_> = changed.filter(|key| key.denied_change != 0).collect();
    let rank =
        |key: &KeyDifference| (u64::MAX - key.denied_change.unsigned_abs(), key.limit.clone(), key.labels.clone());
    changed.sort_by_cached_key(rank);
    changed.truncate(NAMED_KEYS);
    changed
}

/// Every bucket that was ever denied.
fn buckets(tally: &Tally) -> impl Iterator<Item = ((&LimitName, Key), Bucket<'_>)> {
    tally.limits.values().flat_map(|limit| {
        let bucket = |(id, key)| ((&limit.limit.name, id), Bucket { key, shadow: limit.limit.shadow });
        limit.keys.iter().filter(|(_, key)| key.denials.is_some()).map(bucket)
    })
}

impl KeyDifference {
    fn new(limit: &LimitName, both: Both<Bucket<'_>>) -> Self {
        let present = || both.first.iter().chain(&both.second);
        let labels = present().find_map(|bucket| bucket.key.denials.as_ref()).map(|denials| denials.labels.clone());
        let denied = both.first.map_or(0, |bucket| bucket.denied());
        let denied_against = both.second.map_or(0, |bucket| bucket.denied());
        Self {
            limit: limit.to_string(),
            labels: labels.unwrap_or_default(),
            requests: present().map(|bucket| bucket.key.requests).max().unwrap_or(0),
            denied,
            denied_against,
            denied_change: change(denied, denied_against),
        }
    }
}

fn change(from: u64, to: u64) -> i64 {
    let size = i64::try_from(from.abs_diff(to)).unwrap_or(i64::MAX);
    if to < from { -size } else { size }
}
