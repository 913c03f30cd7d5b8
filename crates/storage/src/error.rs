//! Why a storage operation failed. A full disk is not among the reasons: writes wait for space (see [`StorageHealth`]).
//!
//! [`StorageHealth`]: crate::StorageHealth

use thiserror::Error;

use crate::GroupId;

/// Why an operation on an open storage failed.
///
/// Only the local replica sees these, never the whole group, so none may be turned into an answer that other replicas
/// would not give. [`Conflict`](Self::Conflict) and [`TooLarge`](Self::TooLarge) are mistakes of the caller;
/// [`Failed`](Self::Failed), [`Damaged`](Self::Damaged) and [`Stopped`](Self::Stopped) end the replica.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StorageError {
    /// The batch does not fit the log as it is. Nothing of the batch was written.
    #[error("group {group}: {conflict}")]
    Conflict {
        /// The group whose log it does not fit.
        group: GroupId,
        /// What does not fit.
        conflict: LogConflict,
    },

    /// The batch is larger than a batch may be. Nothing of it was written.
    #[error("a batch of {bytes} bytes is larger than the {limit_bytes} bytes that a batch may have")]
    TooLarge {
        /// Size of the batch.
        bytes: usize,
        /// Largest size allowed.
        limit_bytes: usize,
    },

    /// As much waits for the disk as may wait; nothing of this operation was done.
    #[error("the storage queue is full: {waiting_bytes} bytes wait for the disk")]
    Overloaded {
        /// Bytes that wait.
        waiting_bytes: usize,
    },

    /// The disk failed in a way after which nothing more can be promised. It stays so until the node restarts.
    #[error("the storage has failed and takes no more operations until a restart: {reason}")]
    Failed {
        /// What failed, for a person.
        reason: String,
    },

    /// Stored data cannot be read back as it was written.
    #[error("group {group}: stored data is damaged: {reason}")]
    Damaged {
        /// The group whose data it is.
        group: GroupId,
        /// What is damaged, for a person.
        reason: String,
    },

    /// The storage was closed before the operation was answered; whether it took place is unknown.
    #[error("the storage was closed before it answered")]
    Stopped,
}

/// How a batch does not fit a log.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LogConflict {
    /// The log has entries, and the append does not start right behind them.
    #[error("an append at index {first_index} does not continue the log, whose next index is {next_index}")]
    NotNext {
        /// Where the append starts.
        first_index: u64,
        /// Where it would have to start.
        next_index: u64,
    },

    /// The log is empty and the append starts among the indexes that were purged.
    #[error("an append at index {first_index} lies before index {first_allowed}, up to which the log was purged")]
    Purged {
        /// Where the append starts.
        first_index: u64,
        /// The first index that was not purged.
        first_allowed: u64,
    },

    /// An index would not fit in 64 bits.
    #[error("an append of {count} entries at index {first_index} exceeds the largest index")]
    IndexOverflow {
        /// Where the append starts.
        first_index: u64,
        /// How many entries it has.
        count: usize,
    },
}
