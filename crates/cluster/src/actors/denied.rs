//! Buckets of which other nodes remember that they were denied, so that they can be told when something comes back.

use std::collections::BTreeMap;

use tollgate_limiter::{Key, LimitId, ShardTime};

/// The most buckets of one shard that are kept in mind. Of more, other nodes deny until the time that they were told.
const MAX_DENIED: usize = 16_384;

/// Who was denied what, and until when another node may say so by itself.
#[derive(Debug, Default)]
pub(super) struct Denied {
    until: BTreeMap<(LimitId, Key), ShardTime>,
}

impl Denied {
    /// A node elsewhere was told that a bucket denies until `until`.
    pub(super) fn note(&mut self, bucket: (LimitId, Key), until: ShardTime) {
        if self.until.len() < MAX_DENIED || self.until.contains_key(&bucket) {
            let latest = self.until.entry(bucket).or_insert(until);
            *latest = until.max(*latest);
        }
    }

    /// Something came back to a bucket; whether a node elsewhere has to hear of it.
    pub(super) fn came_back(&mut self, bucket: (LimitId, Key), now: ShardTime) -> bool {
        self.until.remove(&bucket).is_some_and(|until| until > now)
    }

    /// Forgets what no node remembers any more.
    pub(super) fn forget(&mut self, now: ShardTime) {
        self.until.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_hears_of_what_comes_back_as_long_as_it_may_remember() {
        let mut denied = Denied::default();
        let (at, bucket) = (ShardTime::from_nanos, (LimitId(1), Key::from_bits(7)));
        denied.note(bucket, at(100));
        denied.note(bucket, at(50));
        assert!(denied.came_back(bucket, at(99)));
        assert!(!denied.came_back(bucket, at(99)), "it was told");
        denied.note(bucket, at(100));
        assert!(!denied.came_back(bucket, at(100)), "it has forgotten");
    }
}
