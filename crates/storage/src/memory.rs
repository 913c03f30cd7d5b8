//! Storage without a disk: for tests, and for nodes that may forget everything.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Operation;
use crate::log_view::{self, LogView};
use crate::{Completion, GroupId, LogBatch, MetadataKey, Snapshot, Storage, StorageError, StorageHealth};

/// A [`Storage`] in memory. Clones are the same storage, so keeping one outlives a node that is restarted.
///
/// It has no bound of its own: it holds what its groups have not purged.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    view: LogView,
    entries: BTreeMap<(GroupId, u64), Vec<u8>>,
    snapshots: BTreeMap<GroupId, Snapshot>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another storage with what this one has now; from here on each goes its own way.
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, batch: LogBatch) -> Result<(), StorageError> {
        log_view::check(&mut self.view.all_bounds(), &batch)?;
        for (group, operation) in batch.operations() {
            self.apply(*group, operation);
        }
        self.view.apply(batch);
        Ok(())
    }

    fn apply(&mut self, group: GroupId, operation: &Operation) {
        match operation {
            Operation::Append { first_index, entries } => {
                let indexes = (*first_index..).map(|index| (group, index));
                self.entries.extend(indexes.zip(entries.iter().cloned()));
            }
            Operation::TruncateFrom { index } => self.remove((group, *index)..=(group, u64::MAX)),
            Operation::PurgeTo { index } => self.remove((group, 0)..=(group, *index)),
            Operation::PutMetadata { .. } | Operation::SnapshotSaved { .. } => {}
        }
    }

    fn remove(&mut self, range: RangeInclusive<(GroupId, u64)>) {
        self.entries.extract_if(range, |_, _| true).for_each(drop);
    }

    fn entries(&self, group: GroupId, range: &Range<u64>) -> Vec<(u64, Vec<u8>)> {
        let range = self.view.bounds(group).clamp(range);
        let stored = self.entries.range((group, range.start)..(group, range.end));
        stored.map(|((_, index), entry)| (*index, entry.clone())).collect()
    }
}

impl Storage for MemoryStorage {
    fn write(&self, batch: LogBatch) -> Completion {
        Completion::ready(self.lock().write(batch))
    }

    fn sync(&self) -> Completion {
        Completion::ready(Ok(()))
    }

    fn entries(&self, group: GroupId, range: Range<u64>) -> Completion<Vec<(u64, Vec<u8>)>> {
        Completion::ready(Ok(self.lock().entries(group, &range)))
    }

    fn log_bounds(&self, group: GroupId) -> Option<RangeInclusive<u64>> {
        self.lock().view.indexes(group)
    }

    fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>> {
        self.lock().view.metadata(group, key)
    }

    fn save_snapshot(&self, group: GroupId, snapshot: Snapshot) -> Completion {
        self.lock().snapshots.insert(group, snapshot);
        Completion::ready(Ok(()))
    }

    fn load_snapshot(&self, group: GroupId) -> Completion<Option<Snapshot>> {
        Completion::ready(Ok(self.lock().snapshots.get(&group).cloned()))
    }

    fn groups_to_purge(&self) -> Vec<GroupId> {
        Vec::new()
    }

    fn health(&self) -> StorageHealth {
        StorageHealth::Healthy
    }
}
