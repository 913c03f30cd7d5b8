//! What is known of every log without asking the disk: bounds, metadata and the newest entries.
//!
//! Raft reads an entry back right after it was committed, to apply it. The newest entries are therefore kept in memory,
//! and the disk is read only by a replica that lags or starts.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Range, RangeInclusive};

use crate::batch::Operation;
use crate::log_bounds::LogBounds;
use crate::{GroupId, LogBatch, MetadataKey, StorageError};

/// The logs of all groups, as readers see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogView {
    groups: BTreeMap<GroupId, GroupView>,
}

/// The log of one group, as readers see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupView {
    pub(crate) bounds: LogBounds,
    pub(crate) metadata: BTreeMap<MetadataKey, Vec<u8>>,
    /// The entries that end at `bounds.next`, fewer than [`TAIL_LIMIT_BYTES`] together or just one.
    tail: VecDeque<Vec<u8>>,
    tail_bytes: usize,
}

/// Bytes of newest entries kept per group: hundreds of commits of a busy shard, and about 1 MiB over 17 groups.
const TAIL_LIMIT_BYTES: usize = 64 * 1024;

impl LogView {
    pub(crate) fn insert(&mut self, group: GroupId, view: GroupView) {
        self.groups.insert(group, view);
    }

    pub(crate) fn indexes(&self, group: GroupId) -> Option<RangeInclusive<u64>> {
        self.bounds(group).indexes()
    }

    pub(crate) fn bounds(&self, group: GroupId) -> LogBounds {
        self.groups.get(&group).map(|view| view.bounds).unwrap_or_default()
    }

    pub(crate) fn all_bounds(&self) -> BTreeMap<GroupId, LogBounds> {
        self.groups.iter().map(|(group, view)| (*group, view.bounds)).collect()
    }

    pub(crate) fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>> {
        self.groups.get(&group)?.metadata.get(&key).cloned()
    }

    /// The entries of `range` when all that the log has of it is in memory.
    pub(crate) fn recent_entries(&self, group: GroupId, range: &Range<u64>) -> Option<Vec<(u64, Vec<u8>)>> {
        match self.groups.get(&group) {
            Some(view) => view.recent_entries(range),
            None => Some(Vec::new()),
        }
    }

    /// Shows what `batch` did. It must have been [checked](check) against these bounds.
    pub(crate) fn apply(&mut self, batch: LogBatch) {
        for (group, operation) in batch.into_operations() {
            self.groups.entry(group).or_default().apply(operation);
        }
    }
}

impl GroupView {
    pub(crate) fn new(bounds: LogBounds, metadata: BTreeMap<MetadataKey, Vec<u8>>) -> Self {
        Self { bounds, metadata, ..Self::default() }
    }

    fn recent_entries(&self, range: &Range<u64>) -> Option<Vec<(u64, Vec<u8>)>> {
        let range = self.bounds.clamp(range);
        if range.is_empty() {
            return Some(Vec::new());
        }
        let tail_start = self.bounds.next - self.tail.len() as u64;
        let skipped = usize::try_from(range.start.checked_sub(tail_start)?).ok()?;
        Some(range.zip(self.tail.iter().skip(skipped).cloned()).collect())
    }

    fn apply(&mut self, operation: Operation) {
        let old = self.bounds;
        self.bounds = old.after(&operation).expect("batches are checked before they are applied");
        match operation {
            Operation::Append { entries, .. } => entries.into_iter().for_each(|entry| self.push(entry)),
            Operation::TruncateFrom { .. } => self.drop_newest(old.next - self.bounds.next),
            Operation::PurgeTo { .. } => self.drop_purged(),
            Operation::PutMetadata { key, value } => drop(self.metadata.insert(key, value)),
            Operation::SnapshotSaved { .. } => {}
        }
        debug_assert!(self.tail.len() as u64 <= self.bounds.next - self.bounds.first, "the tail is part of the log");
    }

    fn push(&mut self, entry: Vec<u8>) {
        self.tail_bytes += entry.len();
        self.tail.push_back(entry);
        while self.tail_bytes > TAIL_LIMIT_BYTES && self.tail.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.tail_bytes -= self.tail.pop_front().map_or(0, |entry| entry.len());
    }

    fn drop_newest(&mut self, count: u64) {
        let kept = (self.tail.len() as u64).saturating_sub(count);
        while self.tail.len() as u64 > kept {
            self.tail_bytes -= self.tail.pop_back().map_or(0, |entry| entry.len());
        }
    }

    fn drop_purged(&mut self) {
        while self.tail.len() as u64 > self.bounds.next - self.bounds.first {
            self.drop_oldest();
        }
    }
}

/// Whether all operations of `batch` fit the logs with these bounds; if so the bounds become those after it, else they
/// stay.
///
/// # Errors
/// [`StorageError::Conflict`] for the first operation that does not fit.
pub(crate) fn check(bounds: &mut BTreeMap<GroupId, LogBounds>, batch: &LogBatch) -> Result<(), StorageError> {
    let mut changed = BTreeMap::new();
    for (group, operation) in batch.operations() {
        let current = changed.get(group).or_else(|| bounds.get(group)).copied().unwrap_or_default();
        let after = current.after(operation).map_err(|conflict| StorageError::Conflict { group: *group, conflict })?;
        changed.insert(*group, after);
    }
    bounds.append(&mut changed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn view_after(build: impl FnOnce(&mut LogBatch)) -> LogView {
        let mut batch = LogBatch::new();
        build(&mut batch);
        let mut view = LogView::default();
        check(&mut view.all_bounds(), &batch).expect("the batch fits");
        view.apply(batch);
        view
    }

    fn indexes(entries: Option<Vec<(u64, Vec<u8>)>>) -> Option<Vec<u64>> {
        entries.map(|entries| entries.into_iter().map(|(index, _)| index).collect())
    }

    #[test]
    fn newest_entries_need_no_disk_and_old_ones_do() {
        let view = view_after(|batch| {
            batch.append(GROUP, 1, vec![vec![7; TAIL_LIMIT_BYTES / 4]; 10]);
        });
        assert_eq!(indexes(view.recent_entries(GROUP, &(8..11))), Some(vec![8, 9, 10]));
        assert_eq!(indexes(view.recent_entries(GROUP, &(7..99))), Some(vec![7, 8, 9, 10]));
        assert_eq!(indexes(view.recent_entries(GROUP, &(6..8))), None);
    }

    #[test]
    fn the_tail_follows_truncation_and_purge() {
        let view = view_after(|batch| {
            let entries = (1..=6).map(|index| vec![index]).collect();
            batch.append(GROUP, 1, entries).truncate_from(GROUP, 5).append(GROUP, 5, vec![vec![55]]).purge_to(GROUP, 3);
        });
        assert_eq!(view.recent_entries(GROUP, &(0..9)), Some(vec![(4, vec![4]), (5, vec![55])]));
    }

    #[test]
    fn a_batch_that_does_not_fit_changes_no_bounds() {
        let mut bounds = view_after(|batch| {
            batch.append(GROUP, 1, vec![vec![0]]);
        })
        .all_bounds();
        let before = bounds.clone();
        let mut batch = LogBatch::new();
        batch.append(GroupId(2), 1, vec![vec![0]]).append(GROUP, 9, vec![vec![0]]);
        assert!(matches!(check(&mut bounds, &batch), Err(StorageError::Conflict { group: GROUP, .. })));
        assert_eq!(bounds, before);
    }
}
