//! Counters that threads do not take from each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Copies of each counter. With more threads than that some share one, which costs time and loses nothing.
const STRIPES: usize = 8;

/// Something that is there once for each of a few groups of threads, so that two threads seldom write to one line of a cache.
#[derive(Default)]
pub(super) struct Striped<T>([Padded<T>; STRIPES]);

/// Two lines of a cache, because processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> Striped<T> {
    /// The copy of the calling thread.
    pub(super) fn mine(&self) -> &T {
        &self.0[stripe()].0
    }

    /// All copies.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}

/// Which copy the calling thread uses: threads take them in turn when they first ask.
fn stripe() -> usize {
    const UNKNOWN: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(UNKNOWN) };
    }
    STRIPE.with(|known| {
        if known.get() == UNKNOWN {
            known.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        known.get()
    })
}
