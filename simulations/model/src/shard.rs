//! What the replicas of the shard agree on.

use crate::{Bounds, Protocol, Rule, Ticks};

/// What a leader asks of its group. Figures are absolute, so a later one may be lower.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Entry {
    /// Every bucket may be spent up to here.
    Horizon(Ticks),
    /// One bucket may be spent up to here.
    Ceiling(usize, Ticks),
    /// Each bucket was spent up to here: the first half of a handover.
    Spent(Vec<Ticks>),
    /// The leadership ends, and nobody spends by its horizon any more: the second half.
    HandOver,
}

/// An entry on its way into the log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Proposal {
    /// What its leader's clock showed.
    pub(crate) stamp: Ticks,
    pub(crate) entry: Entry,
}

/// Up to where buckets may be spent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Rights {
    /// Of all.
    pub(crate) horizon: Ticks,
    /// Of each.
    pub(crate) ceilings: Vec<Ticks>,
}

/// The replicated state.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Shard {
    /// The latest stamp.
    stamp: Ticks,
    /// How late the clock is at least that continues from it.
    late: Ticks,
    /// Up to where leaders of the past may have spent any bucket.
    pub(crate) floor: Ticks,
    pub(crate) granted: Rights,
}

impl Entry {
    pub(crate) fn pass(&mut self) {
        self.change(|at| at - 1);
    }

    pub(crate) fn forget(&mut self, past: Ticks) {
        self.change(|at| at.max(past));
    }

    fn change(&mut self, change: impl Fn(Ticks) -> Ticks) {
        match self {
            Self::Horizon(at) | Self::Ceiling(_, at) => *at = change(*at),
            Self::Spent(ends) => ends.iter_mut().for_each(|at| *at = change(*at)),
            Self::HandOver => {}
        }
    }
}

impl Proposal {
    pub(crate) fn pass(&mut self) {
        self.stamp -= 1;
        self.entry.pass();
    }

    pub(crate) fn forget(&mut self, past: Ticks) {
        self.stamp = self.stamp.max(past);
        self.entry.forget(past);
    }
}

impl Rights {
    /// Nothing may be spent beyond `past`.
    pub(crate) fn none(bounds: &Bounds, past: Ticks) -> Self {
        Self { horizon: past, ceilings: vec![past; bounds.buckets] }
    }

    /// Up to where a bucket may be spent.
    pub(crate) fn of(&self, bucket: usize) -> Ticks {
        self.ceilings[bucket].max(self.horizon)
    }

    pub(crate) fn grant(&mut self, entry: &Entry) {
        match entry {
            Entry::Horizon(at) => self.horizon = self.horizon.max(*at),
            Entry::Ceiling(bucket, at) => self.ceilings[*bucket] = *at,
            Entry::Spent(ends) => self.ceilings.clone_from(ends),
            Entry::HandOver => {}
        }
    }

    pub(crate) fn with(&self, entry: &Entry) -> Self {
        let mut rights = self.clone();
        rights.grant(entry);
        rights
    }

    pub(crate) fn pass(&mut self) {
        self.horizon -= 1;
        self.ceilings.iter_mut().for_each(|at| *at -= 1);
    }

    pub(crate) fn forget(&mut self, past: Ticks) {
        self.horizon = self.horizon.max(past);
        self.ceilings.iter_mut().for_each(|at| *at = past.max(*at));
    }
}

impl Shard {
    /// Before the first leadership.
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let past = -bounds.lateness;
        Self { stamp: past, late: 0, floor: past, granted: Rights::none(bounds, past) }
    }

    /// Whether a new leader may continue the shard's time with a clock that is so late.
    pub(crate) fn may_continue(&self, late: Ticks, protocol: &Protocol) -> bool {
        let is_not_before = -late >= self.stamp || !protocol.follows(Rule::ClockNeverGoesBack);
        let is_as_late = late >= self.late || !protocol.follows(Rule::LatenessNeverShrinks);
        is_not_before && is_as_late
    }

    /// A leadership begins, by a clock that is so late. What leaders of the past may spend unseen counts as spent.
    pub(crate) fn take_over(&mut self, late: Ticks, protocol: &Protocol) {
        self.stamp = self.stamp.max(-late);
        self.late = -self.stamp;
        if protocol.follows(Rule::HorizonCountsAsSpent) {
            self.floor = self.floor.max(self.granted.horizon);
        }
    }

    /// Applies an entry that is not void.
    pub(crate) fn apply(&mut self, proposal: &Proposal) {
        self.stamp = self.stamp.max(proposal.stamp);
        self.granted.grant(&proposal.entry);
        if proposal.entry == Entry::HandOver {
            self.granted.horizon = self.stamp;
        }
    }

    /// Where a bucket stands of which a leader knows nothing.
    pub(crate) fn start(&self, bucket: usize, protocol: &Protocol) -> Ticks {
        let ceiling = self.granted.ceilings[bucket];
        if protocol.follows(Rule::CeilingsCountAsSpent) { self.floor.max(ceiling) } else { self.floor }
    }

    pub(crate) fn pass(&mut self) {
        self.stamp -= 1;
        self.floor -= 1;
        self.granted.pass();
    }

    /// Nobody tells instants apart that no clock shows any more, nor grants that do not reach beyond the floor.
    pub(crate) fn forget(&mut self, past: Ticks) {
        self.stamp = self.stamp.max(past);
        self.floor = self.floor.max(past);
        self.granted.forget(self.floor);
    }
}
