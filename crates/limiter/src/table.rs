//! A hash table for buckets: dense, and without a pause.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Key;
use crate::key::slot_at;

/// Number of segments of a table. Each grows by itself, so that the longest pause is the copy of one segment: about
/// 0.1 ms with ten million buckets on a node.
const SEGMENTS: usize = 64;

/// The fewest slots that a used segment has.
const MIN_SLOTS: usize = 8;

/// A map from [`Key`] to `V`, of 64 segments with linear probing and no tombstones.
///
/// What a table holds depends only on what was done to it, sweeps among it: never on how its slots came to lie. So two
/// replicas stay equal when one of them was restored from a snapshot.
///
/// A segment grows by a quarter when it is 7/8 full and shrinks when it is under a quarter, so a slot costs 24 bytes for an
/// 8-byte value and a bucket 27–35. Keys are hashes already and are not hashed again.
#[derive(Clone, Debug)]
pub struct Table<V> {
    /// Empty until the first insertion, then [`SEGMENTS`] long.
    segments: Vec<Segment<V>>,
    len: usize,
    /// Where the next [`Table::sweep`] begins.
    cursor: Cursor,
}

/// A place on the ring of all keys: segment after segment, and in each by position.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Cursor {
    segment: u32,
    position: u64,
}

#[derive(Clone, Debug)]
struct Segment<V> {
    slots: Vec<(Key, V)>,
    used: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { segments: Vec::new(), len: 0, cursor: Cursor::default() }
    }
}

impl<V: Default> Table<V> {
    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`.
    pub fn get(&self, key: Key) -> Option<&V> {
        let segment = self.segments.get(key.segment(SEGMENTS))?;
        segment.find(key).map(|slot| &segment.slots[slot].1)
    }

    /// The value of `key`, to change in place.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        let segment = self.segments.get_mut(key.segment(SEGMENTS))?;
        segment.find(key).map(|slot| &mut segment.slots[slot].1)
    }

    /// Reads where `key` would lie, whatever is there, and nothing depends on what it reads: so a processor has many such reads
    /// under way at once, which it cannot with searches.
    pub(crate) fn touch(&self, key: Key) -> u64 {
        let Some(Segment { slots, .. }) = self.segments.get(key.segment(SEGMENTS)) else { return 0 };
        let Some(last) = slots.len().checked_sub(1) else { return 0 };
        let home = key.slot(slots.len());
        // A search goes two slots on, as a rule, and seldom beyond five: up to three lines of the cache.
        [0, 2, 5].iter().fold(0, |read, ahead| read ^ slots[(home + ahead).min(last)].0.position())
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&mut self, key: Key, value: V) -> Option<V> {
        match self.get_mut(key) {
            Some(present) => Some(std::mem::replace(present, value)),
            None => {
                self.insert_new(key, value);
                None
            }
        }
    }

    /// The value of `key`, after inserting what `initial` gives where there was none.
    pub fn get_or_insert_with(&mut self, key: Key, initial: impl FnOnce() -> V) -> &mut V {
        if self.get(key).is_none() {
            self.insert_new(key, initial());
        }
        self.get_mut(key).expect("the key was inserted above")
    }

    /// Removes `key` and returns the value it had.
    pub fn remove(&mut self, key: Key) -> Option<V> {
        let segment = self.segments.get_mut(key.segment(SEGMENTS))?;
        let slot = segment.find(key)?;
        let value = segment.take(slot);
        segment.shrink_if_sparse();
        self.len -= 1;
        Some(value)
    }

    /// All keys and values, in an order that depends only on what was done to the table.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &V)> {
        let slots = self.segments.iter().flat_map(|segment| &segment.slots);
        slots.filter(|(key, _)| *key != Key::VACANT).map(|(key, value)| (*key, value))
    }

    /// All keys and values, to change in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut V)> {
        let slots = self.segments.iter_mut().flat_map(|segment| &mut segment.slots);
        slots.filter(|(key, _)| *key != Key::VACANT).map(|(key, value)| (*key, value))
    }

    /// Looks at about `keys` keys, from where the last sweep ended, and removes those that `forget` says. Returns how many it
    /// removed. How many it looks at depends on how the keys are spread; it goes round all keys at most once.
    pub fn sweep(&mut self, keys: usize, mut forget: impl FnMut(Key, &mut V) -> bool) -> usize {
        let before = self.len;
        let mut left = keys;
        let mut segments_left = SEGMENTS;
        while left > 0 && segments_left > 0 && !self.is_empty() {
            let Cursor { segment: index, position: first } = self.cursor;
            let segment = &mut self.segments[index as usize];
            let last = first.saturating_add(arc_of(left, segment.used));
            let (seen, removed) = segment.sweep(first, last, &mut forget);
            left = left.saturating_sub(seen);
            self.len -= removed;
            if let Some(position) = last.checked_add(1) {
                self.cursor.position = position;
            } else {
                self.cursor = Cursor { segment: (index + 1) % SEGMENTS as u32, position: 0 };
                segments_left -= 1;
            }
        }
        before - self.len
    }

    /// Bytes that the slots take.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let slots: usize = self.segments.iter().map(|segment| segment.slots.capacity()).sum();
        slots * size_of::<(Key, V)>()
    }

    fn insert_new(&mut self, key: Key, value: V) {
        debug_assert!(key != Key::VACANT, "a vacant key cannot be stored");
        if self.segments.is_empty() {
            self.segments.resize_with(SEGMENTS, Segment::default);
        }
        let index = key.segment(SEGMENTS);
        self.segments[index].insert_new(key, value, index);
        self.len += 1;
    }
}

/// The length of an arc of a segment that holds about `keys` of its `used` keys.
fn arc_of(keys: usize, used: usize) -> u64 {
    if keys >= used { u64::MAX } else { u64::MAX / used as u64 * keys as u64 }
}

/// Two tables are equal when they hold the same; how they came to it does not matter.
impl<V: Default + PartialEq> PartialEq for Table<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<V: Default + Serialize> Serialize for Table<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut parts = serializer.serialize_tuple(2)?;
        parts.serialize_element(&self.cursor)?;
        parts.serialize_element(&Entries(self))?;
        parts.end()
    }
}

/// The keys and values of a table, as a sequence: in each segment by key, so that equal tables give equal bytes.
struct Entries<'a, V>(&'a Table<V>);

impl<V: Default + Serialize> Serialize for Entries<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut entries = serializer.serialize_seq(Some(self.0.len))?;
        for segment in &self.0.segments {
            let mut present: Vec<&(Key, V)> = segment.slots.iter().filter(|(key, _)| *key != Key::VACANT).collect();
            present.sort_unstable_by_key(|(key, _)| *key);
            present.into_iter().try_for_each(|entry| entries.serialize_element(entry))?;
        }
        entries.end()
    }
}

impl<'de, V: Default + Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (cursor, entries) = <(Cursor, Vec<(Key, V)>)>::deserialize(deserializer)?;
        if cursor.segment as usize >= SEGMENTS {
            return Err(serde::de::Error::custom("a table has no such segment"));
        }
        let mut table = Self { cursor, ..Self::default() };
        for (key, value) in entries {
            if key == Key::VACANT {
                return Err(serde::de::Error::custom("a table cannot hold the vacant key"));
            }
            table.insert(key, value);
        }
        Ok(table)
    }
}

/// How many slots a full segment of `slots` gets.
///
/// Segments fill alike, so they would all grow at once, and what they leave would be of use to none. From 256 slots on each
/// has sizes of its own, and takes what another has just left.
fn grown(slots: usize, index: usize) -> usize {
    const APART_FROM: usize = 4 * SEGMENTS;
    let grown = (slots * 5 / 4).max(MIN_SLOTS);
    if slots < APART_FROM && grown >= APART_FROM { APART_FROM + index } else { grown }
}

impl<V> Default for Segment<V> {
    fn default() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }
}

impl<V: Default> Segment<V> {
    fn find(&self, key: Key) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = key.slot(self.slots.len());
        loop {
            let found = self.slots[slot].0;
            if found == key {
                return Some(slot);
            }
            if found == Key::VACANT {
                return None;
            }
            slot = self.after(slot);
        }
    }

    fn insert_new(&mut self, key: Key, value: V, index: usize) {
        if (self.used + 1) * 8 > self.slots.len() * 7 {
            self.resize(grown(self.slots.len(), index));
        }
        self.place(key, value);
    }

    fn place(&mut self, key: Key, value: V) {
        let mut slot = key.slot(self.slots.len());
        while self.slots[slot].0 != Key::VACANT {
            slot = self.after(slot);
        }
        self.slots[slot] = (key, value);
        self.used += 1;
    }

    /// Empties `slot` and closes the gap, so that every key stays reachable from its home slot.
    fn take(&mut self, slot: usize) -> V {
        let taken = std::mem::take(&mut self.slots[slot]).1;
        self.used -= 1;
        let mut gap = slot;
        let mut next = self.after(slot);
        while self.slots[next].0 != Key::VACANT {
            let home = self.slots[next].0.slot(self.slots.len());
            if self.distance(home, next) >= self.distance(gap, next) {
                self.slots.swap(gap, next);
                gap = next;
            }
            next = self.after(next);
        }
        taken
    }

    /// Shows `forget` every key with a position from `first` to `last` and removes those that it says. Returns how many
    /// there were, and how many it removed.
    fn sweep(&mut self, first: u64, last: u64, forget: &mut impl FnMut(Key, &mut V) -> bool) -> (usize, usize) {
        let mut seen = 0;
        let due = self.due(first, last, &mut |key, value| {
            seen += 1;
            forget(key, value)
        });
        for key in &due {
            if let Some(slot) = self.find(*key) {
                self.take(slot);
            }
        }
        if !due.is_empty() {
            self.shrink_if_sparse();
        }
        (seen, due.len())
    }

    /// The keys with a position from `first` to `last` that `forget` says. They lie between the home slots of the two, or
    /// behind the latter as far as the next vacant slot.
    fn due(&mut self, first: u64, last: u64, forget: &mut impl FnMut(Key, &mut V) -> bool) -> Vec<Key> {
        let slots = self.slots.len();
        let (from, to) = (slot_at(first, slots), slot_at(last, slots));
        let mut due = Vec::new();
        for step in 0..slots {
            let (key, value) = &mut self.slots[(from + step) % slots];
            if *key == Key::VACANT {
                if from + step >= to {
                    break;
                }
            } else if (first..=last).contains(&key.position()) && forget(*key, value) {
                due.push(*key);
            }
        }
        due
    }

    fn shrink_if_sparse(&mut self) {
        if self.used == 0 {
            self.slots = Vec::new();
        } else if self.slots.len() > MIN_SLOTS && self.used * 4 < self.slots.len() {
            self.resize((self.used * 2).max(MIN_SLOTS));
        }
    }

    fn resize(&mut self, slots: usize) {
        let mut grown = Vec::with_capacity(slots);
        grown.resize_with(slots, Default::default);
        let old = std::mem::replace(&mut self.slots, grown);
        self.used = 0;
        old.into_iter().filter(|(key, _)| *key != Key::VACANT).for_each(|(key, value)| self.place(key, value));
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    /// Steps from `from` forward to `to`, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u32),
        Remove(u16),
        SweepOdd(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (any::<u16>(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key % 600, value)),
            2 => any::<u16>().prop_map(|key| Step::Remove(key % 600)),
            1 => (0..200_usize).prop_map(Step::SweepOdd),
        ];
        prop::collection::vec(step, 0..800)
    }

    /// Keys that fall into three segments and few home slots, so that probes run long and wrap around.
    fn crowded(key: u16) -> Key {
        Key::from_bits((u128::from(key % 3) << 126) | (u128::from(key % 7) << 60) | (u128::from(key) + 1))
    }

    /// Keys as a hash would spread them.
    fn spread(key: u128) -> Key {
        Key::from_bits(key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).rotate_left(64))
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in steps()) {
            let mut table = Table::default();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        prop_assert_eq!(table.insert(crowded(key), value), model.insert(crowded(key), value));
                    }
                    Step::Remove(key) => prop_assert_eq!(table.remove(crowded(key)), model.remove(&crowded(key))),
                    Step::SweepOdd(slots) => {
                        table.sweep(slots, |key, value| {
                            let odd = *value % 2 == 1;
                            if odd { model.remove(&key); }
                            odd
                        });
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let held: BTreeMap<_, _> = table.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(&held, &model);
            prop_assert!(model.iter().all(|(key, value)| table.get(*key) == Some(value)));
        }
    }

    #[test]
    fn a_full_round_of_small_sweeps_visits_every_key() {
        let mut table = Table::default();
        for key in 1..=10_000_u128 {
            table.insert(spread(key), 1_u64);
        }
        let rounds = (0..2_000)
            .take_while(|_| {
                table.sweep(16, |_, _| true);
                !table.is_empty()
            })
            .count();
        assert!(table.is_empty(), "{} keys left after {rounds} sweeps", table.len());
        assert!(table.segments.iter().all(|segment| segment.slots.is_empty()), "memory is given back");
    }

    #[test]
    fn a_sweep_looks_at_no_more_keys_than_it_must() {
        let mut table = Table::default();
        for key in 1..=10_000 {
            table.insert(spread(key), 1_u64);
        }
        for _ in 0..200 {
            let mut seen = 0;
            table.sweep(512, |_, _| {
                seen += 1;
                false
            });
            assert!((300..800).contains(&seen), "{seen} keys in one sweep of 512");
        }
    }

    #[test]
    fn a_restored_table_forgets_the_same_keys_in_the_same_order() {
        let config = bincode::config::standard();
        let mut table = Table::default();
        for key in 1..=3_000 {
            table.insert(spread(key), 1_u64);
        }
        for key in (1..=3_000).step_by(3) {
            table.remove(spread(key));
        }
        table.sweep(100, |_, _| true);
        let bytes = bincode::serde::encode_to_vec(&table, config).expect("a table can be encoded");
        let (mut restored, _): (Table<u64>, _) =
            bincode::serde::decode_from_slice(&bytes, config).expect("what was encoded can be decoded");
        for round in 0..60 {
            assert_eq!(table, restored, "after {round} sweeps");
            table.sweep(64, |_, _| true);
            restored.sweep(64, |_, _| true);
        }
    }

    #[test]
    fn a_bucket_costs_at_most_35_bytes_of_table() {
        let mut table = Table::default();
        for key in 1..=62_500_u128 {
            table.insert(spread(key), 1_u64);
        }
        assert!(table.bytes() <= 35 * table.len(), "{} bytes a bucket", table.bytes() / table.len());
    }
}
