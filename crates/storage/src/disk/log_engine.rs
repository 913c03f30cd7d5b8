//! raft-engine, made safe: its panics become errors, a full disk is told from a broken one, and it is only opened on a
//! log that was verified.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use raft_engine::{Config, Engine, ReadableSize, RecoveryMode};

use super::log_encoding::{self, StoredEntry, StoredGroup};
use super::log_record::{RECORD_NUMBER_GROUP, RECORD_NUMBER_KEY};
use super::{DiskOptions, Notice, OpenError, log_scan};
use crate::log_bounds::LogBounds;
use crate::{GroupId, LogBatch};

/// The log files of all groups. One thread writes; any may read, but each reading thread must belong to one engine only:
/// raft-engine caches the block that a thread read last, and does not tell its engines apart.
pub(super) struct LogEngine {
    engine: Engine,
}

/// What a log held when it was opened.
#[derive(Debug, Default)]
pub(super) struct RecoveredLog {
    pub(super) groups: BTreeMap<GroupId, StoredGroup>,
    /// The number that the next record gets.
    pub(super) next_record: u64,
    pub(super) notices: Vec<Notice>,
}

/// Why a write did not succeed.
#[derive(Debug)]
pub(super) enum WriteError {
    /// There is no space. Nothing was written, and the same write may be tried again.
    Full(String),
    /// It is unknown what was written. Nothing may be written any more.
    Failed(String),
}

impl LogEngine {
    /// Verifies and opens the log in `directory`, or makes an empty one.
    pub(super) fn open(directory: &Path, options: &DiskOptions) -> Result<(Self, RecoveredLog), OpenError> {
        let config = config(directory, options)?;
        let verified = log_scan::verify(directory)?;
        let opened = guarded(|| Engine::open(config)).unwrap_or_else(|panic| Err(other_error(panic)));
        let engine = opened.map_err(|error| open_error(directory, error))?;
        sync_directory(directory)?;
        let recovered = recover(&engine, directory, verified.notices)?;
        for file in verified.obsolete {
            fs::remove_file(&file).map_err(|error| OpenError::from_io(&file, error))?;
        }
        Ok((Self { engine }, recovered))
    }

    /// Writes `batches` as one record and syncs it. `before` are the bounds as they are written so far. Returns the size
    /// of the record in bytes.
    pub(super) fn write(
        &self,
        number: u64,
        batches: &[LogBatch],
        before: &BTreeMap<GroupId, LogBounds>,
    ) -> Result<usize, WriteError> {
        // Encoded anew for each attempt: raft-engine leaves a batch that it failed to write unfit for another try.
        let mut record = log_encoding::encode(number, batches, before).map_err(|error| write_error(&error))?;
        self.attempt(|engine| engine.write(&mut record, true))
    }

    /// Gives up files that hold nothing needed, and copies little of what is needed to free more. Returns the groups that
    /// hold too much for that.
    pub(super) fn reclaim(&self) -> Result<Vec<GroupId>, WriteError> {
        let regions = self.attempt(Engine::purge_expired_files)?;
        Ok(regions.into_iter().filter_map(|region| u32::try_from(region).ok()).map(GroupId).collect())
    }

    /// The entries of `range`, all of which must exist.
    pub(super) fn read(&self, group: GroupId, range: Range<u64>) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let region = log_encoding::region(group);
        let mut messages = Vec::new();
        let read = guarded(|| {
            self.engine.fetch_entries_to::<StoredEntry>(region, range.start, range.end, None, &mut messages)
        })?;
        read.map_err(|error| error.to_string())?;
        Ok(messages.into_iter().map(StoredEntry::decode).collect())
    }

    fn attempt<T>(&self, action: impl FnOnce(&Engine) -> raft_engine::Result<T>) -> Result<T, WriteError> {
        match guarded(|| action(&self.engine)) {
            Ok(result) => result.map_err(|error| write_error(&error)),
            Err(panic) => Err(WriteError::Failed(panic)),
        }
    }
}

fn config(directory: &Path, options: &DiskOptions) -> Result<Config, OpenError> {
    let dir = directory.to_str().ok_or_else(|| OpenError::InvalidOptions {
        reason: format!("the path {} is not valid UTF-8", directory.display()),
    })?;
    if options.log_reclaim_bytes < options.log_file_bytes || options.log_file_bytes == 0 {
        let reason = "log_file_bytes must be positive and log_reclaim_bytes at least as large".to_owned();
        return Err(OpenError::InvalidOptions { reason });
    }
    Ok(Config {
        dir: dir.to_owned(),
        // What may be dropped has been dropped by `log_scan`; raft-engine itself must not drop anything.
        recovery_mode: RecoveryMode::AbsoluteConsistency,
        recovery_threads: 1,
        batch_compression_threshold: ReadableSize(0),
        target_file_size: ReadableSize(options.log_file_bytes),
        purge_threshold: ReadableSize(options.log_reclaim_bytes),
        enable_log_recycle: true,
        prefill_for_recycle: true,
        ..Config::default()
    })
}

fn recover(engine: &Engine, directory: &Path, notices: Vec<Notice>) -> Result<RecoveredLog, OpenError> {
    let damaged =
        |reason: &str| OpenError::DamagedLog { file: directory.to_owned(), offset: 0, reason: reason.to_owned() };
    let mut recovered = RecoveredLog { notices, ..RecoveredLog::default() };
    for region in engine.raft_groups() {
        if let Ok(group) = u32::try_from(region) {
            let physical = engine.first_index(region).zip(engine.last_index(region));
            let stored = StoredGroup::read(|key| engine.get(region, key), physical).map_err(damaged)?;
            recovered.groups.insert(GroupId(group), stored);
        }
    }
    if let Some(number) = engine.get(RECORD_NUMBER_GROUP, RECORD_NUMBER_KEY) {
        let last = log_encoding::decode_u64(&number).ok_or_else(|| damaged("a record number cannot be read"))?;
        recovered.next_record = last + 1;
    }
    Ok(recovered)
}

/// Makes the names of new files durable: raft-engine does so for all files but the first, and for no directory.
fn sync_directory(directory: &Path) -> Result<(), OpenError> {
    for path in [Some(directory), directory.parent()].into_iter().flatten() {
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| OpenError::from_io(path, error))?;
    }
    Ok(())
}

fn open_error(directory: &Path, error: raft_engine::Error) -> OpenError {
    match error {
        raft_engine::Error::Io(error) => OpenError::from_io(directory, error),
        other => OpenError::DamagedLog { file: directory.to_owned(), offset: 0, reason: other.to_string() },
    }
}

fn write_error(error: &raft_engine::Error) -> WriteError {
    match error {
        raft_engine::Error::Io(cause) if is_full(cause) => WriteError::Full(cause.kind().to_string()),
        // It asks for another try only when it met a full disk.
        raft_engine::Error::TryAgain(reason) => WriteError::Full(reason.clone()),
        _ => WriteError::Failed(error.to_string()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn other_error(reason: String) -> raft_engine::Error {
    raft_engine::Error::Other(reason.into())
}

/// Runs `action`; should it panic, as raft-engine does when a sync fails, its message is the error.
pub(super) fn guarded<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| panic_message(panic.as_ref()))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
