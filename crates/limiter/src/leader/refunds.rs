//! How far refunds have moved what was spent after them.

use crate::{Key, ShardTime, Table};

/// What was given back to the buckets of one paced limit, as far as a receipt may still depend on it.
///
/// A refund lowers the arrival, so all that was spent behind the refunded interval moves towards now. An older receipt of
/// such spending still names the end that it once had; to give it back by that end would give back what has refilled by
/// now (burst 10: reserve 5 and 5, refund the first, spend 5 three seconds later, refund the second: 14 in a second). So
/// receipts name ends as they would be had nothing been given back, and from these is subtracted what was given back until
/// the refund. Where the refund was of something behind the receipt, that is too much: units stay spent that need not.
#[derive(Debug, Default)]
pub(super) struct Refunds {
    moved: Table<Moved>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    /// The sum of all that was given back.
    back_ns: i64,
    /// The latest end, without any refund, that a receipt from before the last refund can name.
    until: ShardTime,
}

impl Refunds {
    /// The end as a receipt names it.
    pub(super) fn end_in_receipt(&self, key: Key, end: ShardTime) -> ShardTime {
        end.plus(self.back_ns(key))
    }

    /// The latest that the interval can end by now whose receipt names `end`.
    pub(super) fn end_now(&self, key: Key, end: ShardTime) -> ShardTime {
        end.plus(-self.back_ns(key))
    }

    /// The bucket's arrival goes back from `arrival` by `back_ns`.
    pub(super) fn note(&mut self, key: Key, arrival: ShardTime, back_ns: i64) {
        let latest = self.end_in_receipt(key, arrival);
        let moved = self.moved.get_or_insert_with(key, Moved::default);
        moved.back_ns = moved.back_ns.saturating_add(back_ns);
        moved.until = moved.until.max(latest);
    }

    /// Looks at about `keys` buckets and forgets those of which every receipt names an end that has passed.
    pub(super) fn forget(&mut self, now: ShardTime, keys: usize, arrival: impl Fn(Key) -> ShardTime) {
        self.moved.sweep(keys, |key, moved| moved.until.max(arrival(key).plus(moved.back_ns)) <= now);
    }

    fn back_ns(&self, key: Key) -> i64 {
        self.moved.get(key).map_or(0, |moved| moved.back_ns)
    }
}
