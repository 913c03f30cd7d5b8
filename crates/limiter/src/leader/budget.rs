//! The cap on buckets that a node holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the buckets of all shards on a node against one cap.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Arc<AtomicU64>,
    most: u64,
}

impl Budget {
    /// A budget of `most` buckets.
    pub fn new(most: u64) -> Self {
        Self { held: Arc::new(AtomicU64::new(0)), most }
    }

    /// Buckets held now, by all shards together.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most that may be held.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Whether another bucket may be held.
    pub(crate) fn has_room(&self) -> bool {
        self.held() < self.most
    }

    /// A shard that held `before` buckets now holds `now`.
    pub(crate) fn replace(&self, before: u64, now: u64) {
        self.held.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}
