//! What the threads of a storage and its callers share.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log_view::LogView;
use crate::{GroupId, StorageError, StorageHealth};

/// Every lock is held for a copy, never across a disk operation, and never two at once.
#[derive(Debug)]
pub(super) struct Shared {
    view: Mutex<LogView>,
    groups_to_purge: Mutex<BTreeSet<GroupId>>,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    log: StorageHealth,
    snapshots: StorageHealth,
}

/// What has a health of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Log,
    Snapshots,
}

impl Shared {
    pub(super) fn new(view: LogView) -> Self {
        let health = Health { log: StorageHealth::Healthy, snapshots: StorageHealth::Healthy };
        Self { view: Mutex::new(view), groups_to_purge: Mutex::default(), health: Mutex::new(health) }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, LogView> {
        lock(&self.view)
    }

    pub(super) fn groups_to_purge(&self) -> MutexGuard<'_, BTreeSet<GroupId>> {
        lock(&self.groups_to_purge)
    }

    /// The worse of the two parts.
    pub(super) fn health(&self) -> StorageHealth {
        let health = lock(&self.health);
        match (&health.log, &health.snapshots) {
            (StorageHealth::Failed { .. }, _) | (StorageHealth::Full { .. }, StorageHealth::Healthy) => &health.log,
            (_, snapshots @ (StorageHealth::Failed { .. } | StorageHealth::Full { .. })) => snapshots,
            (StorageHealth::Healthy, StorageHealth::Healthy) => &health.log,
        }
        .clone()
    }

    /// Reports a change of health, once: a part that stays as it is is not reported again.
    pub(super) fn set_health(&self, part: Part, new: StorageHealth) {
        let mut health = lock(&self.health);
        let current = health.part(part);
        if *current == new {
            return;
        }
        match &new {
            StorageHealth::Healthy => tracing::info!(?part, "the storage goes on"),
            StorageHealth::Full { reason } => tracing::warn!(?part, reason, "the disk is full; writes wait"),
            StorageHealth::Failed { reason } => tracing::error!(?part, reason, "the storage has failed"),
        }
        *current = new;
    }

    /// Why `part` takes no more operations.
    pub(super) fn refusal(&self, part: Part) -> StorageError {
        match lock(&self.health).part(part) {
            StorageHealth::Failed { reason } => StorageError::Failed { reason: reason.clone() },
            StorageHealth::Healthy | StorageHealth::Full { .. } => StorageError::Stopped,
        }
    }
}

impl Health {
    fn part(&mut self, part: Part) -> &mut StorageHealth {
        match part {
            Part::Log => &mut self.log,
            Part::Snapshots => &mut self.snapshots,
        }
    }
}

/// The values are replaced whole, so a panic while one was locked leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
