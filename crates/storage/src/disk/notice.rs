//! What opening a data directory found and dealt with.

use std::path::PathBuf;

use thiserror::Error;

use crate::GroupId;

/// Something that an operator should know of, though the storage opened. Display says it in a sentence.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Notice {
    /// The last write was not finished when the process or machine stopped. It was never acknowledged.
    #[error("{}: removed {bytes} bytes at offset {offset}, left by a write that never finished", file.display())]
    UnfinishedWrite {
        /// The log file.
        file: PathBuf,
        /// Where the unfinished write began.
        offset: u64,
        /// How many bytes were removed.
        bytes: u64,
    },

    /// The snapshots could not be opened and were moved aside; the storage started with none.
    #[error("the snapshots could not be opened ({reason}); they were moved to {}", moved_to.display())]
    SnapshotsMovedAside {
        /// Where they are now.
        moved_to: PathBuf,
        /// Why they did not open.
        reason: String,
    },

    /// The log says that the group saved a snapshot, but it is gone or older than it should be.
    #[error("group {group}: the snapshot that was saved last is lost")]
    SnapshotLost {
        /// The group that lost it. Unless its log reaches back to the start, it must not vote on its own state.
        group: GroupId,
    },
}
