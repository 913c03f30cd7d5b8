//! A group's log, on our storage, as openraft wants it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use tokio::time::Instant;
use tollgate_limiter::{ClockReading, Planted, Seen};
use tollgate_storage::{Completion, GroupId, LogBatch, MetadataKey, Storage, StorageError};

use super::{Entry, LogId, Raft, Vote};
use crate::codec::{decode, encode};
use crate::environment::{Clock, Environment, Event, Events};
use crate::span::nanos;

/// The latest entries are kept decoded up to so many bytes, because each is read again as soon as it commits.
const CACHE_BYTES: usize = 256 << 10;

/// The log of one group. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    group: GroupId,
    storage: Arc<dyn Storage>,
    events: Arc<dyn Events>,
    shared: Arc<Shared>,
}

struct Shared {
    view: Mutex<View>,
    /// Bytes appended since the log was last purged.
    bytes: AtomicU64,
    witness: Arc<Witness>,
}

/// Remembers when entries came, until they are applied. Those that were in the log when it was opened did not come.
pub(crate) struct Witness {
    clock: Arc<dyn Clock>,
    opened: ClockReading,
    came: Mutex<BTreeMap<u64, Seen>>,
}

impl Witness {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let opened = clock.read();
        Self { clock, opened, came: Mutex::default() }
    }

    /// Something comes now, perhaps from the leader who wrote it.
    pub(crate) fn now(&self, was_there: bool) -> Seen {
        Seen { at: self.clock.read(), was_there, since: self.opened }
    }

    /// How the entry came, if it did. To be called for each entry, in their order.
    pub(crate) fn take(&self, index: u64) -> Option<Seen> {
        let mut came = self.came();
        while came.first_key_value().is_some_and(|(first, _)| *first < index) {
            came.pop_first();
        }
        came.remove(&index)
    }

    /// Entries come, each with whether it comes from the leader who wrote it.
    fn see(&self, entries: impl Iterator<Item = (u64, bool)>) {
        let now = self.now(false);
        self.came().extend(entries.map(|(index, was_there)| (index, Seen { was_there, ..now })));
    }

    fn truncate_from(&self, index: u64) {
        drop(self.came().split_off(&index));
    }

    fn came(&self) -> MutexGuard<'_, BTreeMap<u64, Seen>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct View {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The latest entries, without a gap, each with its encoded size. Whatever is not durable yet is here.
    recent: BTreeMap<u64, (Entry, usize)>,
    recent_bytes: usize,
    /// The last index that is known to be durable.
    durable: u64,
}

impl View {
    fn push(&mut self, entry: Entry, bytes: usize) {
        self.last = Some(entry.log_id());
        self.recent_bytes += bytes;
        self.recent.insert(entry.index(), (entry, bytes));
    }

    /// Drops the oldest entries that can be read from the storage, as long as there are too many.
    fn trim(&mut self) {
        while self.recent_bytes > CACHE_BYTES
            && let Some(oldest) = self.recent.first_entry()
            && *oldest.key() <= self.durable
        {
            self.recent_bytes -= oldest.remove().1;
        }
    }

    fn truncate_from(&mut self, index: u64, last: Option<LogId>) {
        let removed = self.recent.split_off(&index);
        self.recent_bytes -= removed.values().map(|(_, bytes)| bytes).sum::<usize>();
        self.durable = self.durable.min(index.saturating_sub(1));
        self.last = last;
    }

    fn purge_to(&mut self, log_id: LogId) {
        let kept = self.recent.split_off(&(log_id.index + 1));
        self.recent = kept;
        self.recent_bytes = self.recent.values().map(|(_, bytes)| bytes).sum();
        self.purged = Some(log_id);
        self.last = self.last.max(self.purged);
    }
}

impl LogStore {
    /// Opens the log of `group`.
    pub(crate) async fn open(environment: &Environment, group: GroupId) -> io::Result<Self> {
        let (storage, clock) = (Arc::clone(&environment.storage), Arc::clone(&environment.clock));
        let events = Arc::clone(&environment.events);
        let value = |key| storage.metadata(group, key);
        let vote = value(MetadataKey::Vote).map(|bytes| decode(&bytes)).transpose()?;
        let purged: Option<LogId> = value(MetadataKey::Purged).map(|bytes| decode(&bytes)).transpose()?;
        let mut view = View { vote, purged, last: purged, ..View::default() };
        if let Some(bounds) = storage.log_bounds(group) {
            let last = *bounds.end();
            let entries = storage.entries(group, last..last + 1).await.map_err(io::Error::other)?;
            let (_, bytes) = entries.first().ok_or_else(|| missing(last))?;
            view.last = Some(decode::<Entry>(bytes)?.log_id());
            view.durable = last;
        }
        let witness = Arc::new(Witness::new(clock));
        let shared = Arc::new(Shared { view: Mutex::new(view), bytes: AtomicU64::new(0), witness });
        Ok(Self { group, storage, events, shared })
    }

    /// Who knows when entries came.
    pub(crate) fn witness(&self) -> Arc<Witness> {
        Arc::clone(&self.shared.witness)
    }

    /// Bytes appended since the log was last purged, or since it was opened.
    pub(crate) fn bytes_since_purge(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // A panic in here would have to come from the allocator; the view is whole between any two statements.
        self.shared.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, batch: LogBatch) -> io::Result<()> {
        self.storage.write(batch).await.map_err(io::Error::other)
    }

    fn batch(&self, fill: impl FnOnce(&mut LogBatch, GroupId)) -> LogBatch {
        let mut batch = LogBatch::new();
        fill(&mut batch, self.group);
        batch
    }

    /// Waits until all is durable that was written before.
    pub(super) async fn synced(&self) -> io::Result<()> {
        self.storage.sync().await.map_err(io::Error::other)
    }

    /// Notes that all up to `index` is durable.
    fn note_durable(&self, index: u64) {
        let mut view = self.view();
        view.durable = view.durable.max(index);
        view.trim();
    }

    async fn stored(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let stored = self.storage.entries(self.group, from..to).await.map_err(io::Error::other)?;
        stored.iter().map(|(_, bytes)| decode(bytes).map_err(io::Error::from)).collect()
    }
}

fn missing(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("log entry {index} is missing"))
}

impl RaftLogReader<Raft> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (from, to) = bounds(&range);
        let (recent, stored_to) = {
            let view = self.view();
            let end = view.last.map_or(0, |last| last.index + 1).min(to);
            let start = view.purged.map_or(0, |purged| purged.index + 1).max(from);
            let first_recent = view.recent.keys().next().copied().unwrap_or(end);
            let cached = start.max(first_recent);
            let recent: Vec<_> = if cached < end {
                view.recent.range(cached..end).map(|(_, (entry, _))| entry.clone()).collect()
            } else {
                Vec::new()
            };
            (recent, first_recent.min(end))
        };
        let mut entries = if from < stored_to { self.stored(from, stored_to).await? } else { Vec::new() };
        entries.extend(recent);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.view().vote)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogStorage<Raft> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Raft>, io::Error> {
        let view = self.view();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let batch = self.batch(|batch, group| {
            batch.put_metadata(group, MetadataKey::Vote, encode(vote));
        });
        self.events.on(Event::Voting { group: self.group.0 });
        let written = self.storage.write(batch);
        let synced = self.storage.sync();
        written.await.map_err(io::Error::other)?;
        if !Planted::VoteNotSynced.is_made() {
            synced.await.map_err(io::Error::other)?;
        }
        self.view().vote = Some(*vote);
        let (term, candidate) = (vote.leader_id.term, vote.leader_id.node_id);
        self.events.on(Event::Voted { group: self.group.0, term, candidate });
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(committed) = committed else { return Ok(()) };
        let batch = self.batch(|batch, group| {
            batch.put_metadata(group, MetadataKey::Committed, encode(&committed));
        });
        // Losing the latest value costs a longer replay and nothing else, so nobody waits for it.
        drop(self.storage.write(batch));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let bytes = self.storage.metadata(self.group, MetadataKey::Committed);
        Ok(bytes.map(|bytes| decode(&bytes)).transpose()?)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Raft>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let (Some(first), Some(last)) = (entries.first().map(Entry::index), entries.last().map(Entry::index)) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let encoded: Vec<Vec<u8>> = entries.iter().map(encode).collect();
        let bytes: usize = encoded.iter().map(Vec::len).sum();
        self.shared.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        {
            let mut view = self.view();
            let leader = view.vote.map(|vote| vote.leader_id);
            let come = |entry: &Entry| (entry.index(), Some(entry.log_id().leader_id) == leader);
            self.shared.witness.see(entries.iter().map(come));
            entries.into_iter().zip(&encoded).for_each(|(entry, encoded)| view.push(entry, encoded.len()));
        }
        let batch = self.batch(|batch, group| {
            batch.append(group, first, encoded);
        });
        let written = self.storage.write(batch);
        let synced = if Planted::LogNotSynced.is_made() { Completion::ready(Ok(())) } else { self.storage.sync() };
        let log = self.clone();
        let began = Instant::now();
        tokio::spawn(async move {
            let result = match written.await {
                Ok(()) if Planted::AcknowledgedBeforeSync.is_made() => Ok(()),
                Ok(()) => synced.await,
                Err(error) => Err(error),
            };
            if result.is_ok() {
                log.note_durable(last);
                log.events.on(Event::Stored { group: log.group.0, took_ns: nanos(began.elapsed()) });
            }
            callback.io_completed(result.map_err(|error: StorageError| io::Error::other(error)));
        });
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let index = last_log_id.map_or(0, |last| last.index + 1);
        let batch = self.batch(|batch, group| {
            batch.truncate_from(group, index);
        });
        let written = self.write(batch);
        self.view().truncate_from(index, last_log_id);
        self.shared.witness.truncate_from(index);
        written.await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let batch = self.batch(|batch, group| {
            batch.put_metadata(group, MetadataKey::Purged, encode(&log_id)).purge_to(group, log_id.index);
        });
        self.shared.bytes.store(0, Ordering::Relaxed);
        self.view().purge_to(log_id);
        self.write(batch).await
    }
}
