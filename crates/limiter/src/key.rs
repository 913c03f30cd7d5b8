//! Identity of a bucket.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::LimitName;

/// Identity of a bucket: 128 bits of the BLAKE3 hash over `(prefix, limit, label values)`.
///
/// Each part is hashed with its length in front, so `a_b` + `c` and `a` + `b_c` differ, and a label that is absent differs
/// from one that is empty. BLAKE3 is collision-resistant: two buckets share a key by chance with probability `n² / 2¹²⁹`
/// (10⁻²⁰ at a billion buckets), and a hostile client needs about 2⁶⁴ hashes to find one such pair.
#[derive(Clone, Copy, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Key([u64; 2]);

/// Number of a shard, from 0.
pub type ShardId = u32;

impl Key {
    /// What an empty slot of a [`crate::Table`] holds; no bucket has it.
    pub(crate) const VACANT: Self = Self([0, 0]);

    /// The key of the bucket of `limit` for these label values, in the order of the limit's `by`.
    pub fn of_bucket<'a>(prefix: &str, limit: &LimitName, values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut hasher = KeyHasher::default();
        hasher.part(Some(prefix));
        hasher.part(Some(limit.as_str()));
        values.into_iter().for_each(|value| hasher.part(value));
        hasher.finish()
    }

    /// A key from its 128 bits; the one vacant pattern is moved aside.
    pub fn from_bits(bits: u128) -> Self {
        let bytes = bits.to_le_bytes();
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("a half of 16 bytes has 8"));
        let key = Self([word(low), word(high)]);
        if key == Self::VACANT { Self([1, 0]) } else { key }
    }

    /// All 128 bits.
    pub fn bits(self) -> u128 {
        u128::from(self.0[0]) | (u128::from(self.0[1]) << 64)
    }

    /// The shard that owns this bucket, of `shards` (at least 1).
    pub fn shard(self, shards: u32) -> ShardId {
        scale(self.0[1].rotate_left(32), shards.max(1) as usize) as ShardId
    }

    /// A slot index below `slots`, from bits that [`Key::shard`] uses little of.
    pub(crate) fn slot(self, slots: usize) -> usize {
        slot_at(self.position(), slots)
    }

    /// A segment index below `segments`, independent of [`Key::slot`].
    pub(crate) fn segment(self, segments: usize) -> usize {
        scale(self.0[1], segments)
    }

    /// Where the key lies in its segment; [`Key::slot`] grows with it.
    pub(crate) fn position(self) -> u64 {
        self.0[0]
    }
}

/// The home slot, of `slots`, of the keys at `position`.
pub(crate) fn slot_at(position: u64, slots: usize) -> usize {
    scale(position, slots)
}

/// Maps `hash` evenly onto `0..buckets` without a division (Lemire 2019).
fn scale(hash: u64, buckets: usize) -> usize {
    ((u128::from(hash) * buckets as u128) >> 64) as usize
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:032x})", self.bits())
    }
}

/// Feeds the parts to BLAKE3 through one small buffer, since nearly every identity fits one 64-byte block.
struct KeyHasher {
    hasher: blake3::Hasher,
    buffer: [u8; 256],
    used: usize,
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self { hasher: blake3::Hasher::new(), buffer: [0; 256], used: 0 }
    }
}

impl KeyHasher {
    fn part(&mut self, part: Option<&str>) {
        let text = part.unwrap_or("");
        let length = part.map_or(u32::MAX, |_| text.len() as u32);
        self.bytes(&length.to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.used + bytes.len() > self.buffer.len() {
            self.hasher.update(&self.buffer[..self.used]);
            self.used = 0;
        }
        if bytes.len() > self.buffer.len() {
            self.hasher.update(bytes);
        } else {
            self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }

    fn finish(mut self) -> Key {
        self.hasher.update(&self.buffer[..self.used]);
        let mut bits = [0; 16];
        self.hasher.finalize_xof().fill(&mut bits);
        Key::from_bits(u128::from_le_bytes(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(prefix: &str, limit: &str, values: &[Option<&str>]) -> Key {
        Key::of_bucket(prefix, &LimitName::new(limit).expect("a valid name"), values.iter().copied())
    }

    #[test]
    fn parts_that_join_to_the_same_text_are_different_buckets() {
        let long = "x".repeat(300);
        let buckets = [
            key("a_b", "c", &[]),
            key("a", "b_c", &[]),
            key("a", "b", &[Some("c")]),
            key("a", "b", &[Some("c"), Some("")]),
            key("a", "b", &[Some(""), Some("c")]),
            key("a", "b", &[Some("c"), None]),
            key("a", "b", &[None, Some("c")]),
            key("a", "b", &[None]),
            key("a", "b", &[Some("")]),
            key("a", "b", &[]),
            key("a", "b", &[Some(&long)]),
            key("a", "b", &[Some(&long), Some(&long)]),
        ];
        for (i, left) in buckets.iter().enumerate() {
            assert!(buckets[i + 1..].iter().all(|right| right != left), "bucket {i} is not alone");
        }
    }

    #[test]
    fn keys_spread_evenly_over_shards() {
        let mut counts = [0_u32; 16];
        for user in 0..16_000 {
            let key = key("app", "pro", &[Some(&user.to_string())]);
            counts[key.shard(16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_key_is_the_same_in_every_version_and_on_every_machine() {
        assert_eq!(format!("{:?}", key("app", "pro", &[Some("42")])), "Key(4f3b5a183c0d8af397c2938e9954e655)");
    }

    #[test]
    fn no_key_is_vacant() {
        assert_ne!(Key::from_bits(0), Key::VACANT);
    }
}
