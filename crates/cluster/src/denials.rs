//! What other nodes have denied, remembered until it may be asked again: an abused bucket costs no network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tollgate_limiter::{Key, LimitId, Planted, Standing};

/// Places for denials, a power of two. A newer denial takes the place of another bucket's: forgetting one costs a question.
const PLACES: usize = 16_384;

/// Places under one lock.
const PLACES_A_LOCK: usize = 256;

/// A denial.
#[derive(Clone, Copy, Debug)]
struct Denial {
    limit: LimitId,
    key: Key,
    /// Units that were asked for. Fewer may pass earlier, and more later.
    cost: u64,
    standing: Standing,
    asked: RoundTrip,
}

impl Denial {
    /// For how long it holds.
    fn holds_ns(&self) -> i64 {
        let times = if Planted::DenialsOutliveWait.is_made() { 2 } else { 1 };
        self.standing.retry_after_ns.saturating_mul(times)
    }
}

/// When a bucket was asked and its answer heard, on the node's monotonic clock in nanoseconds. It decided in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    pub(crate) asked_mono_ns: i64,
    pub(crate) heard_mono_ns: i64,
}

/// The denials that a node has heard of.
pub(crate) struct Denials {
    places: Vec<Mutex<Vec<Option<Denial>>>>,
    /// Counts the changes of limits and buckets.
    epoch: AtomicU64,
}

impl Default for Denials {
    fn default() -> Self {
        let places = (0..PLACES / PLACES_A_LOCK).map(|_| Mutex::default()).collect();
        Self { places, epoch: AtomicU64::new(0) }
    }
}

impl Denials {
    /// Which changes are known of. To be read before a bucket is asked.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Remembers that `cost` units of a bucket were denied, unless something has changed since `epoch`.
    pub(crate) fn remember(
        &self,
        epoch: u64,
        (limit, key): (LimitId, Key),
        cost: u64,
        standing: Standing,
        asked: RoundTrip,
    ) {
        let (mut places, place) = self.place(key);
        // Looked at under the lock, which whoever changes something takes after it has counted the change.
        if epoch != self.epoch() {
            return;
        }
        if places.is_empty() {
            places.resize(PLACES_A_LOCK, None);
        }
        places[place] = Some(Denial { limit, key, cost, standing, asked });
    }

    /// How the bucket stands, if `cost` units are known to be denied now: for `retry_after` since it was asked, the earliest at which it
    /// can pass. The wait that is told counts from when the answer was heard, the latest.
    pub(crate) fn recall(&self, limit: LimitId, key: Key, cost: u64, mono_ns: i64) -> Option<Standing> {
        let (places, place) = self.place(key);
        let denial = (*places.get(place)?)?;
        let since = |then_mono_ns: i64| mono_ns.saturating_sub(then_mono_ns).max(0);
        let passed_ns = since(denial.asked.heard_mono_ns);
        let holds = denial.limit == limit
            && denial.key == key
            && denial.cost == cost
            && since(denial.asked.asked_mono_ns) < denial.holds_ns();
        holds.then(|| Standing {
            retry_after_ns: denial.standing.retry_after_ns - passed_ns,
            reset_after_ns: denial.standing.reset_after_ns.saturating_sub(passed_ns).max(0),
            ..denial.standing
        })
    }

    /// The bucket was changed.
    pub(crate) fn forget(&self, limit: LimitId, key: Key) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let (mut places, place) = self.place(key);
        let is_of_it =
            |denial: &Option<Denial>| denial.is_some_and(|denial| (denial.limit, denial.key) == (limit, key));
        if let Some(denial) = places.get_mut(place).filter(|denial| is_of_it(denial)) {
            *denial = None;
        }
    }

    /// The limits were changed.
    pub(crate) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.places.iter().for_each(|places| places.lock().unwrap_or_else(PoisonError::into_inner).clear());
    }

    fn place(&self, key: Key) -> (MutexGuard<'_, Vec<Option<Denial>>>, usize) {
        let place = (key.bits() % PLACES as u128) as usize;
        let places = self.places[place / PLACES_A_LOCK].lock().unwrap_or_else(PoisonError::into_inner);
        (places, place % PLACES_A_LOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_remembered_until_it_may_be_asked_again_and_for_no_other_cost() {
        let denials = Denials::default();
        let (limit, key) = (LimitId(1), Key::from_bits(7));
        let standing = Standing { limit: 10, remaining: 2, retry_after_ns: 100, reset_after_ns: 900 };
        let asked = RoundTrip { asked_mono_ns: 990, heard_mono_ns: 1_000 };
        denials.remember(denials.epoch(), (limit, key), 3, standing, asked);
        let cases = [
            ("at once", limit, key, 3, 1_000, Some(100)),
            ("later", limit, key, 3, 1_060, Some(40)),
            ("more units, which would have to wait longer", limit, key, 4, 1_060, None),
            ("fewer units", limit, key, 2, 1_060, None),
            ("just before it may be asked again", limit, key, 3, 1_089, Some(11)),
            ("when it may be asked again, had it decided at once", limit, key, 3, 1_090, None),
            ("another limit", LimitId(2), key, 3, 1_000, None),
            ("another bucket", limit, Key::from_bits(8), 3, 1_000, None),
        ];
        for (claim, limit, key, cost, at, expected) in cases {
            let recalled = denials.recall(limit, key, cost, at);
            assert_eq!(recalled.map(|standing| standing.retry_after_ns), expected, "{claim}");
        }
        denials.forget(limit, key);
        assert!(denials.recall(limit, key, 3, 1_000).is_none(), "forgotten");
    }

    #[test]
    fn a_change_of_the_limits_forgets_all() {
        let denials = Denials::default();
        let standing = Standing { limit: 10, remaining: 0, retry_after_ns: 100, reset_after_ns: 900 };
        let before = denials.epoch();
        let asked = RoundTrip { asked_mono_ns: 0, heard_mono_ns: 0 };
        let remember = |epoch, bits| denials.remember(epoch, (LimitId(1), Key::from_bits(bits)), 1, standing, asked);
        (0..100).for_each(|bits| remember(before, bits));
        denials.clear();
        remember(before, 7);
        assert!((0..100).all(|bits| denials.recall(LimitId(1), Key::from_bits(bits), 1, 0).is_none()));
    }
}
