//! What nodes measured, on its way to whoever looks at it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tollgate_feedback::sample::Sample;

use crate::consensus::NodeId;
use crate::meta::MAX_NODES;

/// The most samples that wait: a minute's of this node while nobody leads group 0, and a few seconds' of all others. One more drives
/// out the oldest.
const MAX_WAITING: usize = 60 + 4 * MAX_NODES;

/// A node's sample, and when it was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) node: NodeId,
    pub(crate) sample: Sample,
    pub(crate) at: Instant,
}

/// Samples that wait to be looked at, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<VecDeque<Taken>>);

impl Samples {
    /// Adds one that was taken so long ago.
    pub(crate) fn add(&self, node: NodeId, sample: Sample, age_ms: u64) {
        let now = Instant::now();
        let at = now.checked_sub(std::time::Duration::from_millis(age_ms)).unwrap_or(now);
        self.put([Taken { node, sample, at }]);
    }

    /// Adds some, behind those that wait.
    pub(crate) fn put(&self, taken: impl IntoIterator<Item = Taken>) {
        let mut waiting = self.waiting();
        for taken in taken {
            if waiting.len() >= MAX_WAITING {
                waiting.pop_front();
            }
            waiting.push_back(taken);
        }
    }

    /// Takes all that wait.
    pub(crate) fn take(&self) -> VecDeque<Taken> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Taken>> {
        // Whoever panicked while it was held has left a queue that is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
