//! Sizes and delays of the production engine.

use std::time::Duration;

/// How [`DiskStorage`](crate::DiskStorage) uses disk and memory. The defaults suit a node; tests take smaller ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Size of one log file, in bytes. A log file is closed when it is larger than this.
    pub log_file_bytes: u64,

    /// Log size in bytes beyond which old files are given up. At least `log_file_bytes`. Half of it again is prepared in
    /// advance, so that a synced append overwrites blocks that exist rather than growing a file.
    ///
    /// With the defaults the log takes at most 24 MiB in files of its own, and up to 4 MiB and the entries that groups
    /// do not purge in files of copies.
    pub log_reclaim_bytes: u64,

    /// Memory for reading snapshots, in bytes. Snapshots are read whole and rarely, so a cache has little to win.
    pub snapshot_cache_bytes: u64,

    /// How long a full disk is left alone before the waiting write is tried again.
    pub retry_interval: Duration,

    /// How long a write that carries no entries may wait for one that does, when nobody asks for a sync: Raft records
    /// after each commit how far it has committed, and that is not worth a disk write of its own.
    pub linger: Duration,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            log_file_bytes: 4 << 20,
            log_reclaim_bytes: 16 << 20,
            snapshot_cache_bytes: 1 << 20,
            retry_interval: Duration::from_millis(100),
            linger: Duration::from_millis(20),
        }
    }
}
