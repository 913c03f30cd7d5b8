//! How our operations are written as raft-engine's.
//!
//! raft-engine forgets some of what it is told: it cannot remove entries from the end of a log, only overwrite them, and
//! a removed entry or key may come back after a restart when the removal was in a file that it has given up since. So
//! nothing here relies on a removal: the bounds of a log are a value beside it, always put and never deleted, and entries
//! outside of them do not exist.

use std::collections::BTreeMap;

use protobuf::well_known_types::BytesValue;
use raft_engine::{Command, MessageExt};

use super::log_record::{RECORD_NUMBER_GROUP, RECORD_NUMBER_KEY};
use crate::batch::Operation;
use crate::log_bounds::LogBounds;
use crate::{GroupId, LogBatch, MetadataKey};

const BOUNDS_KEY: &[u8] = b"b";
const SNAPSHOT_KEY: &[u8] = b"s";
const METADATA_KEY_PREFIX: u8 = b'm';

/// An entry as raft-engine takes it: a ready protobuf message of bytes, with the index in the first eight.
pub(super) struct StoredEntry;

impl MessageExt for StoredEntry {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(u64::MAX, |index| u64::from_le_bytes(*index))
    }
}

impl StoredEntry {
    fn encode(index: u64, entry: &[u8]) -> BytesValue {
        let mut message = BytesValue::new();
        message.value.reserve_exact(size_of::<u64>() + entry.len());
        message.value.extend(index.to_le_bytes());
        message.value.extend(entry);
        message
    }

    /// The index and the entry.
    pub(super) fn decode(mut message: BytesValue) -> (u64, Vec<u8>) {
        let index = Self::index(&message);
        message.value.drain(..message.value.len().min(size_of::<u64>()));
        (index, message.value)
    }
}

/// The record with this number that holds `batches`, for logs that have the bounds `before`, which the batches fit.
///
/// # Errors
/// When the record would be larger than raft-engine takes (2 GiB).
pub(super) fn encode(
    number: u64,
    batches: &[LogBatch],
    before: &BTreeMap<GroupId, LogBounds>,
) -> raft_engine::Result<raft_engine::LogBatch> {
    let mut encoder = Encoder { record: raft_engine::LogBatch::default(), before, after: BTreeMap::new() };
    encoder.record.put(RECORD_NUMBER_GROUP, RECORD_NUMBER_KEY.to_vec(), number.to_le_bytes().to_vec())?;
    for (group, operation) in batches.iter().flat_map(LogBatch::operations) {
        encoder.add(*group, operation)?;
    }
    encoder.finish()
}

struct Encoder<'a> {
    record: raft_engine::LogBatch,
    before: &'a BTreeMap<GroupId, LogBounds>,
    after: BTreeMap<GroupId, LogBounds>,
}

impl Encoder<'_> {
    fn add(&mut self, group: GroupId, operation: &Operation) -> raft_engine::Result<()> {
        let old = self.bounds(group);
        let new = old.after(operation).expect("batches are checked before they are written");
        self.after.insert(group, new);
        match operation {
            Operation::Append { first_index, entries } => self.add_entries(group, old, *first_index, entries),
            Operation::PurgeTo { .. } => {
                self.forget_before(group, new.first);
                Ok(())
            }
            Operation::TruncateFrom { .. } => Ok(()),
            Operation::PutMetadata { key, value } => self.record.put(region(group), metadata_key(*key), value.clone()),
            Operation::SnapshotSaved { generation } => {
                self.record.put(region(group), SNAPSHOT_KEY.to_vec(), generation.to_le_bytes().to_vec())
            }
        }
    }

    fn add_entries(
        &mut self,
        group: GroupId,
        old: LogBounds,
        first_index: u64,
        entries: &[Vec<u8>],
    ) -> raft_engine::Result<()> {
        if old.is_empty() {
            // It may still hold entries that are out of bounds, and panics when an append leaves a gap behind them.
            self.forget_before(group, first_index);
        }
        let messages: Vec<_> =
            (first_index..).zip(entries).map(|(index, entry)| StoredEntry::encode(index, entry)).collect();
        self.record.add_entries::<StoredEntry>(region(group), &messages)
    }

    fn forget_before(&mut self, group: GroupId, index: u64) {
        self.record.add_command(region(group), Command::Compact { index });
    }

    fn bounds(&self, group: GroupId) -> LogBounds {
        self.after.get(&group).or_else(|| self.before.get(&group)).copied().unwrap_or_default()
    }

    fn finish(mut self) -> raft_engine::Result<raft_engine::LogBatch> {
        for (group, after) in &self.after {
            let before = self.before.get(group).copied().unwrap_or_default();
            let stored = StoredBounds::of(*after);
            if stored != StoredBounds::of(before) {
                self.record.put(region(*group), BOUNDS_KEY.to_vec(), stored.encode())?;
            }
        }
        Ok(self.record)
    }
}

/// The part of the bounds that raft-engine does not know by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredBounds {
    /// The first index that exists.
    first: u64,
    /// Entries from here on were truncated; `u64::MAX` when none were.
    hidden_from: u64,
}

impl StoredBounds {
    fn of(bounds: LogBounds) -> Self {
        Self { first: bounds.first, hidden_from: if bounds.truncated { bounds.next } else { u64::MAX } }
    }

    fn encode(self) -> Vec<u8> {
        [self.first.to_le_bytes(), self.hidden_from.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, hidden_from) = bytes.split_first_chunk()?;
        let hidden_from = u64::from_le_bytes(hidden_from.try_into().ok()?);
        Some(Self { first: u64::from_le_bytes(*first), hidden_from })
    }

    /// The bounds of a log of which raft-engine has the entries `physical`; `None` when entries are missing.
    fn within(self, physical: Option<(u64, u64)>) -> Option<LogBounds> {
        let physical_next = physical.map_or(self.first, |(_, last)| last.saturating_add(1));
        let next = physical_next.min(self.hidden_from).max(self.first);
        let is_missing = physical.is_some_and(|(first, _)| first > self.first) && next > self.first;
        let bounds = LogBounds { first: self.first, next, truncated: self.hidden_from != u64::MAX };
        (!is_missing).then_some(bounds)
    }
}

/// What raft-engine holds of one group, as the values beside its log tell.
#[derive(Debug)]
pub(super) struct StoredGroup {
    pub(super) bounds: LogBounds,
    pub(super) metadata: BTreeMap<MetadataKey, Vec<u8>>,
    /// Generation of the snapshot that was saved last, if one was.
    pub(super) snapshot_generation: Option<u64>,
}

impl StoredGroup {
    /// Reads a group by `get` (a value beside its log) and `physical` (the first and last index that there is).
    ///
    /// # Errors
    /// What is missing or cannot be read.
    pub(super) fn read(
        get: impl Fn(&[u8]) -> Option<Vec<u8>>,
        physical: Option<(u64, u64)>,
    ) -> Result<Self, &'static str> {
        let stored = match get(BOUNDS_KEY) {
            Some(value) => StoredBounds::decode(&value).ok_or("the bounds of a log cannot be read")?,
            None => StoredBounds::of(LogBounds::default()),
        };
        let bounds = stored.within(physical).ok_or("entries of a log are missing")?;
        let keys = MetadataKey::ALL.into_iter();
        let metadata = keys.filter_map(|key| Some((key, get(&metadata_key(key))?))).collect();
        let snapshot_generation = match get(SNAPSHOT_KEY) {
            Some(value) => Some(decode_u64(&value).ok_or("the generation of a snapshot cannot be read")?),
            None => None,
        };
        Ok(Self { bounds, metadata, snapshot_generation })
    }
}

/// The number under which raft-engine knows the group.
pub(super) fn region(group: GroupId) -> u64 {
    u64::from(group.0)
}

/// A value that was stored as a number.
pub(super) fn decode_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn metadata_key(key: MetadataKey) -> Vec<u8> {
    vec![METADATA_KEY_PREFIX, key.code()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stored: (u64, u64), physical: Option<(u64, u64)>, expected: Option<(u64, u64, bool)>) {
        let (first, hidden_from) = stored;
        let bounds = StoredBounds { first, hidden_from }.within(physical);
        let found = bounds.map(|bounds| (bounds.first, bounds.next, bounds.truncated));
        assert_eq!(found, expected, "{stored:?} of {physical:?}");
    }

    #[test]
    fn entries_out_of_bounds_do_not_exist() {
        check((3, u64::MAX), Some((1, 9)), Some((3, 10, false)));
        check((3, 6), Some((3, 9)), Some((3, 6, true)));
        check((3, 3), Some((3, 9)), Some((3, 3, true)));
        check((20, u64::MAX), Some((1, 9)), Some((20, 20, false)));
        check((20, u64::MAX), None, Some((20, 20, false)));
    }

    #[test]
    fn entries_that_are_missing_are_noticed() {
        check((3, u64::MAX), Some((4, 9)), None);
        check((0, u64::MAX), Some((1, 1)), None);
        check((3, 3), Some((4, 9)), Some((3, 3, true)));
    }

    #[test]
    fn bounds_are_read_as_they_were_written() {
        let stored = StoredBounds { first: 7, hidden_from: 1 << 40 };
        assert_eq!(StoredBounds::decode(&stored.encode()), Some(stored));
        assert_eq!(StoredBounds::decode(&[0; 15]), None);
        assert_eq!(StoredBounds::decode(&[0; 17]), None);
    }
}
