//! The seam between Raft and the disk.

use std::ops::{Range, RangeInclusive};

#[cfg(doc)]
use crate::StorageError;
use crate::{Completion, GroupId, LogBatch, MetadataKey, Snapshot, StorageHealth};

/// What a node keeps: for each Raft group a log, some metadata and one snapshot.
///
/// One storage serves all groups of a node. Methods never block on the disk: what needs it returns a [`Completion`] and
/// has been started, in order, when the method returns. Every implementation passes [`contract`](crate::contract).
///
/// - A batch is atomic: after a crash it is there as a whole or not at all.
/// - Log writes are prefix-durable: when a batch survived a crash, so did all batches that were written before it.
/// - What a resolved [`sync`](Self::sync) or [`save_snapshot`](Self::save_snapshot) covered survives any crash.
pub trait Storage: Send + Sync + 'static {
    /// Writes `batch` behind every earlier write. It can be read when the completion resolves, but is durable only after
    /// a later [`sync`](Self::sync). On a full disk it waits.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] or [`StorageError::TooLarge`] when the batch does not fit, and then nothing of it was
    /// done; [`StorageError::Overloaded`] likewise; [`StorageError::Failed`] once the disk has failed.
    fn write(&self, batch: LogBatch) -> Completion;

    /// A barrier: what was written before this call is durable when the completion resolves.
    ///
    /// # Errors
    /// [`StorageError::Failed`] or [`StorageError::Overloaded`]: nothing is known about what was written since the last
    /// sync.
    fn sync(&self) -> Completion;

    /// The entries of `range` that the log has, in order, each with its index.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when an entry cannot be read back; [`StorageError::Overloaded`].
    fn entries(&self, group: GroupId, range: Range<u64>) -> Completion<Vec<(u64, Vec<u8>)>>;

    /// The first and last index in the log, or `None` when it is empty.
    fn log_bounds(&self, group: GroupId) -> Option<RangeInclusive<u64>>;

    /// The value kept for `key`, or `None` when none was ever put.
    fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>>;

    /// Replaces the snapshot of the group. The new one is durable when the completion resolves; until then, and after a
    /// crash before then, the old one is whole. On a full disk it waits.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`], [`StorageError::Failed`]: the old snapshot is still there.
    fn save_snapshot(&self, group: GroupId, snapshot: Snapshot) -> Completion;

    /// The snapshot that was saved last, or `None` when none was ever saved.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when it cannot be read back whole; [`StorageError::Failed`],
    /// [`StorageError::Overloaded`].
    fn load_snapshot(&self, group: GroupId) -> Completion<Option<Snapshot>>;

    /// Groups whose old entries keep the log from shrinking: each should take a snapshot and purge its log. Never wrong
    /// to ignore for a while; then the storage copies the entries, which costs writes.
    fn groups_to_purge(&self) -> Vec<GroupId>;

    /// Whether writes go through now.
    fn health(&self) -> StorageHealth;
}
