//! What the leader will ask its group for next.

use std::collections::{BTreeMap, BTreeSet};

use crate::permits::Permit;
use crate::{Grants, Key, LimitId, PermitId, SettlementId, ShardTime};

/// The most ceilings that wait to be trimmed; what is found beyond is found again by a later sweep.
const MOST_TRIMS: usize = 4_096;

/// So many ceilings to trim are worth an entry of their own. Fewer wait for the next.
const TRIMS_WORTH_AN_ENTRY: usize = 1_024;

/// The most buckets for which one entry asks for more: with 64 slices each it is 12 MB, below the largest frame between nodes.
const MOST_BUCKETS: usize = 4_096;

/// Collected until the entry that is in flight has committed.
#[derive(Debug)]
pub(super) struct Wanted {
    leadership: u64,
    /// Number of the latest permit, of the latest in flight, and of the latest committed.
    serial: u64,
    serial_in_flight: u64,
    serial_committed: u64,
    buckets: BTreeMap<(LimitId, Key), Want>,
    /// Permits, releases, settlements and resets, which stand in the next entry as they are.
    grants: Grants,
    /// Units of permits that are asked for and not committed, by bucket.
    pending_permits: BTreeMap<(LimitId, Key), u64>,
    /// The part of `pending_permits` that is in flight.
    permits_in_flight: Vec<(LimitId, Key, u64)>,
    /// Where the next entry begins, if it cannot hold all.
    take_next: (LimitId, Key),
    /// Buckets for which a grant is in flight, in their order.
    buckets_in_flight: Vec<(LimitId, Key)>,
    /// Buckets of which a reset is in flight.
    resets_in_flight: Vec<(LimitId, Key)>,
    /// Buckets to which permits come back with the entry in flight.
    releases_in_flight: Vec<(LimitId, Key)>,
    /// Buckets whose ceilings are to end where their spending does, and those of which that is in flight.
    trims: BTreeSet<(LimitId, Key)>,
    trims_in_flight: BTreeSet<(LimitId, Key)>,
    /// Buckets that nothing was known of before, asked for and in flight.
    new_buckets: u64,
    new_buckets_in_flight: u64,
}

/// What an entry has changed, that its leader acts on.
pub(super) struct Committed {
    /// Buckets to which permits have come back.
    pub(super) released: Vec<(LimitId, Key)>,
    /// Buckets that may need no entry any more: their ceilings were trimmed, or they were reset.
    pub(super) spare: Vec<(LimitId, Key)>,
}

/// What a bucket needs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Want {
    /// Units that requests wait for.
    pub(super) units: u64,
    /// The slice after the present one will be used, too.
    pub(super) next_slice: bool,
    /// It was overdrawn by a settlement, which is told to be done when the next entry is.
    pub(super) is_in_debt: bool,
}

impl Wanted {
    pub(super) fn new(leadership: u64) -> Self {
        Self {
            leadership,
            serial: 0,
            serial_in_flight: 0,
            serial_committed: 0,
            buckets: BTreeMap::new(),
            grants: Grants::default(),
            pending_permits: BTreeMap::new(),
            permits_in_flight: Vec::new(),
            take_next: (LimitId::default(), Key::from_bits(0)),
            buckets_in_flight: Vec::new(),
            resets_in_flight: Vec::new(),
            releases_in_flight: Vec::new(),
            trims: BTreeSet::new(),
            trims_in_flight: BTreeSet::new(),
            new_buckets: 0,
            new_buckets_in_flight: 0,
        }
    }

    /// Whether a grant for the bucket is asked for already.
    pub(super) fn is_wanted(&self, limit: LimitId, key: Key) -> bool {
        self.buckets.contains_key(&(limit, key))
    }

    /// Whether a grant for the bucket is in flight.
    pub(super) fn is_in_flight(&self, limit: LimitId, key: Key) -> bool {
        self.buckets_in_flight.binary_search(&(limit, key)).is_ok()
    }

    /// Whether the bucket is to be reset, and that has not committed.
    pub(super) fn is_resetting(&self, limit: LimitId, key: Key) -> bool {
        self.grants.reset.contains(&(limit, key)) || self.resets_in_flight.contains(&(limit, key))
    }

    /// Whether the bucket's ceiling is being trimmed. Until that has committed, nothing may be spent by it.
    pub(super) fn is_trimming(&self, limit: LimitId, key: Key) -> bool {
        self.trims_in_flight.contains(&(limit, key))
    }

    /// The ceilings of these buckets are to be trimmed with the next entry.
    pub(super) fn trim(&mut self, limit: LimitId, keys: Vec<Key>) {
        let room = MOST_TRIMS.saturating_sub(self.trims.len());
        self.trims.extend(keys.into_iter().take(room).map(|key| (limit, key)));
    }

    /// Another bucket is asked for that nothing was known of before.
    pub(super) fn count_new_bucket(&mut self) {
        self.new_buckets += 1;
    }

    /// Buckets that will be held when what is asked for has committed.
    pub(super) fn new_buckets(&self) -> u64 {
        self.new_buckets + self.new_buckets_in_flight
    }

    /// A request waits for `units`.
    pub(super) fn wait_for(&mut self, limit: LimitId, key: Key, units: u64) {
        let want = self.buckets.entry((limit, key)).or_default();
        want.units = want.units.saturating_add(units);
    }

    /// The bucket will soon need more; nobody waits yet.
    pub(super) fn ask_early(&mut self, limit: LimitId, key: Key) {
        self.buckets.entry((limit, key)).or_default();
    }

    /// The bucket was overdrawn: its debt goes with the next entry.
    pub(super) fn owe(&mut self, limit: LimitId, key: Key) {
        self.buckets.entry((limit, key)).or_default().is_in_debt = true;
    }

    /// The bucket will need the next slice of its window.
    pub(super) fn ask_next_slice(&mut self, limit: LimitId, key: Key) {
        self.buckets.entry((limit, key)).or_default().next_slice = true;
    }

    pub(super) fn permit(&mut self, limit: LimitId, key: Key, units: u64, expires: ShardTime) -> PermitId {
        self.serial += 1;
        let id = PermitId { leadership: self.leadership, serial: self.serial };
        self.grants.permits.push((limit, key, Permit { id, units, expires }));
        let pending = self.pending_permits.entry((limit, key)).or_default();
        *pending = pending.saturating_add(units);
        id
    }

    /// Whether a permit is asked for and not committed.
    pub(super) fn is_permit_pending(&self, permit: PermitId) -> bool {
        permit.leadership == self.leadership && permit.serial > self.serial_committed
    }

    /// Units of the bucket's permits that are asked for and not committed.
    pub(super) fn pending_permits(&self, limit: LimitId, key: Key) -> u64 {
        self.pending_permits.get(&(limit, key)).copied().unwrap_or(0)
    }

    pub(super) fn release(&mut self, limit: LimitId, key: Key, permit: PermitId) {
        self.grants.released.push((limit, key, permit));
    }

    pub(super) fn settle(&mut self, id: SettlementId, until: ShardTime) {
        self.grants.settled.push((id, until));
    }

    pub(super) fn reset(&mut self, limit: LimitId, key: Key) {
        self.grants.reset.push((limit, key));
    }

    /// Takes what stands in the next entry as it is.
    pub(super) fn take(&mut self) -> Grants {
        let grants = std::mem::take(&mut self.grants);
        self.serial_in_flight = self.serial;
        self.resets_in_flight.extend_from_slice(&grants.reset);
        self.releases_in_flight.extend(grants.released.iter().map(|(limit, key, _)| (*limit, *key)));
        self.permits_in_flight.extend(grants.permits.iter().map(|(limit, key, permit)| (*limit, *key, permit.units)));
        grants
    }

    /// Takes the buckets that need a grant. Nothing is in flight: what was taken before has committed, or was not proposed because
    /// none of it was due. Where it is too much for one entry, debts come first, and the next entry begins where this one ends.
    pub(super) fn take_buckets(&mut self) -> impl Iterator<Item = (LimitId, Key, Want)> + use<> {
        let mut wanted = std::mem::take(&mut self.buckets);
        let taken = if wanted.len() <= MOST_BUCKETS {
            self.new_buckets_in_flight = std::mem::take(&mut self.new_buckets);
            wanted
        } else {
            let mut taken: BTreeMap<_, _> = wanted.extract_if(.., |_, want| want.is_in_debt).collect();
            let later = wanted.split_off(&self.take_next);
            let mut others = later.into_iter().chain(wanted);
            taken.extend(others.by_ref().take(MOST_BUCKETS.saturating_sub(taken.len())));
            let rest: Vec<_> = others.collect();
            self.take_next = rest.first().map_or(self.take_next, |(next, _)| *next);
            // New buckets are counted until the last of them is asked for.
            self.buckets = rest.into_iter().collect();
            taken
        };
        self.buckets_in_flight = taken.keys().copied().collect();
        taken.into_iter().map(|((limit, key), want)| (limit, key, want))
    }

    /// Takes the buckets whose ceilings are to be trimmed, if there is an entry for them to go with or enough for one. A bucket
    /// that is granted more at the same time is none of them.
    pub(super) fn take_trims(&mut self, is_entry: bool) -> BTreeSet<(LimitId, Key)> {
        if !is_entry && self.trims.len() < TRIMS_WORTH_AN_ENTRY {
            return BTreeSet::new();
        }
        let trims = std::mem::take(&mut self.trims);
        trims.into_iter().filter(|(limit, key)| !self.is_in_flight(*limit, *key)).collect()
    }

    /// A trimmed ceiling goes with the entry.
    pub(super) fn trimming(&mut self, limit: LimitId, key: Key) {
        self.trims_in_flight.insert((limit, key));
    }

    /// The entry in flight has committed. Whoever waits is decided again, and tells anew for how many units.
    pub(super) fn granted(&mut self) -> Committed {
        self.serial_committed = self.serial_in_flight;
        self.buckets.values_mut().for_each(|want| want.units = 0);
        self.new_buckets_in_flight = 0;
        self.buckets_in_flight.clear();
        for (limit, key, units) in self.permits_in_flight.drain(..) {
            if let Some(pending) = self.pending_permits.get_mut(&(limit, key)) {
                *pending = pending.saturating_sub(units);
                if *pending == 0 {
                    self.pending_permits.remove(&(limit, key));
                }
            }
        }
        let trimmed = std::mem::take(&mut self.trims_in_flight);
        let spare = trimmed.into_iter().chain(self.resets_in_flight.drain(..)).collect();
        Committed { released: std::mem::take(&mut self.releases_in_flight), spare }
    }
}
