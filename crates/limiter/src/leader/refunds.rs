//! How far refunds have moved what was spent after them.

use crate::{Key, ShardTime, Table};

/// Runs of refunds of one bucket that are told apart. Beyond it the first are taken for one, as if all of it had been given back of
/// the first of them; then less comes back of what lies between.
const MAX_RUNS: usize = 32;

/// What was given back to the buckets of one paced limit, as far as a receipt may still depend on it.
///
/// A refund lowers the arrival, so all that was spent behind the refunded interval moves towards now. An older receipt of
/// such spending still names the end that it once had; to give it back by that end would give back what has refilled by
/// now (burst 10: reserve 5 and 5, refund the first, spend 5 three seconds later, refund the second: 14 in a second). So
/// receipts name ends as they would be had nothing been given back, and from these is subtracted what was given back of
/// intervals that ended before.
#[derive(Debug, Default)]
pub(super) struct Refunds {
    moved: Table<Moved>,
}

/// Of one bucket. In a bucket that is always in use nothing of it may ever be forgotten, and what is given back adds up: a month's burst
/// that is reserved and given back some thousand times is more than 64 bits of nanoseconds.
#[derive(Clone, Debug, Default)]
struct Moved {
    /// What was given back, the earliest first.
    runs: Vec<Run>,
    /// The latest end that a receipt names.
    until: i128,
}

/// Refunds of intervals that lie one behind the other, as receipts name them. Of what ended within, nobody has a receipt any more.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: i128,
    /// The end of the first interval.
    first_end: i128,
    end: i128,
    back_ns: i128,
}

impl Refunds {
    /// The end of what is spent now as its receipt names it.
    pub(super) fn end_in_receipt(&mut self, key: Key, end: ShardTime) -> i128 {
        let end = i128::from(end.nanos());
        self.moved.get_mut(key).map_or(end, |moved| moved.name(end))
    }

    /// Where the interval ends by now whose receipt names `end`.
    pub(super) fn end_now(&self, key: Key, end: i128) -> ShardTime {
        let now = end.saturating_sub(self.moved.get(key).map_or(0, |moved| moved.back_ns_before(end)));
        // One beyond all time is of no receipt that was given.
        i64::try_from(now).map_or(ShardTime::MIN, ShardTime::from_nanos)
    }

    /// The bucket's arrival goes back from `arrival` by `back_ns`, of the interval whose receipt names `end`.
    pub(super) fn note(&mut self, key: Key, end: i128, arrival: ShardTime, back_ns: i64) {
        let moved = self.moved.get_or_insert_with(key, Moved::default);
        // Nothing that was spent before, when no end was noted, ends later than the bucket's spending does.
        moved.name(i128::from(arrival.nanos()));
        moved.insert(end, i128::from(back_ns));
    }

    /// The bucket is whole: receipts from before count for nothing.
    pub(super) fn reset(&mut self, key: Key) {
        self.moved.remove(key);
    }

    /// Looks at about `keys` buckets and forgets those of which every receipt names an end that has passed.
    pub(super) fn forget(&mut self, now: ShardTime, keys: usize) {
        self.moved.sweep(keys, |_, moved| moved.until <= i128::from(now.nanos()));
    }
}

impl Moved {
    /// What a receipt calls `end`.
    fn name(&mut self, end: i128) -> i128 {
        let named = end + self.back_ns();
        self.until = self.until.max(named);
        named
    }

    /// All that was given back.
    fn back_ns(&self) -> i128 {
        sum(self.runs.iter())
    }

    /// What was given back of intervals that ended before `end`.
    fn back_ns_before(&self, end: i128) -> i128 {
        sum(self.runs.iter().take_while(|run| run.first_end < end))
    }

    fn insert(&mut self, end: i128, back_ns: i128) {
        let run = Run { start: end.saturating_sub(back_ns), first_end: end, end, back_ns };
        let place = self.runs.partition_point(|other| other.first_end <= end);
        self.runs.insert(place, run);
        self.join(place);
        if let Some(before) = place.checked_sub(1) {
            self.join(before);
        }
        if self.runs.len() > MAX_RUNS {
            self.join_as_one(0);
        }
    }

    /// Makes one of the run at `place` and the next, if nothing lies between them.
    fn join(&mut self, place: usize) {
        if matches!(self.runs[place..], [run, next, ..] if run.end == next.start) {
            self.join_as_one(place);
        }
    }

    fn join_as_one(&mut self, place: usize) {
        let next = self.runs.remove(place + 1);
        let run = &mut self.runs[place];
        run.end = run.end.max(next.end);
        run.back_ns += next.back_ns;
    }
}

fn sum<'a>(runs: impl Iterator<Item = &'a Run>) -> i128 {
    runs.map(|run| run.back_ns).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_moves_what_was_spent_behind_it_and_nothing_before_it() {
        let (mut refunds, key) = (Refunds::default(), Key::from_bits(1));
        let at = ShardTime::from_nanos;
        // Intervals that end at 10, 20 and 30; the one in the middle is given back.
        refunds.note(key, 20, at(30), 10);
        let now = [10, 20, 30].map(|end| refunds.end_now(key, end).nanos());
        assert_eq!(now, [10, 20, 20]);
        assert_eq!(refunds.end_in_receipt(key, at(30)), 40, "what is spent next");
        refunds.note(key, 10, at(20), 10);
        let now = [10, 30, 40].map(|end| refunds.end_now(key, end).nanos());
        assert_eq!(now, [10, 10, 20]);
    }

    #[test]
    fn with_too_many_refunds_nothing_ends_later_than_it_does() {
        let (mut refunds, key) = (Refunds::default(), Key::from_bits(1));
        let at = ShardTime::from_nanos;
        for number in 1..=100 {
            refunds.note(key, i128::from(number * 20), at(10_000), 10);
        }
        for end in (10..=2_010).step_by(20) {
            let exact = end - 10 * ((end - 1) / 20).min(100);
            assert!(refunds.end_now(key, end.into()).nanos() <= exact, "{end}");
        }
        assert_eq!(refunds.end_in_receipt(key, at(0)), 1_000);
    }

    #[test]
    fn refunds_one_behind_the_other_are_told_apart_from_what_lies_around_them_however_many() {
        let key = Key::from_bits(1);
        let at = ShardTime::from_nanos;
        let orders: [&mut dyn Iterator<Item = i64>; 3] =
            [&mut (2..=99), &mut (2..=99).rev(), &mut (2..=99).map(|number| 2 + number * 37 % 98)];
        for order in orders {
            let mut refunds = Refunds::default();
            for number in order {
                refunds.note(key, i128::from(number * 10), at(1_000), 10);
            }
            let now = [10, 1_000].map(|end| refunds.end_now(key, end).nanos());
            assert_eq!(now, [10, 20], "what lies before them, and behind");
        }
    }
}
