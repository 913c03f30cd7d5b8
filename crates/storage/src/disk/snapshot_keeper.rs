//! The thread that saves and loads snapshots. It is apart from the log's, so that a large snapshot never delays a commit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::data_directory::DataDirectory;
use super::shared::{Part, Shared};
use super::snapshot_store::{SnapshotStore, StoreError};
use super::worker::StopSignal;
use super::{DiskOptions, Notice, OpenError};
use crate::{GroupId, Promise, Snapshot, StorageError, StorageHealth};

/// Requests that may wait, each with a snapshot in memory: twice the groups of a node. Beyond it callers get
/// [`StorageError::Overloaded`].
pub(super) const QUEUE_LIMIT: usize = 34;

/// How long the store stays open when nobody uses it: what sled holds in memory for it exceeds its cache by far.
const IDLE: Duration = Duration::from_millis(100);

/// What the keeper is asked to do.
#[derive(Debug)]
pub(super) enum SnapshotRequest {
    Save { group: GroupId, snapshot: Snapshot, promise: Promise },
    Load { group: GroupId, promise: Promise<Option<Snapshot>> },
}

impl SnapshotRequest {
    pub(super) fn reject(self, error: StorageError) {
        match self {
            Self::Save { promise, .. } => promise.resolve(Err(error)),
            Self::Load { promise, .. } => promise.resolve(Err(error)),
        }
    }
}

/// The snapshots that a data directory holds.
pub(super) struct OpenedSnapshots {
    pub(super) store: SnapshotStore,
    pub(super) generations: BTreeMap<GroupId, u64>,
    pub(super) notice: Option<Notice>,
}

/// Opens the snapshots. Those that do not open are moved aside: the log, or the peers, may be enough without them, and
/// that is for the caller to decide.
pub(super) fn open(directory: &DataDirectory, options: &DiskOptions) -> Result<OpenedSnapshots, OpenError> {
    let path = directory.state();
    match try_open(&path, options) {
        Ok((store, generations)) => Ok(OpenedSnapshots { store, generations, notice: None }),
        Err(StoreError::Damaged(reason)) => {
            let moved_to = directory.damaged_state();
            fs::rename(&path, &moved_to).map_err(|error| OpenError::from_io(&path, error))?;
            let (store, generations) = try_open(&path, options).map_err(|error| open_error(&path, error))?;
            let notice = Some(Notice::SnapshotsMovedAside { moved_to, reason });
            Ok(OpenedSnapshots { store, generations, notice })
        }
        Err(error) => Err(open_error(&path, error)),
    }
}

fn try_open(path: &Path, options: &DiskOptions) -> Result<(SnapshotStore, BTreeMap<GroupId, u64>), StoreError> {
    let mut store = SnapshotStore::open(path, options.snapshot_cache_bytes)?;
    let generations = store.generations()?;
    File::open(path)?.sync_all()?;
    Ok((store, generations))
}

fn open_error(path: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Full => OpenError::NoSpace { path: path.to_owned() },
        StoreError::Damaged(reason) => OpenError::Io { path: path.to_owned(), source: io::Error::other(reason) },
        StoreError::Io(error) => OpenError::from_io(path, error),
    }
}

/// The keeper, which owns the store.
pub(super) struct SnapshotKeeper<NoteSaved> {
    pub(super) store: SnapshotStore,
    pub(super) shared: Arc<Shared>,
    pub(super) retry_interval: Duration,
    /// Tells the log which generation was saved, so that its loss would be noticed.
    pub(super) note_saved: NoteSaved,
}

impl<NoteSaved: Fn(GroupId, u64)> SnapshotKeeper<NoteSaved> {
    /// Serves requests until their queue ends.
    pub(super) fn serve(mut self, requests: &Receiver<SnapshotRequest>, stop_signal: &StopSignal) {
        loop {
            // A closed store has nothing to be woken for.
            let request = if self.store.is_open() {
                requests.recv_timeout(IDLE)
            } else {
                requests.recv().map_err(RecvTimeoutError::from)
            };
            match request {
                Ok(SnapshotRequest::Save { group, snapshot, promise }) => {
                    promise.resolve(self.save(group, &snapshot, stop_signal));
                }
                Ok(SnapshotRequest::Load { group, promise }) => promise.resolve(self.load(group)),
                Err(RecvTimeoutError::Timeout) => self.store.close(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Saves the snapshot, for as long as it takes the disk to have space.
    fn save(&mut self, group: GroupId, snapshot: &Snapshot, stop_signal: &StopSignal) -> Result<(), StorageError> {
        loop {
            match self.store.save(group, snapshot) {
                Ok(generation) => {
                    self.shared.set_health(Part::Snapshots, StorageHealth::Healthy);
                    (self.note_saved)(group, generation);
                    return Ok(());
                }
                Err(error @ StoreError::Full) => {
                    self.shared.set_health(Part::Snapshots, StorageHealth::Full { reason: error.to_string() });
                }
                Err(error @ (StoreError::Damaged(_) | StoreError::Io(_))) => return Err(self.fail(group, &error)),
            }
            stop_signal.wait(self.retry_interval).map_err(|_| StorageError::Stopped)?;
        }
    }

    fn load(&mut self, group: GroupId) -> Result<Option<Snapshot>, StorageError> {
        self.store.load(group).map_err(|error| match error {
            StoreError::Damaged(reason) => StorageError::Damaged { group, reason },
            StoreError::Full | StoreError::Io(_) => self.fail(group, &error),
        })
    }

    fn fail(&self, group: GroupId, error: &StoreError) -> StorageError {
        let reason = format!("the snapshot of group {group}: {error}");
        self.shared.set_health(Part::Snapshots, StorageHealth::Failed { reason: reason.clone() });
        StorageError::Failed { reason }
    }
}
