//! Snapshots in sled.
//!
//! A snapshot is cut into chunks under a generation of its own; then one small pointer to that generation is written, and
//! only then does the older generation go. Both steps are synced. `sled`'s `flush` hands its buffers to the system and
//! does not sync the file, so this does.
//!
//! ```text
//! group, 0                      pointer: generation, bytes of meta, bytes of data, crc of both
//! group, 1, generation, chunk   a chunk of meta and data, one behind the other
//! ```
//! All numbers in keys are big-endian, so that keys sort by them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use super::log_engine::guarded;
use crate::{GroupId, Snapshot};

const POINTER: u8 = 0;
const CHUNK: u8 = 1;
/// sled keeps larger values in a file each, which a sync of its main file would not cover.
const CHUNK_BYTES: usize = 4096;
/// Chunks written at once, so that a large snapshot is not held in memory twice.
const CHUNKS_PER_BATCH: usize = 64;

/// The snapshots of all groups. Used by one thread.
#[derive(Debug)]
pub(super) struct SnapshotStore {
    path: PathBuf,
    cache_bytes: u64,
    /// `None` when it is not used, and after an error: sled refuses all work after one, until it is opened again.
    database: Option<sled::Db>,
}

/// Why the snapshots were not read or written.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// There is no space. The older snapshot is still there.
    #[error("no space left on the disk")]
    Full,
    /// The files are not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl SnapshotStore {
    /// Opens the store at `path`, or makes an empty one.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let database = Some(open_database(path, cache_bytes)?);
        Ok(Self { path: path.to_owned(), cache_bytes, database })
    }

    /// Whether the files are open.
    pub(super) fn is_open(&self) -> bool {
        self.database.is_some()
    }

    /// Closes the files; the next use opens them again.
    pub(super) fn close(&mut self) {
        self.database = None;
    }

    /// The generation of each group's snapshot.
    pub(super) fn generations(&mut self) -> Result<BTreeMap<GroupId, u64>, StoreError> {
        self.with_database(|database| {
            let mut generations = BTreeMap::new();
            for item in database.iter() {
                let (key, value) = item?;
                if let Some((group, [POINTER])) = key.split_first_chunk() {
                    let pointer = Pointer::decode(&value)?;
                    generations.insert(GroupId(u32::from_be_bytes(*group)), pointer.generation);
                }
            }
            Ok(generations)
        })
    }

    /// Replaces the group's snapshot and returns the generation of the new one. When it returns, the snapshot is durable.
    pub(super) fn save(&mut self, group: GroupId, snapshot: &Snapshot) -> Result<u64, StoreError> {
        check_space(&self.path, snapshot)?;
        let path = self.path.clone();
        self.with_database(|database| {
            let generation = pointer(database, group)?.map_or(1, |old| old.generation + 1);
            remove_other_than(database, group, generation - 1)?;
            write_chunks(database, group, generation, snapshot)?;
            sync(database, &path)?;
            database.insert(pointer_key(group), Pointer::to(generation, snapshot).encode())?;
            sync(database, &path)?;
            remove_other_than(database, group, generation)?;
            Ok(generation)
        })
    }

    /// The group's snapshot, whole.
    pub(super) fn load(&mut self, group: GroupId) -> Result<Option<Snapshot>, StoreError> {
        self.with_database(|database| {
            let Some(pointer) = pointer(database, group)? else {
                return Ok(None);
            };
            let mut content = Vec::new();
            for item in database.scan_prefix(generation_key(group, pointer.generation)) {
                content.extend_from_slice(&item?.1);
            }
            pointer.split(content).map(Some)
        })
    }

    /// Runs `action` on the open database, opening it again if need be. A panic of sled's is damage.
    fn with_database<T>(&mut self, action: impl FnOnce(&sled::Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(&self.path, self.cache_bytes)?,
        };
        let done = guarded(|| action(&database)).unwrap_or_else(|panic| Err(StoreError::Damaged(panic)))?;
        self.database = Some(database);
        Ok(done)
    }
}

/// sled's own threads may hold its files for a moment after the database was closed, even in this process. No other
/// process can: the data directory is locked.
fn open_database(path: &Path, cache_bytes: u64) -> Result<sled::Db, StoreError> {
    const TRIES: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..TRIES {
        match try_open_database(path, cache_bytes) {
            Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::Other => thread::park_timeout(PAUSE),
            opened => return opened,
        }
    }
    try_open_database(path, cache_bytes)
}

fn try_open_database(path: &Path, cache_bytes: u64) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes)
        .mode(sled::Mode::LowSpace)
        // We flush where it matters; a timer would only write at other times too.
        .flush_every_ms(None);
    remove_unfinished(path)?;
    guarded(|| config.open()).map_err(StoreError::Damaged)?.map_err(StoreError::from)
}

/// Removes what sled began to write about itself and did not finish: it takes such a file for damage of the whole, and it is
/// written anew.
fn remove_unfinished(path: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Refuses a snapshot for which there is no space, before sled is asked: once sled has met a full disk, it may hang.
fn check_space(path: &Path, snapshot: &Snapshot) -> Result<(), StoreError> {
    /// sled writes whole segments, and into several at once.
    const SPARE_BYTES: u64 = 4 << 20;
    let disk = rustix::fs::statvfs(path).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let content = (snapshot.meta.len() + snapshot.data.len()) as u64;
    if free < content * 2 + SPARE_BYTES { Err(StoreError::Full) } else { Ok(()) }
}

fn write_chunks(database: &sled::Db, group: GroupId, generation: u64, snapshot: &Snapshot) -> Result<(), StoreError> {
    let chunks = Chunks { meta: &snapshot.meta, data: &snapshot.data }.numbered();
    let mut chunks = chunks.peekable();
    while chunks.peek().is_some() {
        let mut batch = sled::Batch::default();
        for (number, chunk) in chunks.by_ref().take(CHUNKS_PER_BATCH) {
            batch.insert(chunk_key(group, generation, number), chunk);
        }
        database.apply_batch(batch)?;
    }
    Ok(())
}

/// Removes the chunks of all generations but one. Those of an attempt that did not end may be among them.
fn remove_other_than(database: &sled::Db, group: GroupId, kept: u64) -> Result<(), StoreError> {
    for key in database.scan_prefix(chunks_key(group)).keys() {
        let key = key?;
        if !key.starts_with(&generation_key(group, kept)) {
            database.remove(key)?;
        }
    }
    Ok(())
}

fn sync(database: &sled::Db, path: &Path) -> Result<(), StoreError> {
    database.flush()?;
    sync_blobs(&path.join("blobs"))?;
    File::open(path.join("db"))?.sync_data()?;
    Ok(())
}

/// Syncs the files that sled makes of pages of more than a quarter of a segment. Pages of our chunks stay below that, and sled would
/// not sync them.
fn sync_blobs(blobs: &Path) -> Result<(), StoreError> {
    for blob in fs::read_dir(blobs)? {
        match File::open(blob?.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => file?.sync_data()?,
        }
    }
    Ok(File::open(blobs)?.sync_all()?)
}

fn pointer(database: &sled::Db, group: GroupId) -> Result<Option<Pointer>, StoreError> {
    database.get(pointer_key(group))?.map(|value| Pointer::decode(&value)).transpose()
}

/// The parts of a snapshot as a series of chunks: those of the meta, then those of the data.
struct Chunks<'a> {
    meta: &'a [u8],
    data: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn numbered(self) -> impl Iterator<Item = (u32, &'a [u8])> {
        (0..).zip(self.meta.chunks(CHUNK_BYTES).chain(self.data.chunks(CHUNK_BYTES)))
    }
}

/// Which generation is the snapshot, and what it must consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pointer {
    generation: u64,
    meta_bytes: u64,
    data_bytes: u64,
    crc: u32,
}

impl Pointer {
    fn to(generation: u64, snapshot: &Snapshot) -> Self {
        Self {
            generation,
            meta_bytes: snapshot.meta.len() as u64,
            data_bytes: snapshot.data.len() as u64,
            crc: crc(&snapshot.meta, &snapshot.data),
        }
    }

    fn encode(self) -> Vec<u8> {
        let numbers = [self.generation, self.meta_bytes, self.data_bytes].map(u64::to_le_bytes);
        [&numbers.concat()[..], &self.crc.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let fields = bytes.split_last_chunk().zip(bytes.as_chunks().0.first_chunk());
        let Some(((_, crc), [generation, meta_bytes, data_bytes])) = fields else {
            return Err(StoreError::Damaged("the pointer to a snapshot cannot be read".to_owned()));
        };
        Ok(Self {
            generation: u64::from_le_bytes(*generation),
            meta_bytes: u64::from_le_bytes(*meta_bytes),
            data_bytes: u64::from_le_bytes(*data_bytes),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// Cuts the joined chunks into the snapshot that they must be.
    fn split(self, mut meta: Vec<u8>) -> Result<Snapshot, StoreError> {
        let is_complete = meta.len() as u64 == self.meta_bytes + self.data_bytes;
        if !is_complete || crc32fast::hash(&meta) != self.crc {
            return Err(StoreError::Damaged("a snapshot is not what was written".to_owned()));
        }
        let data = meta.split_off(self.meta_bytes as usize).into();
        Ok(Snapshot { meta, data })
    }
}

fn crc(meta: &[u8], data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(meta);
    hasher.update(data);
    hasher.finalize()
}

fn pointer_key(group: GroupId) -> Vec<u8> {
    [&group.0.to_be_bytes()[..], &[POINTER]].concat()
}

fn chunks_key(group: GroupId) -> Vec<u8> {
    [&group.0.to_be_bytes()[..], &[CHUNK]].concat()
}

fn generation_key(group: GroupId, generation: u64) -> Vec<u8> {
    [chunks_key(group), generation.to_be_bytes().to_vec()].concat()
}

fn chunk_key(group: GroupId, generation: u64, number: u32) -> Vec<u8> {
    [generation_key(group, generation), number.to_be_bytes().to_vec()].concat()
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if is_full(error.kind()) => Self::Full,
            sled::Error::Io(error) if is_damage(error.kind()) => Self::Damaged(error.to_string()),
            sled::Error::Io(error) => Self::Io(error),
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. } => Self::Damaged(error.to_string()),
        }
    }
}

fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}
