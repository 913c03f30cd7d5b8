//! To which shard requests went.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use tollgate_api::AcquireRequest;

/// Most requests that one generation holds. Two are kept, so 65,536 in all, of some 30 bytes each.
const GENERATION: usize = 32_768;

/// What a request is recognized by: a hash of its prefix, endpoint and labels.
///
/// Two requests of one hash share a memory, and one of them takes the way through another node. Nothing worse follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestKey(u64);

impl From<&AcquireRequest> for RequestKey {
    fn from(request: &AcquireRequest) -> Self {
        let mut hasher = DefaultHasher::new();
        (&request.prefix, &request.endpoint, &request.labels).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Remembers the shards of the requests that were answered last, in bounded space.
///
/// What is learned goes into the recent generation. When that is full it becomes the older one, and the one before is
/// dropped: so a request that comes again and again is never forgotten.
#[derive(Debug, Default)]
pub(super) struct ShardMemory {
    recent: BTreeMap<RequestKey, u32>,
    older: BTreeMap<RequestKey, u32>,
}

impl ShardMemory {
    /// Where the request went last; `None` if that is not known any more.
    pub(super) fn shard(&self, key: RequestKey) -> Option<u32> {
        self.recent.get(&key).or_else(|| self.older.get(&key)).copied()
    }

    /// Remembers that the request went to `shard`.
    pub(super) fn learn(&mut self, key: RequestKey, shard: u32) {
        if self.recent.len() >= GENERATION && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(endpoint: &str, labels: &[(&str, &str)]) -> RequestKey {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        RequestKey::from(&AcquireRequest { labels, ..AcquireRequest::new(endpoint) })
    }

    #[test]
    fn requests_are_told_apart_by_endpoint_and_labels_and_not_by_cost() {
        let users = key("users", &[("user", "42")]);
        assert_eq!(users, key("users", &[("user", "42")]));
        let others = [key("users", &[]), key("user", &[("user", "42")]), key("users", &[("use", "r42")])];
        assert!(others.iter().all(|other| *other != users));
        let shop = AcquireRequest { prefix: "shop".to_owned(), cost: 9, ..AcquireRequest::new("users") };
        assert_ne!(RequestKey::from(&shop), key("users", &[]));
        let app = AcquireRequest { cost: 9, wait_ms: 5, ..AcquireRequest::new("users") };
        assert_eq!(RequestKey::from(&app), key("users", &[]));
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_comes_again() {
        let mut memory = ShardMemory::default();
        let hot = RequestKey(u64::MAX);
        for number in 0..10 * GENERATION as u64 {
            memory.learn(RequestKey(number), 1);
            if number % 1000 == 0 {
                memory.learn(hot, 7);
            }
        }
        assert!(memory.recent.len() + memory.older.len() <= 65_536);
        assert_eq!(memory.shard(hot), Some(7));
        assert_eq!(memory.shard(RequestKey(0)), None);
        assert_eq!(memory.shard(RequestKey(10 * GENERATION as u64 - 1)), Some(1));
    }

    #[test]
    fn what_was_learned_last_holds() {
        let mut memory = ShardMemory::default();
        for shard in [3, 4] {
            memory.learn(RequestKey(1), shard);
            assert_eq!(memory.shard(RequestKey(1)), Some(shard));
        }
    }
}
