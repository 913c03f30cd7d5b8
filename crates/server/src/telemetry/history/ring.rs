//! Counts of a rolling window, in slots that each stand for a span of time.

use std::array::from_fn;

use tollgate_feedback::sample::{Batches, LATENCY_CLASSES, Requests};

/// A rolling window.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Window {
    /// A minute, to the second.
    Minute,
    /// A quarter of an hour, to ten seconds.
    Quarter,
    /// A day, to five minutes.
    Day,
}

impl Window {
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Quarter, Self::Day];

    /// How many slots it has.
    const fn slots(self) -> usize {
        match self {
            Self::Minute => 60,
            Self::Quarter => 90,
            Self::Day => 288,
        }
    }

    /// What each stands for, in seconds.
    const fn slot_seconds(self) -> u64 {
        match self {
            Self::Minute => 1,
            Self::Quarter => 10,
            Self::Day => 300,
        }
    }

    /// How much of it is known so many seconds after the start: all that its slots hold, of which the last is not over yet.
    pub(super) fn seconds_known(self, now_s: u64) -> u64 {
        let begun = now_s % self.slot_seconds() + 1;
        now_s.min((self.slots() as u64 - 1) * self.slot_seconds() + begun)
    }
}

/// What a ring can hold.
pub(super) trait Count: Sized {
    /// As a ring keeps it.
    type Slot: Clone + Default;

    /// Adds to a slot; a slot that is full stays so.
    fn add_to(&self, slot: &mut Self::Slot);

    /// Adds what is in a slot.
    fn add(&mut self, slot: &Self::Slot);
}

/// Counts within one window.
pub(super) struct Ring<C: Count> {
    window: Window,
    slots: Box<[C::Slot]>,
    /// The number of the slot that was written last: its seconds since the start by what each stands for.
    last: u64,
}

impl<C: Count + Default> Ring<C> {
    /// One with nothing in it.
    pub(super) fn new(window: Window) -> Self {
        Self { window, slots: vec![C::Slot::default(); window.slots()].into(), last: 0 }
    }

    /// Adds what was counted so many seconds after the start, not before what was added last.
    pub(super) fn add(&mut self, now_s: u64, count: &C) {
        let now = now_s / self.window.slot_seconds();
        let stale = (now - self.last).min(self.slots.len() as u64);
        for slot in now - stale..now {
            *self.slot(slot + 1) = C::Slot::default();
        }
        self.last = now;
        count.add_to(self.slot(now));
    }

    fn slot(&mut self, number: u64) -> &mut C::Slot {
        let slots = self.slots.len() as u64;
        &mut self.slots[(number % slots) as usize]
    }

    /// All that was counted within the window that ends so many seconds after the start, not before what was added last.
    pub(super) fn sum(&self, now_s: u64) -> C {
        let slots = self.slots.len() as u64;
        let first = (now_s / self.window.slot_seconds() + 1).saturating_sub(slots);
        let mut sum = C::default();
        (first..=self.last).for_each(|slot| sum.add(&self.slots[(slot % slots) as usize]));
        sum
    }
}

/// Requests within each window.
pub(super) struct Rings([Ring<Requests>; Window::ALL.len()]);

impl Rings {
    pub(super) fn new() -> Self {
        Self(Window::ALL.map(Ring::new))
    }

    pub(super) fn add(&mut self, now_s: u64, requests: &Requests) {
        self.0.iter_mut().for_each(|ring| ring.add(now_s, requests));
    }

    pub(super) fn sum(&self, window: Window, now_s: u64) -> Requests {
        self.0[window as usize].sum(now_s)
    }
}

/// Requests in half of their size. Five minutes would have to see 14 million a second to fill it.
#[derive(Clone, Default)]
pub(super) struct RequestSlot {
    allowed: u32,
    denied: u32,
    failed: u32,
    degraded: u32,
    latencies: [u32; LATENCY_CLASSES],
}

impl Count for Requests {
    type Slot = RequestSlot;

    fn add_to(&self, slot: &mut RequestSlot) {
        grow(&mut slot.allowed, self.allowed);
        grow(&mut slot.denied, self.denied);
        grow(&mut slot.failed, self.failed);
        grow(&mut slot.degraded, self.degraded);
        slot.latencies.iter_mut().zip(self.latencies).for_each(|(count, more)| grow(count, more));
    }

    fn add(&mut self, slot: &RequestSlot) {
        Self::add(
            self,
            &Self {
                allowed: slot.allowed.into(),
                denied: slot.denied.into(),
                failed: slot.failed.into(),
                degraded: slot.degraded.into(),
                latencies: from_fn(|class| slot.latencies[class].into()),
            },
        );
    }
}

fn grow(count: &mut u32, more: u64) {
    *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
}

impl Count for Batches {
    type Slot = Self;

    fn add_to(&self, slot: &mut Self) {
        Self::add(slot, self);
    }

    fn add(&mut self, slot: &Self) {
        Self::add(self, slot);
    }
}
