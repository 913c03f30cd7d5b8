//! What can be written to the logs in one step.

use crate::{GroupId, MetadataKey};

/// Operations on the logs of one or more groups that take effect together or not at all, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    operations: Vec<(GroupId, Operation)>,
}

/// One step on the log of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Entries with the indexes `first_index..`.
    Append { first_index: u64, entries: Vec<Vec<u8>> },
    /// Removes the entries at `index` and beyond.
    TruncateFrom { index: u64 },
    /// Removes the entries up to `index`, itself included.
    PurgeTo { index: u64 },
    /// Replaces the value of `key`.
    PutMetadata { key: MetadataKey, value: Vec<u8> },
    /// Remembers beside the log that a snapshot was saved, so that its loss is noticed.
    SnapshotSaved { generation: u64 },
}

impl Operation {
    /// Whether the batch must reach the disk soon. What is not urgent costs no write of its own: see `disk::log_writer`.
    pub(crate) fn carries_entries(&self) -> bool {
        match self {
            Self::Append { .. } => true,
            Self::TruncateFrom { .. }
            | Self::PurgeTo { .. }
            | Self::PutMetadata { .. }
            | Self::SnapshotSaved { .. } => false,
        }
    }

    fn payload_bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(|entry| entry.len() + ENTRY_OVERHEAD_BYTES).sum(),
            Self::PutMetadata { value, .. } => value.len(),
            Self::TruncateFrom { .. } | Self::PurgeTo { .. } | Self::SnapshotSaved { .. } => 0,
        }
    }
}

/// What an entry needs beside its bytes: its index, its place and its framing.
const ENTRY_OVERHEAD_BYTES: usize = 24;
/// What an operation needs beside its payload.
const OPERATION_OVERHEAD_BYTES: usize = 32;

impl LogBatch {
    /// A batch without operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds entries with the indexes `first_index`, `first_index + 1`, …
    ///
    /// They must continue the log of the group; only an empty log takes them at any index that was not purged. To
    /// overwrite entries, truncate first. No entries is no operation.
    pub fn append(&mut self, group: GroupId, first_index: u64, entries: Vec<Vec<u8>>) -> &mut Self {
        if entries.is_empty() {
            return self;
        }
        self.push(group, Operation::Append { first_index, entries })
    }

    /// Removes the entries at `index` and beyond. Beyond the end of the log it does nothing.
    pub fn truncate_from(&mut self, group: GroupId, index: u64) -> &mut Self {
        self.push(group, Operation::TruncateFrom { index })
    }

    /// Removes the entries up to and including `index`, which may lie beyond the end of the log (after a snapshot was
    /// installed): the next append then starts at `index + 1` or later.
    pub fn purge_to(&mut self, group: GroupId, index: u64) -> &mut Self {
        self.push(group, Operation::PurgeTo { index })
    }

    /// Replaces the value that is kept for `key` beside the log.
    pub fn put_metadata(&mut self, group: GroupId, key: MetadataKey, value: Vec<u8>) -> &mut Self {
        self.push(group, Operation::PutMetadata { key, value })
    }

    /// Whether nothing would be done.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// About how many bytes the batch takes in memory and on disk; never less than its payload.
    pub fn approximate_bytes(&self) -> usize {
        let payload: usize = self.operations.iter().map(|(_, operation)| operation.payload_bytes()).sum();
        payload + self.operations.len() * OPERATION_OVERHEAD_BYTES
    }

    pub(crate) fn snapshot_saved(group: GroupId, generation: u64) -> Self {
        Self { operations: vec![(group, Operation::SnapshotSaved { generation })] }
    }

    pub(crate) fn operations(&self) -> &[(GroupId, Operation)] {
        &self.operations
    }

    pub(crate) fn into_operations(self) -> Vec<(GroupId, Operation)> {
        self.operations
    }

    pub(crate) fn carries_entries(&self) -> bool {
        self.operations.iter().any(|(_, operation)| operation.carries_entries())
    }

    fn push(&mut self, group: GroupId, operation: Operation) -> &mut Self {
        self.operations.push((group, operation));
        self
    }
}
