//! The production storage: what callers hold, and how it is opened and closed.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::data_directory::DataDirectory;
use super::log_engine::{LogEngine, RecoveredLog};
use super::log_reader::{self, ReadRequest};
use super::log_writer::{self, LogRequest, LogWriter};
use super::shared::{Part, Shared};
use super::snapshot_keeper::{self, OpenedSnapshots, SnapshotKeeper, SnapshotRequest};
use super::worker::Worker;
use super::{DiskOptions, Notice, OpenError};
use crate::log_view::{GroupView, LogView};
use crate::{Completion, GroupId, LogBatch, MetadataKey, Snapshot, Storage, StorageError, StorageHealth};

/// A [`Storage`] in a directory.
///
/// Dropping it writes what is queued, unless the disk is full, and waits for its threads.
#[derive(Debug)]
pub struct DiskStorage {
    // In the order in which they end: saving a snapshot notes it in the log, and the lock goes last.
    snapshots: Worker<SnapshotRequest>,
    reader: Worker<ReadRequest>,
    log: Arc<LogQueue>,
    shared: Arc<Shared>,
    snapshot_lost: bool,
    _directory: DataDirectory,
}

/// The way to the log writer.
#[derive(Debug)]
struct LogQueue {
    writer: Worker<LogRequest>,
    waiting_bytes: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl DiskStorage {
    /// Opens the directory at `path`, or makes it when it does not exist or is empty. Blocks on the disk: some
    /// milliseconds for an empty directory, and the time it takes to read the log (at most 24 MiB by default) for a used
    /// one.
    ///
    /// The notices tell what was found and dealt with; the caller decides whether it can go on.
    ///
    /// # Errors
    /// See [`OpenError`]; acknowledged data that is damaged is refused, never skipped.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<(Self, Vec<Notice>), OpenError> {
        let directory = DataDirectory::open(path)?;
        let (engine, recovered) = LogEngine::open(&directory.log(), options)?;
        let opened = snapshot_keeper::open(&directory, options)?;
        let mut notices = recovered.notices.clone();
        notices.extend(opened.notice.clone());
        notices.extend(lost_snapshots(&recovered, &opened.generations));
        let snapshot_lost = notices.iter().any(|notice| matches!(notice, Notice::SnapshotLost { .. }));
        let parts = Parts { directory, engine, recovered, opened, options: options.clone(), snapshot_lost };
        let storage = parts.start().map_err(|error| OpenError::from_io(path, error))?;
        Ok((storage, notices))
    }

    /// Whether a group saved a snapshot that is gone or older than it should be. Such a group may only go on with its own
    /// state if its log reaches back to the start; else it must be rebuilt from its peers.
    pub fn snapshot_lost(&self) -> bool {
        self.snapshot_lost
    }
}

/// A group whose snapshot is older than the log remembers.
fn lost_snapshots(log: &RecoveredLog, generations: &BTreeMap<GroupId, u64>) -> Vec<Notice> {
    let groups = log.groups.iter();
    let lost = groups.filter(|(group, stored)| stored.snapshot_generation > generations.get(group).copied());
    lost.map(|(group, _)| Notice::SnapshotLost { group: *group }).collect()
}

/// What was opened, and does not run yet.
struct Parts {
    directory: DataDirectory,
    engine: LogEngine,
    recovered: RecoveredLog,
    opened: OpenedSnapshots,
    options: DiskOptions,
    snapshot_lost: bool,
}

impl Parts {
    fn start(self) -> io::Result<DiskStorage> {
        let shared = Arc::new(Shared::new(view_of(&self.recovered)));
        let engine = Arc::new(self.engine);
        let retry_interval = self.options.retry_interval;
        let log = start_writer(&engine, &shared, self.options, self.recovered.next_record)?;
        let reader = start_reader(engine, &shared)?;
        let snapshots = start_keeper(self.opened, &log, &shared, retry_interval)?;
        let snapshot_lost = self.snapshot_lost;
        Ok(DiskStorage { snapshots, reader, log, shared, snapshot_lost, _directory: self.directory })
    }
}

fn view_of(recovered: &RecoveredLog) -> LogView {
    let mut view = LogView::default();
    for (group, stored) in &recovered.groups {
        view.insert(*group, GroupView::new(stored.bounds, stored.metadata.clone()));
    }
    view
}

fn start_writer(
    engine: &Arc<LogEngine>,
    shared: &Arc<Shared>,
    options: DiskOptions,
    next_record: u64,
) -> io::Result<Arc<LogQueue>> {
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let writer = LogWriter {
        engine: Arc::clone(engine),
        shared: Arc::clone(shared),
        options,
        waiting_bytes: Arc::clone(&waiting_bytes),
        next_record,
    };
    let serve = |requests, stop_signal| writer.serve(requests, stop_signal);
    let writer = Worker::start("tollgate-log", log_writer::QUEUE_LIMIT, Part::Log, Arc::clone(shared), serve)?;
    Ok(Arc::new(LogQueue { writer, waiting_bytes, shared: Arc::clone(shared) }))
}

fn start_reader(engine: Arc<LogEngine>, shared: &Arc<Shared>) -> io::Result<Worker<ReadRequest>> {
    let view = Arc::clone(shared);
    let serve = move |requests, _| log_reader::serve(&engine, &view, requests);
    Worker::start("tollgate-read", log_reader::QUEUE_LIMIT, Part::Log, Arc::clone(shared), serve)
}

fn start_keeper(
    opened: OpenedSnapshots,
    log: &Arc<LogQueue>,
    shared: &Arc<Shared>,
    retry_interval: std::time::Duration,
) -> io::Result<Worker<SnapshotRequest>> {
    let log = Arc::clone(log);
    // The note is not waited for: without it a lost snapshot would go unnoticed, and no more.
    let note_saved = move |group, generation| drop(log.write(LogBatch::snapshot_saved(group, generation)));
    let keeper = SnapshotKeeper { store: opened.store, shared: Arc::clone(shared), retry_interval, note_saved };
    let serve = move |requests, stop_signal| keeper.serve(&requests, &stop_signal);
    Worker::start("tollgate-snap", snapshot_keeper::QUEUE_LIMIT, Part::Snapshots, Arc::clone(shared), serve)
}

impl LogQueue {
    fn write(&self, batch: LogBatch) -> Completion {
        let bytes = batch.approximate_bytes();
        if bytes > log_writer::BATCH_LIMIT_BYTES {
            let limit_bytes = log_writer::BATCH_LIMIT_BYTES;
            return Completion::ready(Err(StorageError::TooLarge { bytes, limit_bytes }));
        }
        let (promise, completion) = Completion::pending();
        self.send(LogRequest::Write { batch, promise });
        completion
    }

    fn sync(&self) -> Completion {
        let (promise, completion) = Completion::pending();
        self.send(LogRequest::Sync { promise });
        completion
    }

    fn send(&self, request: LogRequest) {
        let bytes = request.bytes();
        let waiting_bytes = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting_bytes + bytes > log_writer::QUEUE_LIMIT_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return request.reject(StorageError::Overloaded { waiting_bytes });
        }
        if let Err((request, refusal)) = self.writer.send(request) {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            request.reject(refusal.to_error(Part::Log, &self.shared, waiting_bytes));
        }
    }
}

impl Storage for DiskStorage {
    fn write(&self, batch: LogBatch) -> Completion {
        self.log.write(batch)
    }

    fn sync(&self) -> Completion {
        self.log.sync()
    }

    fn entries(&self, group: GroupId, range: Range<u64>) -> Completion<Vec<(u64, Vec<u8>)>> {
        if let Some(entries) = self.shared.view().recent_entries(group, &range) {
            return Completion::ready(Ok(entries));
        }
        let (promise, completion) = Completion::pending();
        if let Err((request, refusal)) = self.reader.send(ReadRequest { group, range, promise }) {
            request.promise.resolve(Err(refusal.to_error(Part::Log, &self.shared, 0)));
        }
        completion
    }

    fn log_bounds(&self, group: GroupId) -> Option<RangeInclusive<u64>> {
        self.shared.view().indexes(group)
    }

    fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>> {
        self.shared.view().metadata(group, key)
    }

    fn save_snapshot(&self, group: GroupId, snapshot: Snapshot) -> Completion {
        let (promise, completion) = Completion::pending();
        self.send_snapshot(SnapshotRequest::Save { group, snapshot, promise });
        completion
    }

    fn load_snapshot(&self, group: GroupId) -> Completion<Option<Snapshot>> {
        let (promise, completion) = Completion::pending();
        self.send_snapshot(SnapshotRequest::Load { group, promise });
        completion
    }

    fn groups_to_purge(&self) -> Vec<GroupId> {
        self.shared.groups_to_purge().iter().copied().collect()
    }

    fn health(&self) -> StorageHealth {
        self.shared.health()
    }
}

impl DiskStorage {
    fn send_snapshot(&self, request: SnapshotRequest) {
        if let Err((request, refusal)) = self.snapshots.send(request) {
            request.reject(refusal.to_error(Part::Snapshots, &self.shared, 0));
        }
    }
}
