//! The thread that reads entries too old to be in memory: for a replica that lags, or a group that starts.

use std::ops::Range;
use std::sync::mpsc::Receiver;

use super::log_engine::LogEngine;
use super::shared::Shared;
use crate::{GroupId, Promise, StorageError};

/// Reads that may wait. Beyond it callers get [`StorageError::Overloaded`].
pub(super) const QUEUE_LIMIT: usize = 1024;

/// Entries with their indexes.
pub(super) type Entries = Vec<(u64, Vec<u8>)>;

/// A range to read.
#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) group: GroupId,
    pub(super) range: Range<u64>,
    pub(super) promise: Promise<Entries>,
}

/// Serves requests until their queue ends. It must run on a thread of its own: see [`LogEngine`].
pub(super) fn serve(engine: &LogEngine, shared: &Shared, requests: Receiver<ReadRequest>) {
    for ReadRequest { group, range, promise } in requests {
        promise.resolve(read(engine, shared, group, &range));
    }
}

fn read(engine: &LogEngine, shared: &Shared, group: GroupId, range: &Range<u64>) -> Result<Entries, StorageError> {
    let first_try = try_read(engine, shared, group, range);
    // The writer may have purged, truncated or moved entries between our look at the bounds and at the files. It does
    // so once in thousands of writes, so a second failure is no coincidence.
    let entries = first_try.or_else(|_| try_read(engine, shared, group, range));
    entries.map_err(|reason| StorageError::Damaged { group, reason })
}

fn try_read(engine: &LogEngine, shared: &Shared, group: GroupId, range: &Range<u64>) -> Result<Entries, String> {
    let present = shared.view().bounds(group).clamp(range);
    if present.is_empty() {
        return Ok(Vec::new());
    }
    engine.read(group, present)
}
