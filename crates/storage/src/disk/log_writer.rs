//! The one thread that writes the log.
//!
//! All that waits when the disk becomes free goes into one record with one sync, whichever groups it is for. Each record
//! is synced before the next is begun: a sync costs the same with or without a caller that waits for it, and a log of
//! which only the last record can be unfinished is one whose damage can be told (see `log_scan`).
//!
//! Writes that carry no entries and have no sync behind them would double the number of records, because Raft notes how
//! far it has committed after each commit. They are shown and acknowledged at once, as an unsynced write may be, and
//! linger until the next record takes them along, or until nothing else has come for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::DiskOptions;
use super::log_engine::{LogEngine, WriteError};
use super::shared::{Part, Shared};
use super::worker::{StopSignal, Stopping};
use crate::log_bounds::LogBounds;
use crate::{GroupId, LogBatch, Promise, StorageError, StorageHealth, log_view};

/// Requests that may wait: a node has 17 groups, each with a few writes in flight, so this is never met in health.
/// Beyond it callers get [`StorageError::Overloaded`].
pub(super) const QUEUE_LIMIT: usize = 4096;
/// Bytes that may wait, likewise.
pub(super) const QUEUE_LIMIT_BYTES: usize = 64 << 20;
/// The largest batch. Larger than any record that Raft proposes, and small enough that the disk is not held for long.
pub(super) const BATCH_LIMIT_BYTES: usize = 16 << 20;
/// A record takes no more batches once it has this part of a log file, so that files stay near their size and a long queue
/// is acknowledged bit by bit.
const RECORDS_PER_FILE: u64 = 4;
/// Batches that linger at most, whatever keeps coming.
const LINGER_LIMIT: usize = 256;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum LogRequest {
    Write { batch: LogBatch, promise: Promise },
    Sync { promise: Promise },
}

impl LogRequest {
    /// About the bytes that it holds while it waits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Write { batch, .. } => batch.approximate_bytes(),
            Self::Sync { .. } => 0,
        }
    }

    pub(super) fn reject(self, error: StorageError) {
        match self {
            Self::Write { promise, .. } | Self::Sync { promise } => promise.resolve(Err(error)),
        }
    }
}

/// What the writer starts from.
pub(super) struct LogWriter {
    pub(super) engine: Arc<LogEngine>,
    pub(super) shared: Arc<Shared>,
    pub(super) options: DiskOptions,
    /// The bytes that wait in the queue, counted up by those who send.
    pub(super) waiting_bytes: Arc<AtomicUsize>,
    pub(super) next_record: u64,
}

/// Requests that are served together.
#[derive(Debug, Default)]
struct Round {
    writes: Vec<(LogBatch, Promise)>,
    syncs: Vec<Promise>,
    bytes: usize,
    /// Whether it must reach the disk now.
    is_urgent: bool,
}

impl Round {
    fn add(&mut self, request: LogRequest) {
        self.bytes += request.bytes();
        match request {
            LogRequest::Write { batch, promise } => {
                self.is_urgent |= batch.carries_entries();
                self.writes.push((batch, promise));
            }
            LogRequest::Sync { promise } => {
                self.is_urgent = true;
                self.syncs.push(promise);
            }
        }
    }
}

/// Why a record was not written.
enum NotWritten {
    Failed(String),
    Stopping,
}

impl NotWritten {
    fn to_error(&self) -> StorageError {
        match self {
            Self::Failed(reason) => StorageError::Failed { reason: reason.clone() },
            Self::Stopping => StorageError::Stopped,
        }
    }
}

impl From<Stopping> for NotWritten {
    fn from(Stopping: Stopping) -> Self {
        Self::Stopping
    }
}

impl LogWriter {
    /// Serves requests until their queue ends.
    pub(super) fn serve(self, requests: Receiver<LogRequest>, stop_signal: StopSignal) {
        let written = self.shared.view().all_bounds();
        let accepted = written.clone();
        Writing { writer: self, requests, stop_signal, written, accepted, lingering: Vec::new(), unreclaimed_bytes: 0 }
            .run();
    }
}

/// The writer at work.
struct Writing {
    writer: LogWriter,
    requests: Receiver<LogRequest>,
    stop_signal: StopSignal,
    /// The bounds as the records on disk give them.
    written: BTreeMap<GroupId, LogBounds>,
    /// The bounds with all batches that were accepted.
    accepted: BTreeMap<GroupId, LogBounds>,
    /// Batches that are acknowledged and shown, and not yet in a record.
    lingering: Vec<LogBatch>,
    /// Bytes written since files were last given up.
    unreclaimed_bytes: u64,
}

impl Writing {
    fn run(mut self) {
        while let Some(round) = self.next_round() {
            match self.serve(round) {
                Ok(()) => {}
                Err(NotWritten::Failed(reason)) => return self.fail(&reason),
                Err(NotWritten::Stopping) => return,
            }
        }
    }

    /// What waits, or an empty urgent round when batches have lingered for long enough or for good.
    fn next_round(&self) -> Option<Round> {
        let mut round = Round::default();
        match self.receive() {
            Ok(request) => self.admit(request, &mut round),
            Err(RecvTimeoutError::Timeout) => round.is_urgent = true,
            Err(RecvTimeoutError::Disconnected) if self.lingering.is_empty() => return None,
            Err(RecvTimeoutError::Disconnected) => round.is_urgent = true,
        }
        while (round.bytes as u64) < self.writer.options.log_file_bytes / RECORDS_PER_FILE {
            let Ok(request) = self.requests.try_recv() else { break };
            self.admit(request, &mut round);
        }
        Some(round)
    }

    fn receive(&self) -> Result<LogRequest, RecvTimeoutError> {
        if self.lingering.is_empty() {
            return self.requests.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.requests.recv_timeout(self.writer.options.linger)
    }

    fn admit(&self, request: LogRequest, round: &mut Round) {
        self.writer.waiting_bytes.fetch_sub(request.bytes(), Ordering::Relaxed);
        round.add(request);
    }

    fn serve(&mut self, round: Round) -> Result<(), NotWritten> {
        let Round { writes, syncs, is_urgent, .. } = round;
        let (batches, promises) = self.accept(writes);
        let outcome = if is_urgent || self.lingering.len() + batches.len() > LINGER_LIMIT {
            self.write(batches)
        } else {
            self.linger(batches);
            Ok(())
        };
        let answer = outcome.as_ref().map_err(NotWritten::to_error).copied();
        promises.into_iter().chain(syncs).for_each(|promise| promise.resolve(answer.clone()));
        outcome?;
        self.reclaim()
    }

    /// Refuses the batches that do not fit, each as a whole.
    fn accept(&mut self, writes: Vec<(LogBatch, Promise)>) -> (Vec<LogBatch>, Vec<Promise>) {
        let mut accepted = (Vec::with_capacity(writes.len()), Vec::with_capacity(writes.len()));
        for (batch, promise) in writes {
            match log_view::check(&mut self.accepted, &batch) {
                Ok(()) => accepted.extend([(batch, promise)]),
                Err(error) => promise.resolve(Err(error)),
            }
        }
        accepted
    }

    fn linger(&mut self, batches: Vec<LogBatch>) {
        self.show(batches.iter().cloned());
        self.lingering.extend(batches);
    }

    fn write(&mut self, mut batches: Vec<LogBatch>) -> Result<(), NotWritten> {
        let shown = self.lingering.len();
        let mut record = std::mem::take(&mut self.lingering);
        record.append(&mut batches);
        if record.is_empty() {
            return Ok(());
        }
        self.write_record(&record)?;
        self.written.clone_from(&self.accepted);
        self.show(record.drain(shown..));
        Ok(())
    }

    fn write_record(&mut self, record: &[LogBatch]) -> Result<(), NotWritten> {
        let number = self.writer.next_record;
        let bytes = self.until_it_fits(|this| this.writer.engine.write(number, record, &this.written))?;
        self.writer.next_record += 1;
        self.unreclaimed_bytes += bytes as u64;
        Ok(())
    }

    /// Tries again, for as long as the disk is full.
    fn until_it_fits<T>(&self, action: impl Fn(&Self) -> Result<T, WriteError>) -> Result<T, NotWritten> {
        loop {
            let reason = match action(self) {
                Ok(done) => {
                    self.writer.shared.set_health(Part::Log, StorageHealth::Healthy);
                    return Ok(done);
                }
                Err(WriteError::Full(reason)) => reason,
                Err(WriteError::Failed(reason)) => return Err(NotWritten::Failed(reason)),
            };
            self.writer.shared.set_health(Part::Log, StorageHealth::Full { reason });
            self.stop_signal.wait(self.writer.options.retry_interval)?;
        }
    }

    fn show(&self, batches: impl Iterator<Item = LogBatch>) {
        let mut view = self.writer.shared.view();
        batches.for_each(|batch| view.apply(batch));
    }

    /// Gives up old files once a file's worth was written. The disk being full is no reason to wait here: what was asked
    /// for is written, and the next record tries again.
    fn reclaim(&mut self) -> Result<(), NotWritten> {
        if self.unreclaimed_bytes < self.writer.options.log_file_bytes {
            return Ok(());
        }
        match self.writer.engine.reclaim() {
            Ok(groups) => {
                self.unreclaimed_bytes = 0;
                *self.writer.shared.groups_to_purge() = groups.into_iter().collect();
                Ok(())
            }
            Err(WriteError::Full(reason)) => {
                tracing::warn!(reason, "no log files were given up");
                Ok(())
            }
            Err(WriteError::Failed(reason)) => Err(NotWritten::Failed(reason)),
        }
    }

    /// Refuses everything from now on: after a failed sync the kernel may have dropped what it could not write, and no
    /// later sync would tell.
    fn fail(self, reason: &str) {
        self.writer.shared.set_health(Part::Log, StorageHealth::Failed { reason: reason.to_owned() });
        for request in &self.requests {
            request.reject(StorageError::Failed { reason: reason.to_owned() });
        }
    }
}
