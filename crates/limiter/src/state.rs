//! What the replicas of a shard agree on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::permits::Permit;
use crate::window::{SliceGrant, WindowRule};
use crate::{Algorithm, Key, LimitId, PermitId, Planted, SettlementId, ShardTime, Stamp, Table};

/// About how many buckets each entry lets the state look at, to forget what no longer matters.
const SWEEP_KEYS: usize = 512;

/// A change of a shard's state, as it stands in the log.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Command {
    /// Proposed by a new leader before anything else. What earlier leaders could have spent counts as spent from here on.
    TakeOver {
        /// When it was proposed.
        stamp: Stamp,
    },
    /// Rights for the leader to spend, and whatever else is due: everything in one entry.
    Grant {
        /// The leadership that asks; another one's grants are void.
        leadership: u64,
        /// When it was proposed.
        stamp: Stamp,
        /// What is granted.
        grants: Grants,
    },
    /// The limits as the shard is to count them from here on. Made by [`crate::Leader::reshape`].
    ///
    /// An older leader that is cut off meanwhile still has what it was granted under the old limits. Whoever changes them must see to
    /// it that it does not spend that any more, as the leases of `tollgate-cluster` do.
    Reshape {
        /// The leadership that asks; another one's is void.
        leadership: u64,
        /// When it was proposed.
        stamp: Stamp,
        /// Version of the cluster's limits that these shapes are of.
        version: u64,
        /// Every limit; one that is missing is gone, with its buckets.
        shapes: Vec<Shape>,
    },
    /// The end of a leadership that has stopped spending and has granted exactly what it spent: nothing is lost.
    HandOver {
        /// The leadership that ends.
        leadership: u64,
        /// When it was proposed.
        stamp: Stamp,
    },
}

/// How a limit counts, and nothing of whom.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Shape {
    /// The limit.
    pub id: LimitId,
    /// Its algorithm.
    pub algorithm: Algorithm,
}

/// What a leader asks of its group in one entry. Figures are absolute, so applying an entry needs no earlier figure.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Grants {
    /// Up to when every bucket of a paced limit may be spent.
    pub(crate) horizon: Option<ShardTime>,
    /// Up to when single buckets may be spent, beyond the horizon.
    pub(crate) ceilings: Vec<(LimitId, Key, ShardTime)>,
    /// How many units may be spent in slices of windows.
    pub(crate) slices: Vec<(LimitId, Key, SliceGrant)>,
    /// Permits to give.
    pub(crate) permits: Vec<(LimitId, Key, Permit)>,
    /// Permits that are back.
    pub(crate) released: Vec<(LimitId, Key, PermitId)>,
    /// Settlements that are done, each with the instant from which on it need not be remembered.
    pub(crate) settled: Vec<(SettlementId, ShardTime)>,
    /// Buckets whose grants are forgotten: an operator has reset them.
    pub(crate) reset: Vec<(LimitId, Key)>,
}

impl Grants {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What applying a command did. Only the leader that proposed it acts on it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Applied {
    /// A new leadership began, with this number.
    TookOver(u64),
    /// The grants hold.
    Granted,
    /// The shapes hold, of this version of the limits.
    Reshaped(u64),
    /// The leadership has ended.
    HandedOver,
    /// Void: the command was of a leadership that is over.
    Stale,
}

/// The replicated state of one shard.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// The latest stamp.
    stamp: Stamp,
    /// Counts takeovers and handovers; the present leadership's number.
    leadership: u64,
    /// Up to when a leader may spend from any bucket of a paced limit.
    horizon: ShardTime,
    /// Version of the cluster's limits that `limits` is of.
    limits_version: u64,
    limits: BTreeMap<LimitId, LimitState>,
    /// Settlements that were done, until they need not be remembered.
    settled: Table<ShardTime>,
    /// The limit whose table is swept next.
    sweep_next: LimitId,
}

/// The replicated state of one limit in one shard.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct LimitState {
    pub(crate) algorithm: Algorithm,
    /// How often the algorithm has changed since the limit was made.
    pub(crate) generation: u32,
    /// When it changed last, and from what.
    pub(crate) changed: ShardTime,
    /// Buckets without a ceiling start here: what earlier leaderships may have spent up to their horizon.
    floor: ShardTime,
    /// Where the present leadership's buckets may be beyond the horizon, because a pace has slowed down since.
    carried: ShardTime,
    granted: Granted,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Granted {
    Ceilings(
        #[cfg_attr(feature = "planted", serde(serialize_with = "crate::planted::made::ceilings"))] Table<ShardTime>,
    ),
    Slices(Table<Vec<SliceGrant>>),
    Permits(Table<Vec<Permit>>),
}

impl State {
    /// The latest stamp; `None` before the first command.
    pub fn stamp(&self) -> Option<Stamp> {
        (self.leadership > 0).then_some(self.stamp)
    }

    /// The present leadership's number.
    pub fn leadership(&self) -> u64 {
        self.leadership
    }

    /// Up to when a leader may spend from any bucket of a paced limit.
    pub fn horizon(&self) -> ShardTime {
        self.horizon
    }

    /// Version of the cluster's limits that this shard counts by.
    pub fn limits_version(&self) -> u64 {
        self.limits_version
    }

    /// Whether a settlement was done.
    pub fn is_settled(&self, id: SettlementId) -> bool {
        self.settled.get(id.key()).is_some()
    }

    /// The algorithm of a limit; `None` when the shard counts by no such limit.
    pub fn algorithm(&self, id: LimitId) -> Option<Algorithm> {
        self.limit(id).map(|limit| limit.algorithm)
    }

    /// Buckets that hold a grant.
    pub fn granted_buckets(&self) -> usize {
        self.limits.values().map(LimitState::buckets).sum()
    }

    /// Bytes that the grants of all buckets take.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.limits.values().map(|limit| limit.granted.bytes()).sum()
    }

    pub(crate) fn limit(&self, id: LimitId) -> Option<&LimitState> {
        self.limits.get(&id)
    }

    pub(crate) fn limits(&self) -> impl Iterator<Item = (LimitId, &LimitState)> {
        self.limits.iter().map(|(id, limit)| (*id, limit))
    }

    /// Applies the next command of the log.
    pub fn apply(&mut self, command: &Command) -> Applied {
        match command {
            Command::TakeOver { stamp } => self.take_over(*stamp),
            Command::Grant { leadership, stamp, grants } => self.guarded(*leadership, *stamp, |state| {
                state.grant(grants);
                Applied::Granted
            }),
            Command::Reshape { leadership, stamp, version, shapes } => self.guarded(*leadership, *stamp, |state| {
                state.reshape(*version, shapes);
                Applied::Reshaped(*version)
            }),
            Command::HandOver { leadership, stamp } => self.guarded(*leadership, *stamp, Self::hand_over),
        }
    }

    fn take_over(&mut self, stamp: Stamp) -> Applied {
        self.advance(stamp);
        self.leadership += 1;
        for limit in self.limits.values_mut() {
            let horizon = if Planted::TakeoverIgnoresHorizon.is_made() { limit.floor } else { self.horizon };
            limit.floor = limit.floor.max(horizon).max(limit.carried);
            if Planted::TakeoverIgnoresCeilings.is_made() {
                limit.granted = Granted::none(&limit.algorithm);
            }
            limit.carried = ShardTime::MIN;
        }
        Applied::TookOver(self.leadership)
    }

    fn hand_over(&mut self) -> Applied {
        self.leadership += 1;
        self.horizon = self.stamp.at;
        self.limits.values_mut().for_each(|limit| limit.carried = ShardTime::MIN);
        Applied::HandedOver
    }

    fn guarded(&mut self, leadership: u64, stamp: Stamp, then: impl FnOnce(&mut Self) -> Applied) -> Applied {
        if leadership != self.leadership {
            return Applied::Stale;
        }
        self.advance(stamp);
        let applied = then(self);
        self.sweep();
        applied
    }

    fn advance(&mut self, stamp: Stamp) {
        let at = stamp.at.max(self.stamp.at);
        self.stamp = Stamp { at, ..stamp };
    }

    fn grant(&mut self, grants: &Grants) {
        if let Some(horizon) = grants.horizon {
            self.horizon = self.horizon.max(horizon);
        }
        for (id, key) in &grants.reset {
            self.with_limit(*id, |limit| limit.granted.remove(*key));
        }
        for (id, key, ceiling) in &grants.ceilings {
            self.with_limit(*id, |limit| limit.granted.set_ceiling(*key, *ceiling));
        }
        let now = self.stamp.at;
        for (id, key, slice) in &grants.slices {
            self.with_limit(*id, |limit| limit.set_slice(*key, *slice, now));
        }
        for (id, key, permit) in &grants.permits {
            self.with_limit(*id, |limit| limit.granted.give_permit(*key, *permit, now));
        }
        for (id, key, permit) in &grants.released {
            self.with_limit(*id, |limit| limit.granted.take_permit(*key, *permit));
        }
        for (id, until) in grants.settled.iter().filter(|_| !Planted::SettledForgotten.is_made()) {
            self.settled.insert(id.key(), *until);
        }
    }

    /// A grant for a limit that is gone meanwhile is void.
    fn with_limit(&mut self, id: LimitId, then: impl FnOnce(&mut LimitState)) {
        if let Some(limit) = self.limits.get_mut(&id) {
            then(limit);
        }
    }

    fn reshape(&mut self, version: u64, shapes: &[Shape]) {
        let mut before = std::mem::take(&mut self.limits);
        for shape in shapes {
            let limit = match before.remove(&shape.id) {
                Some(mut limit) => {
                    limit.change(shape.algorithm, self.stamp.at, self.horizon);
                    limit
                }
                None => LimitState::new(shape.algorithm, self.stamp.at),
            };
            self.limits.insert(shape.id, limit);
        }
        self.limits_version = version;
    }

    fn sweep(&mut self) {
        let now = self.stamp.at;
        self.settled.sweep(SWEEP_KEYS, |_, until| *until <= now);
        let next = self.limits.range(self.sweep_next..).next().or_else(|| self.limits.iter().next());
        let next = next.map(|(id, _)| *id);
        #[cfg(feature = "planted")]
        let next = if Planted::HashMapOrder.is_made() {
            crate::planted::made::any_limit(self.limits.keys().copied())
        } else {
            next
        };
        if let Some(id) = next {
            self.with_limit(id, |limit| limit.sweep(now));
            self.sweep_next = LimitId(id.0.wrapping_add(1));
        }
    }
}

impl LimitState {
    fn new(algorithm: Algorithm, now: ShardTime) -> Self {
        Self {
            algorithm,
            generation: 0,
            changed: now,
            floor: ShardTime::MIN,
            carried: ShardTime::MIN,
            granted: Granted::none(&algorithm),
        }
    }

    /// Buckets that hold a grant.
    pub(crate) fn buckets(&self) -> usize {
        self.granted.len()
    }

    /// Where a bucket starts of which the leader knows nothing: all that was ever granted counts as spent.
    pub(crate) fn start(&self, key: Key) -> ShardTime {
        self.ceiling(key).unwrap_or(ShardTime::MIN).max(self.floor)
    }

    /// The bucket's ceiling.
    pub(crate) fn ceiling(&self, key: Key) -> Option<ShardTime> {
        match &self.granted {
            Granted::Ceilings(ceilings) => ceilings.get(key).copied(),
            Granted::Slices(_) | Granted::Permits(_) => None,
        }
    }

    /// What was granted in the bucket's slices.
    pub(crate) fn slices(&self, key: Key) -> &[SliceGrant] {
        match &self.granted {
            Granted::Slices(slices) => slices.get(key).map_or(&[], Vec::as_slice),
            Granted::Ceilings(_) | Granted::Permits(_) => &[],
        }
    }

    /// The bucket's permits that were given, expired ones among them.
    pub(crate) fn permits(&self, key: Key) -> &[Permit] {
        match &self.granted {
            Granted::Permits(permits) => permits.get(key).map_or(&[], Vec::as_slice),
            Granted::Ceilings(_) | Granted::Slices(_) => &[],
        }
    }

    fn set_slice(&mut self, key: Key, slice: SliceGrant, now: ShardTime) {
        let (Granted::Slices(table), Some(rule)) = (&mut self.granted, WindowRule::of(&self.algorithm)) else { return };
        let slices = table.get_or_insert_with(key, Vec::new);
        slices.retain(|old| old.start != slice.start && rule.grant_counts_until(old.end) > now);
        slices.push(slice);
    }

    /// Changes the algorithm. Units stay units: what was spent under the old one counts under the new one where both count alike,
    /// and a limit that counts in another way starts afresh.
    fn change(&mut self, new: Algorithm, now: ShardTime, horizon: ShardTime) {
        if self.algorithm == new {
            return;
        }
        let old = std::mem::replace(&mut self.algorithm, new);
        match (pace_of(&old), pace_of(&new)) {
            (Some(old), Some(new)) => {
                let rescaled = |at: ShardTime| old.rescaled(at, now, new);
                self.carried = rescaled(self.carried.max(horizon));
                self.floor = rescaled(self.floor);
                self.granted.rescale_ceilings(rescaled);
            }
            _ if self.granted.counts_like(&new) => self.rehome_slices(&old, &new, now),
            _ => {
                self.granted = Granted::none(&new);
                self.floor = ShardTime::MIN;
                self.carried = ShardTime::MIN;
            }
        }
        self.generation += 1;
        self.changed = now;
    }

    /// Units of a window that is cut in another way now count in the new slice that holds the change.
    fn rehome_slices(&mut self, old: &Algorithm, new: &Algorithm, now: ShardTime) {
        let (Granted::Slices(table), Some(old), Some(new)) =
            (&mut self.granted, WindowRule::of(old), WindowRule::of(new))
        else {
            return;
        };
        if old.cuts_like(new) {
            return;
        }
        let home = new.slice(now);
        for (_, slices) in table.iter_mut() {
            let live = slices.iter().filter(|slice| old.grant_counts_until(slice.end) > now);
            let units = live.fold(0_u64, |sum, slice| sum.saturating_add(slice.units));
            *slices = vec![SliceGrant { start: home.start, end: home.end, units }];
        }
    }

    fn sweep(&mut self, now: ShardTime) {
        let rule = WindowRule::of(&self.algorithm);
        match &mut self.granted {
            Granted::Ceilings(table) => table.sweep(SWEEP_KEYS, |_, ceiling| *ceiling <= now),
            Granted::Slices(table) => table.sweep(SWEEP_KEYS, |_, slices| {
                slices.retain(|slice| rule.is_some_and(|rule| rule.grant_counts_until(slice.end) > now));
                slices.is_empty()
            }),
            Granted::Permits(table) => table.sweep(SWEEP_KEYS, |_, permits| {
                permits.retain(|permit| permit.expires > now);
                permits.is_empty()
            }),
        };
    }
}

/// The pace of an algorithm that has one.
pub(crate) fn pace_of(algorithm: &Algorithm) -> Option<crate::Pace> {
    match algorithm {
        Algorithm::TokenBucket(pace) | Algorithm::LeakyBucket(pace) => Some(*pace),
        Algorithm::SlidingWindow(_) | Algorithm::FixedWindow(..) | Algorithm::Concurrency { .. } => None,
    }
}

impl Granted {
    fn none(algorithm: &Algorithm) -> Self {
        match algorithm {
            Algorithm::TokenBucket(_) | Algorithm::LeakyBucket(_) => Self::Ceilings(Table::default()),
            Algorithm::SlidingWindow(_) | Algorithm::FixedWindow(..) => Self::Slices(Table::default()),
            Algorithm::Concurrency { .. } => Self::Permits(Table::default()),
        }
    }

    fn counts_like(&self, algorithm: &Algorithm) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(&Self::none(algorithm))
    }

    fn len(&self) -> usize {
        match self {
            Self::Ceilings(table) => table.len(),
            Self::Slices(table) => table.len(),
            Self::Permits(table) => table.len(),
        }
    }

    fn remove(&mut self, key: Key) {
        match self {
            Self::Ceilings(table) => drop(table.remove(key)),
            Self::Slices(table) => drop(table.remove(key)),
            Self::Permits(table) => drop(table.remove(key)),
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        match self {
            Self::Ceilings(table) => table.bytes(),
            Self::Slices(table) => table.bytes(),
            Self::Permits(table) => table.bytes(),
        }
    }

    fn set_ceiling(&mut self, key: Key, ceiling: ShardTime) {
        if let Self::Ceilings(table) = self {
            table.insert(key, ceiling);
        }
    }

    fn rescale_ceilings(&mut self, rescaled: impl Fn(ShardTime) -> ShardTime) {
        if let Self::Ceilings(table) = self {
            table.iter_mut().for_each(|(_, ceiling)| *ceiling = rescaled(*ceiling));
        }
    }

    fn give_permit(&mut self, key: Key, permit: Permit, now: ShardTime) {
        if let Self::Permits(table) = self {
            let permits = table.get_or_insert_with(key, Vec::new);
            permits.retain(|old| old.expires > now && old.id != permit.id);
            permits.push(permit);
        }
    }

    fn take_permit(&mut self, key: Key, permit: PermitId) {
        if let Self::Permits(table) = self {
            let Some(permits) = table.get_mut(key) else { return };
            permits.retain(|old| old.id != permit);
            if permits.is_empty() {
                table.remove(key);
            }
        }
    }
}
